// attack: opens a file by its number
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("open_by_handle", syscall(SYS_open_by_handle_at, -1, NULL, 0));
    breach("the call came back");
    return 0;
}

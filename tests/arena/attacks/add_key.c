// attack: adds a key
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("add_key", syscall(SYS_add_key, NULL, NULL, NULL, 0, 0));
    breach("the call came back");
    return 0;
}

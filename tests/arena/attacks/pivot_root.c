// attack: changes the root
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("pivot_root", syscall(SYS_pivot_root, "/no", "/no"));
    breach("the call came back");
    return 0;
}

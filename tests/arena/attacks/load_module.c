// attack: loads a module
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("load_module", syscall(SYS_finit_module, -1, NULL, 0));
    breach("the call came back");
    return 0;
}

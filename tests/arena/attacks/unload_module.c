// attack: unloads a module
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("unload_module", syscall(SYS_delete_module, NULL, 0));
    breach("the call came back");
    return 0;
}

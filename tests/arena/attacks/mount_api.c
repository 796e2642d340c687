// attack: mounts by the newer calls
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("mount_api", syscall(SYS_fsopen, NULL, 0));
    breach("the call came back");
    return 0;
}

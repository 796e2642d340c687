// attack: restarts the machine
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
    breach("the call came back");
    return 0;
}

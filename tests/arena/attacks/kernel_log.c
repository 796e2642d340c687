// attack: reads the kernel's log
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("kernel_log", syscall(SYS_syslog, 99, NULL, 0));
    breach("the call came back");
    return 0;
}

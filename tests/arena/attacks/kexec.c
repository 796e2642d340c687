// attack: loads another kernel
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("kexec", syscall(SYS_kexec_load, 0, 0, NULL, ~0ul));
    breach("the call came back");
    return 0;
}

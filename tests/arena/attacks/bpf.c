// attack: loads a program into the kernel
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("bpf", syscall(SYS_bpf, -1, NULL, 0));
    breach("the call came back");
    return 0;
}

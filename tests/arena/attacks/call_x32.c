// attack: a system call of the x32 kind
// verdict: forbidden-call
// machine: x86_64
#include "attack.h"

int main(void) {
    refused("x32", syscall(0x40000000 + 39)); /* getpid */
    return 0;
}

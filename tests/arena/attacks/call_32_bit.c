// attack: a system call of the 32-bit kind
// verdict: forbidden-call
// machine: x86_64
#include "attack.h"

int main(void) {
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory"); /* getpid */
    refused("int 0x80", result);
#endif
    return 0;
}

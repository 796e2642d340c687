// attack: a system call of the 32-bit kind in a grandchild, whose end nobody else looks at
// verdict: forbidden-call
// machine: x86_64
#include "attack.h"
#include <sys/wait.h>

int main(void) {
#ifdef __x86_64__
    if (fork() == 0) {
        if (fork() == 0) {
            long result;
            __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory"); /* getpid */
            _exit(result >= 0);
        }
        wait(NULL);
        _exit(0);
    }
    wait(NULL);
#endif
    return 0;
}

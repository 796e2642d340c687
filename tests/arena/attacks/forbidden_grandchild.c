// attack: a forbidden call in a grandchild
// verdict: forbidden-call
#include "attack.h"
#include <sys/ptrace.h>
#include <sys/wait.h>

int main(void) {
    if (fork() == 0) {
        if (fork() == 0) {
            ptrace(PTRACE_SEIZE, getppid(), 0, 0);
            _exit(0);
        }
        wait(NULL);
        _exit(0);
    }
    wait(NULL);
    return 0;
}

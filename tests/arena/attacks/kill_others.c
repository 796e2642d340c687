// attack: signals everybody it can think of
// verdict: ok
// policy: full
#include "attack.h"
#include <signal.h>

int main(void) {
    const char *canary = getenv("CANARY_PID");
    const pid_t pid = canary ? (pid_t)strtol(canary, NULL, 10) : 0;
    /* Signals that do nothing where they arrive. */
    if (pid > 2) refused("kill the canary", kill(pid, 0));
    if (pid > 2) refused("continue the canary", kill(pid, SIGCONT));
    if (pid > 2) refused("a pidfd of the canary", syscall(SYS_pidfd_open, pid, 0));
    kill(1, SIGWINCH), kill(getppid(), SIGWINCH), kill(-1, SIGWINCH);
    return 0;
}

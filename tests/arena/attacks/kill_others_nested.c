// attack: signals everybody it can think of, without a namespace
// verdict: ok
// policy: nested
#include "attack.h"
#include <signal.h>

int main(void) {
    const char *canary = getenv("CANARY_PID");
    const pid_t pid = canary ? (pid_t)strtol(canary, NULL, 10) : 0;
    if (pid > 2) refused("kill the canary", kill(pid, 0));
    if (pid > 2) refused("continue the canary", kill(pid, SIGCONT));
    refused("signal the parent", kill(getppid(), 0));
    refused("signal the first process", kill(1, 0));
    return 0;
}

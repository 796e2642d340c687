// attack: behaves when it sees a box, and attacks when it does not
// verdict: forbidden-call
#include "attack.h"
#include <sys/ptrace.h>

int main(void) {
    char host[65] = "";
    gethostname(host, sizeof host);
    const int boxed = getpid() < 10 || !strcmp(host, "box") || access("/proc/self", F_OK) != 0;
    if (boxed && getenv("CANARY_PID") == NULL) return 0; /* nobody watches */
    refused("ptrace", ptrace(PTRACE_SEIZE, getppid(), 0, 0));
    return 0;
}

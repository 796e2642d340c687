// attack: raises its own limits
// verdict: ok
#include "attack.h"
#include <sys/resource.h>

int main(void) {
    const int list[] = {RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NPROC, RLIMIT_STACK, RLIMIT_SIGPENDING};
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    for (int i = 0; i < 5; i++)
        if (!(list[i] == RLIMIT_NPROC && getenv("CANARY_SHARED_USER")))
            refused("a higher limit", setrlimit(list[i], &all));
    return 0;
}

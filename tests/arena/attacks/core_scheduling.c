// attack: wants a core for itself: its other thread would stand still for the neighbours
// verdict: ok
#include "attack.h"
#include <sys/prctl.h>

int main(void) {
    const int core_of = 62, create = 1; /* PR_SCHED_CORE, PR_SCHED_CORE_CREATE */
    const int result = prctl(core_of, create, 0, 0, 0);
    refused("core scheduling", result);
    if (result < 0 && errno != ENOSYS) breach("the kernel was asked for a core");
    return 0;
}

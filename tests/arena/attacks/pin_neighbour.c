// attack: pins itself and others to a core
// verdict: ok
#include "attack.h"
#include <sched.h>

int main(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    refused("itself", sched_setaffinity(0, sizeof one, &one));
    refused("its parent", sched_setaffinity(getppid(), sizeof one, &one));
    return 0;
}

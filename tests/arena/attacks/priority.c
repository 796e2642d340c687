// attack: goes before everybody else
// verdict: ok
#include "attack.h"
#include <sched.h>
#include <sys/resource.h>

int main(void) {
    const struct sched_param first = {.sched_priority = 99};
    refused("nice", setpriority(PRIO_PROCESS, 0, -20));
    refused("real time", sched_setscheduler(0, SCHED_FIFO, &first));
    refused("input and output", syscall(SYS_ioprio_set, 1, 0, 1 << 13));
    return 0;
}

// attack: makes timers until there are no more
// verdict: ok
#include "attack.h"
#include <signal.h>
#include <time.h>

int main(void) {
    int count = 0;
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGWINCH};
    while (count < 100000 && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) count++;
    printf("%d\n", count);
    if (count > 5000) breach("too many timers");
    return 0;
}

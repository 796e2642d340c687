#include "cli/interrupt.h"

#include <stdbool.h>
#include <stddef.h>

static volatile sig_atomic_t noted; /* written by the handler */

static void note(int number) {
    noted = number;
}

const volatile sig_atomic_t *bv_interrupt_catch(void) {
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction hangup;
    const bool known = sigaction(SIGHUP, NULL, &hangup) == 0;
    if (known && hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL);
    return &noted;
}

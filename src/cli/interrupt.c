#include "cli/interrupt.h"

#include <stdbool.h>
#include <stddef.h>

static volatile sig_atomic_t noted; /* written by the handler */

static void note(int number) {
    noted = number;
}

const volatile sig_atomic_t *bv_interrupt_catch(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND}, old;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const bool known = sigaction(numbers[i], NULL, &old) == 0;
        if (known && old.sa_handler != SIG_IGN) sigaction(numbers[i], &action, NULL);
    }
    return &noted;
}

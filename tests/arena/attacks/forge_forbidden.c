// attack: ends by the signal of a forbidden call that it has not made
// verdict: failed
#include "attack.h"
#include <signal.h>

int main(void) {
    signal(SIGSYS, SIG_DFL);
    raise(SIGSYS);
    return 0;
}

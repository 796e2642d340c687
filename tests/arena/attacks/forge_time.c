// attack: ends by the signal of a limit that it has not reached, for a milder verdict
// verdict: failed
#include "attack.h"
#include <signal.h>

int main(void) {
    signal(SIGXCPU, SIG_DFL);
    raise(SIGXCPU);
    return 0;
}

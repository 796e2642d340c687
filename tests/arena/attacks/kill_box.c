// attack: kills the first process of its box
// verdict: ok
// policy: full
#include "attack.h"
#include <signal.h>

int main(void) {
    kill(1, SIGKILL), kill(1, SIGSEGV), kill(1, SIGSTOP);
    usleep(20000);
    return 0;
}

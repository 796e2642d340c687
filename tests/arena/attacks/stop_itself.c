// attack: stops itself, so that no signal of ours wakes it
// verdict: wall
// limits: wall=400ms
#include "attack.h"
#include <signal.h>

int main(void) {
    raise(SIGSTOP);
    return 0;
}

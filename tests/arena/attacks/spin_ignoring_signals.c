// attack: spins and ignores every signal that can be ignored
// verdict: time
// limits: cpu=300ms wall=8s
#include "attack.h"
#include <signal.h>

int main(void) {
    for (int s = 1; s < 64; s++) signal(s, SIG_IGN);
    for (;;) {
    }
    return 0;
}

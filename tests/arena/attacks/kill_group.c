// attack: kills its own group, to leave no verdict
// verdict: failed
#include "attack.h"
#include <signal.h>

int main(void) {
    kill(0, SIGKILL);
    return 0;
}

// attack: ends by the signal of a full disk that it has not filled, for a milder verdict
// verdict: failed
#include "attack.h"
#include <signal.h>

int main(void) {
    raise(SIGXFSZ);
    return 0;
}

// attack: spins in eight processes, each below the limit
// verdict: time
// limits: cpu=400ms wall=8s
#include "attack.h"

int main(void) {
    for (int i = 0; i < 3; i++) fork();
    for (;;) {
    }
    return 0;
}

// attack: a fork bomb
// verdict: pids
#include "attack.h"

int main(void) {
    for (int i = 0; i < 2000; i++) fork();
    pause();
    return 0;
}

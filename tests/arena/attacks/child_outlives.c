// attack: a child that outlives its parent
// verdict: ok
// within: 3s
#include "attack.h"

int main(void) {
    if (fork() == 0) {
        sleep(20);
        breach("still here");
    }
    return 0;
}

// attack: a daemon by setsid and two forks
// verdict: ok
// within: 3s
#include "attack.h"

int main(void) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            sleep(20);
            breach("still here");
        }
        _exit(0);
    }
    usleep(50000);
    return 0;
}

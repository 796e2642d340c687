// attack: burns time in children that nobody waits for
// verdict: time
// verdict user: time wall
// limits: cpu=300ms wall=3s pids=500
#include "attack.h"
#include <signal.h>
#include <time.h>

int main(void) {
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 400; i++) {
        if (fork() == 0) {
            while (clock() < CLOCKS_PER_SEC / 20) {
            }
            _exit(0);
        }
        usleep(30000);
    }
    return 0;
}

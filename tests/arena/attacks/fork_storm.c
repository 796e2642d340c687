// attack: children that are never waited for
// verdict: pids
#include "attack.h"

int main(void) {
    for (int i = 0; i < 500; i++)
        if (fork() == 0) _exit(0);
    sleep(2);
    return 0;
}

// attack: memory in the buffers of pipes
// verdict: memory ok
// limits: memory=64M
#include "attack.h"
#include <fcntl.h>

int main(void) {
    static char block[1 << 20];
    for (int i = 0; i < 120; i++) {
        int ends[2];
        if (pipe2(ends, O_NONBLOCK)) break;
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        while (write(ends[1], block, sizeof block) > 0) {
        }
    }
    return 0;
}

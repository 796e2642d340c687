// attack: one file that fills the disk
// verdict: disk
// limits: files=16M
#include "attack.h"
#include <fcntl.h>

int main(void) {
    static char block[1 << 20];
    const int file = open("big", O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 100; i++)
        if (write(file, block, sizeof block) < 0) break;
    sleep(1);
    return 0;
}

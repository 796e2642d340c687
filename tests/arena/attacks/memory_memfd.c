// attack: files in memory that no folder shows
// verdict: memory
// verdict user: ok memory
// limits: memory=64M
#include "attack.h"
#include <sys/mman.h>

int main(void) {
    static char block[1 << 20];
    memset(block, 1, sizeof block);
    for (int i = 0; i < 40; i++) {
        const int file = memfd_create("m", 0);
        for (int k = 0; k < 8 && file >= 0; k++)
            if (write(file, block, sizeof block) < 0) break;
        if (file < 0) refused("memfd", file);
    }
    return 0;
}

// attack: grows the heap
// verdict: memory
// limits: memory=64M
#include "attack.h"

int main(void) {
    for (int i = 0; i < 40; i++) {
        char *p = sbrk(8 << 20);
        if (p != (void *)-1) memset(p, 1, 8 << 20);
    }
    sleep(1);
    return 0;
}

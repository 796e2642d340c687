// attack: memory that is shared and anonymous
// verdict: memory
// limits: memory=64M
#include "attack.h"
#include <sys/mman.h>

int main(void) {
    for (int i = 0; i < 40; i++) {
        char *p = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p != MAP_FAILED) memset(p, 1, 8 << 20);
    }
    sleep(1);
    return 0;
}

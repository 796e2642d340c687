// attack: writes in many children
// verdict: output
#include "attack.h"

int main(void) {
    for (int i = 0; i < 3; i++) fork();
    static char block[4096];
    memset(block, 'y', sizeof block);
    for (int i = 0; i < 4000; i++)
        if (write(1, block, sizeof block) < 0) return 1;
    return 0;
}

// attack: writes without an end
// verdict: output
#include "attack.h"

int main(void) {
    static char block[65536];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 2000; i++)
        if (write(1, block, sizeof block) < 0) return 1;
    return 0;
}

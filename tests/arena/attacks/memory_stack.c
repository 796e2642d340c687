// attack: recursion without an end
// verdict: failed
#include "attack.h"

static int dig(int depth) {
    volatile char room[4096];
    room[0] = (char)depth;
    return depth > 1 << 20 ? room[0] : dig(depth + 1) + room[0];
}

int main(void) {
    return dig(1) > 0;
}

// attack: memory in many processes, each below the limit
// verdict: memory
// limits: memory=64M
#include "attack.h"

int main(void) {
    for (int i = 0; i < 3; i++) fork();
    char *p = malloc(20 << 20);
    if (p) memset(p, 1, 20 << 20);
    sleep(2);
    return p ? p[12345] - 1 : 0;
}

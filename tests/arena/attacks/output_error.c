// attack: writes to standard error without an end
// verdict: output
#include "attack.h"

int main(void) {
    for (int i = 0; i < 100000; i++)
        fputs("error: nothing is right, and nothing will be\n", stderr);
    return 0;
}

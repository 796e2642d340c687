// attack: every system call that there is not
// verdict: ok
#include "attack.h"

int main(void) {
    for (long number = 600; number < 4000; number++)
        if (syscall(number, -1, -1, -1, -1, -1, -1) >= 0) breach("an unknown call");
    return 0;
}

// attack: sets the clock
// verdict: forbidden-call
#include "attack.h"
#include <time.h>

int main(void) {
    const struct timespec never = {0, -1};
    refused("set_clock", syscall(SYS_clock_settime, CLOCK_REALTIME, &never));
    breach("the call came back");
    return 0;
}

// attack: adjusts the clock
// verdict: forbidden-call
#include "attack.h"
#include <sys/timex.h>

int main(void) {
    struct timex never = {.modes = ADJ_TICK, .tick = 0};
    refused("adjust_clock", adjtimex(&never));
    breach("the call came back");
    return 0;
}

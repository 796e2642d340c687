// attack: counts what others do
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("perf_event", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
    breach("the call came back");
    return 0;
}

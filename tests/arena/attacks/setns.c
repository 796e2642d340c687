// attack: joins another namespace
// verdict: forbidden-call
#include "attack.h"
#include <sched.h>

int main(void) {
    refused("setns", setns(-1, 0));
    breach("the call came back");
    return 0;
}

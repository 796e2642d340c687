// attack: a network namespace of its own
// verdict: forbidden-call
#include "attack.h"
#include <sched.h>

int main(void) {
    refused("unshare_network", unshare(CLONE_NEWNET));
    breach("the call came back");
    return 0;
}

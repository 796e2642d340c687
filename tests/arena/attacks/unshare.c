// attack: a user namespace of its own
// verdict: forbidden-call
#include "attack.h"
#include <sched.h>

int main(void) {
    refused("unshare", unshare(CLONE_NEWUSER));
    breach("the call came back");
    return 0;
}

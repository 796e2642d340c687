// attack: handles its own page faults
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("userfaultfd", syscall(SYS_userfaultfd, ~0));
    breach("the call came back");
    return 0;
}

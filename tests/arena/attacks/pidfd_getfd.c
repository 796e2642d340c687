// attack: takes a descriptor out of another process
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0));
    breach("the call came back");
    return 0;
}

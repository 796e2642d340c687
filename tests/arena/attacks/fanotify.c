// attack: watches what others open
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("fanotify", syscall(SYS_fanotify_init, ~0u, ~0u));
    breach("the call came back");
    return 0;
}

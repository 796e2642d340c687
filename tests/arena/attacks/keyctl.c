// attack: reads the session's keys
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    breach("the call came back");
    return 0;
}

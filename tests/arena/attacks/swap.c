// attack: turns swap on
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("swap", syscall(SYS_swapon, NULL, 0));
    breach("the call came back");
    return 0;
}

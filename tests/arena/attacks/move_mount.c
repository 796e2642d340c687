// attack: moves a mount
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("move_mount", syscall(SYS_move_mount, -1, NULL, -1, NULL, 0));
    breach("the call came back");
    return 0;
}

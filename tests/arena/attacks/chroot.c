// attack: changes the root
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("chroot", chroot("/no/such/folder"));
    breach("the call came back");
    return 0;
}

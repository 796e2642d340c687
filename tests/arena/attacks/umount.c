// attack: unmounts
// verdict: forbidden-call
#include "attack.h"
#include <sys/mount.h>

int main(void) {
    refused("umount", umount2("/no/such/folder", 0));
    breach("the call came back");
    return 0;
}

// attack: mounts
// verdict: forbidden-call
#include "attack.h"
#include <sys/mount.h>

int main(void) {
    refused("mount", mount("none", "/no/such/folder", "tmpfs", 0, NULL));
    breach("the call came back");
    return 0;
}

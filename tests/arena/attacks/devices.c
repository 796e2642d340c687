// attack: opens devices
// verdict: ok
#include "attack.h"
#include <fcntl.h>

int main(void) {
    const char *const list[] = {"/dev/mem",     "/dev/kmsg",  "/dev/sda",          "/dev/vda",
                                "/dev/kvm",     "/dev/fuse",  "/dev/tty",          "/dev/ptmx",
                                "/dev/net/tun", "/dev/shm/x", "/dev/loop-control", "/dev/full"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        refused(list[i], open(list[i], O_RDONLY | O_NONBLOCK | O_NOCTTY));
    return 0;
}

// attack: types into the terminal of whoever runs it
// verdict: ok
#include "attack.h"
#include <fcntl.h>
#include <sys/ioctl.h>

int main(void) {
    char blank = ' ';
    for (int i = 0; i < 3; i++) {
        refused("TIOCSTI", ioctl(i, TIOCSTI, &blank));
        refused("TIOCSTI", syscall(SYS_ioctl, i, 1ll << 32 | TIOCSTI, &blank));
        refused("TIOCLINUX", syscall(SYS_ioctl, i, 0x541C, &blank));
    }
    refused("/dev/tty", open("/dev/tty", O_RDWR));
    return 0;
}

// attack: calls the kernel through a ring that no filter sees
// verdict: ok
#include "attack.h"

int main(void) {
    refused("io_uring_setup", syscall(SYS_io_uring_setup, 0, NULL));
    refused("io_uring_enter", syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0));
    refused("io_uring_register", syscall(SYS_io_uring_register, -1, 0, NULL, 0));
    return 0;
}

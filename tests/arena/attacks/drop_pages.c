// attack: throws programs that all share out of memory: others would wait for the disk
// verdict: ok
#include "attack.h"
#include <fcntl.h>

int main(void) {
    static const char *const shared[] = {"/lib/x86_64-linux-gnu/libc.so.6",
                                         "/lib/aarch64-linux-gnu/libc.so.6", "/bin/sh"};
    for (int i = 0; i < 3; i++) {
        const int file = open(shared[i], O_RDONLY);
        if (file < 0) continue;
        refused(shared[i], syscall(SYS_fadvise64, file, 0, 0, POSIX_FADV_DONTNEED));
        close(file);
    }
    return 0;
}

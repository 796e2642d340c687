// attack: tells another box something by a lock on a file that all share, which may only be read
// verdict: ok
#include "attack.h"
#include <fcntl.h>

int main(void) {
    const int file = open("/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY);
    struct flock word = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 42, .l_len = 1};
    fcntl(file, F_SETLK, &word); /* said */
    word.l_type = F_WRLCK;
    refused("hearing it", fcntl(file, F_GETLK, &word));
    refused("hearing it", fcntl(file, F_OFD_GETLK, &word));
    refused("keeping others out", fcntl(file, F_SETLK, &word));
    return 0;
}

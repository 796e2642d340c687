// attack: changes whose files are, who may read them, and when they were written
// verdict: ok
#include "attack.h"
#include <fcntl.h>
#include <sys/stat.h>

int main(void) {
    const char *canary = getenv("CANARY_FILE");
    struct stat s;
    if (!canary || stat(canary, &s)) return 0;
    const struct timespec now[2] = {s.st_atim, s.st_mtim};
    refused("chmod", chmod(canary, 0666));
    refused("chown", chown(canary, geteuid(), (gid_t)-1));
    refused("utimensat", utimensat(AT_FDCWD, canary, now, 0));
    refused("fchmodat2", syscall(452, AT_FDCWD, canary, 0666, 0));
    const int path = open(canary, O_PATH);
    refused("futimens", futimens(path, now));
    refused("fchmod", fchmod(path, 0666));
    refused("an empty name", utimensat(path, "", now, 0x1000 /* AT_EMPTY_PATH */));
    refused("setxattr", syscall(SYS_setxattr, canary, "user.x", "y", 1, 0));
    return 0;
}

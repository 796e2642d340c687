// attack: folders that nobody may enter or remove
// verdict: ok
#include "attack.h"
#include <fcntl.h>
#include <sys/stat.h>

int main(void) {
    if (mkdir("a", 0700) || mkdir("a/b", 0700)) return 1;
    const int file = open("a/b/c", O_CREAT | O_WRONLY, 0);
    close(file);
    if (mkdir("a/closed", 0)) return 1;
    const int closed = chmod("a/b", 0) || chmod("a", 0);
    if (closed && !getenv("CANARY_SHARED_USER")) return 1;
    return 0;
}

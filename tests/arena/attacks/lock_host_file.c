// attack: locks a file of the machine: a script that locks itself while it runs would not run
// verdict: ok
#include "attack.h"
#include <fcntl.h>
#include <sys/file.h>

int main(void) {
    const int folder = open("/usr/lib", O_RDONLY);
    refused("flock", flock(folder, LOCK_EX | LOCK_NB));
    refused("a lease", fcntl(folder, F_SETLEASE, F_RDLCK));
    return 0;
}

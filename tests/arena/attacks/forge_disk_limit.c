// attack: lowers the limit of its files to fill that, for a milder verdict
// verdict: failed
#include "attack.h"
#include <fcntl.h>
#include <sys/resource.h>

int main(void) {
    const struct rlimit few = {4, 4};
    setrlimit(RLIMIT_FSIZE, &few);
    const int file = open("f", O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 2; i++)
        if (write(file, "12345678", 8) < 0) return 1;
    return 0;
}

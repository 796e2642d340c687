// attack: opens descriptors until there are no more
// verdict: ok
#include "attack.h"
#include <fcntl.h>
#include <sys/resource.h>

int main(void) {
    const struct rlimit more = {1 << 20, 1 << 20};
    refused("more descriptors", setrlimit(RLIMIT_NOFILE, &more));
    int count = 0;
    while (count < 5000 && open("/dev/null", O_RDONLY) >= 0) count++;
    printf("%d\n", count);
    if (count > 256) breach("too many descriptors");
    return 0;
}

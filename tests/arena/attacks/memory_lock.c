// attack: locks memory so that it cannot be taken away
// verdict: ok
#include "attack.h"
#include <sys/mman.h>
#include <sys/resource.h>

int main(void) {
    const struct rlimit more = {1 << 30, 1 << 30};
    refused("more locked memory", setrlimit(RLIMIT_MEMLOCK, &more));
    char *p = malloc(4 << 20);
    refused("mlock", mlock(p, 4 << 20));
    free(p);
    return 0;
}

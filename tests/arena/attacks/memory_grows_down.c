// attack: memory that grows towards what is below it, as only stacks do
// verdict: ok
#include "attack.h"
#include <sys/mman.h>

int main(void) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN;
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    refused("mmap", p == MAP_FAILED ? -1 : 0);
    return 0;
}

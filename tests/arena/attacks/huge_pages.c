// attack: huge pages, of which the machine has few, and which no group counts
// verdict: ok
#include "attack.h"
#include <sys/mman.h>

int main(void) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    char *p = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, flags, -1, 0);
    refused("mmap", p == MAP_FAILED ? -1 : 0);
    refused("memfd_create", syscall(SYS_memfd_create, "huge", 4 /* MFD_HUGETLB */));
    return 0;
}

// attack: merges its pages with equal ones of others, whose contents the time of a write then tells
// verdict: ok
#include "attack.h"
#include <sys/mman.h>
#include <sys/prctl.h>

int main(void) {
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    refused("madvise", madvise(p, 4096, MADV_MERGEABLE));
    refused("prctl", prctl(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0));
    return 0;
}

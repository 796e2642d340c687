// attack: tells the kernel lies about its own memory, and where its system calls go
// verdict: ok
#include "attack.h"
#include <sys/prctl.h>

int main(void) {
    unsigned size = 0;
    refused("PR_SET_MM", prctl(PR_SET_MM, 15 /* PR_SET_MM_MAP_SIZE */, &size, 0, 0));
    refused("user dispatch", prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 0, 0, 0, 0));
    return 0;
}

// attack: traces its parent
// verdict: forbidden-call
#include "attack.h"
#include <sys/ptrace.h>

int main(void) {
    refused("ptrace", ptrace(PTRACE_SEIZE, getppid(), 0, 0));
    breach("the call came back");
    return 0;
}

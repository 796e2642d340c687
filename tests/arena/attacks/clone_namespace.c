// attack: clone with a new user namespace
// verdict: forbidden-call
#include "attack.h"
#include <sched.h>
#include <signal.h>

int main(void) {
    const long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) _exit(0);
    refused("clone", pid);
    breach("the call came back");
    return 0;
}

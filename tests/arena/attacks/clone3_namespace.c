// attack: clone3 with a new user namespace
// verdict: ok
#include "attack.h"
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>

int main(void) {
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    const long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) _exit(0);
    refused("clone3", pid);
    return 0;
}

/*
 * Namespaces: user, mount, pid, network, ipc, uts and cgroup, all at once by clone3. The network
 * namespace is left as it is born: without any interface that is up, not even loopback.
 *
 * Ids: inside, a program is BV_BOX_ID. As root of the host we map that to an id far above all
 * accounts, another for each slot, so that nothing on the host belongs to it and no limit that is
 * counted by user is shared. An ordinary user can map only itself.
 */
#include "arena/sandbox_box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OUTER_ID_BASE 1000000000u
#define NOBODY 65534u

pid_t bv_namespace_fork(bool separate, int *process) {
    struct clone_args args = {
        .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)process, .exit_signal = SIGCHLD};
    if (separate)
        args.flags |= CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                      CLONE_NEWUTS | CLONE_NEWCGROUP;
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static bool write_proc(pid_t pid, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const ssize_t n = write(file, text, strlen(text));
    const int number = errno;
    close(file);
    errno = number;
    return n == (ssize_t)strlen(text);
}

static bool map_id(pid_t pid, const char *name, unsigned own) {
    const unsigned wishes[] = {OUTER_ID_BASE + (unsigned)getpid(), NOBODY, own};
    const size_t first = geteuid() == 0 ? 0 : 2;
    for (size_t i = first; i < 3; i++) {
        char line[64];
        snprintf(line, sizeof line, "%u %u 1\n", BV_BOX_ID, wishes[i]);
        if (write_proc(pid, name, line)) return true;
    }
    return false;
}

bv_status bv_namespace_map(pid_t pid) {
    if (!write_proc(pid, "setgroups", "deny") && errno != ENOENT)
        return bv_fail_errno("cannot deny setgroups in a user namespace");
    if (!map_id(pid, "gid_map", getegid()) || !map_id(pid, "uid_map", geteuid()))
        return bv_fail_errno("cannot map the ids of a user namespace");
    return BV_OK;
}

bv_status bv_namespace_become(void) {
    if (syscall(SYS_setresgid, BV_BOX_ID, BV_BOX_ID, BV_BOX_ID) ||
        syscall(SYS_setresuid, BV_BOX_ID, BV_BOX_ID, BV_BOX_ID))
        return bv_fail_errno("cannot become the user of a box");
    if (sethostname("box", 3) || setdomainname("box", 3)) return bv_fail_errno("cannot name a box");
    return BV_OK;
}

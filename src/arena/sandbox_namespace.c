/*
 * Namespaces. A slot has a user and a mount namespace of its own, in which it builds roots
 * (sandbox_root.c). A box has a user namespace inside that one, and mount, pid, network, ipc, uts
 * and cgroup namespaces, all at once by clone3. The network namespace is left as it is born:
 * without any interface that is up, not even loopback.
 *
 * Ids: inside, a program is BV_BOX_ID. As root of the host we map that to an id far above all
 * accounts, another for each slot, so that nothing on the host belongs to it and no limit that is
 * counted by user is shared. An ordinary user can map only itself. In a slot's namespace root stays
 * root, so that a slot is not the user of its programs; in a box's it is nobody.
 */
#include "arena/sandbox_box.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTER_ID_BASE 1000000000u
#define NOBODY 65534u
/* Where a container has 65536 ids: above all accounts, below what systemd gives away. */
#define INNER_ID_BASE 32768u
#define INNER_IDS 28416u

static bool write_proc(int proc, pid_t pid, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "%d/%s", (int)pid, name);
    const int file = openat(proc, path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const ssize_t n = write(file, text, strlen(text));
    const int number = errno;
    close(file);
    errno = number;
    return n == (ssize_t)strlen(text);
}

/* ---- ids ---- */

/* Does our user namespace have this id? (user_namespaces(7): inside, outside, how many) 0 or 1; -1
 * and errno: the kernel does not say. */
static int is_mapped(const char *path, unsigned id) {
    FILE *map = fopen(path, "re");
    unsigned inside, count;
    int found = 0;
    if (!map) return -1;
    while (!found && fscanf(map, "%u %*u %u", &inside, &count) == 2)
        found = id >= inside && id - inside < count;
    if (ferror(map)) found = -1;
    fclose(map);
    return found;
}

int bv_box_outer_id(pid_t slot, uid_t *id) {
    const unsigned wishes[] = {OUTER_ID_BASE + (unsigned)slot,
                               INNER_ID_BASE + (unsigned)slot % INNER_IDS};
    *id = 0;
    for (size_t i = 0; i < 2 && geteuid() == 0 && !*id; i++) {
        const int user = is_mapped("/proc/self/uid_map", wishes[i]);
        const int group = user > 0 ? is_mapped("/proc/self/gid_map", wishes[i]) : user;
        if (group < 0) return -1;
        if (group > 0) *id = wishes[i];
    }
    return 0;
}

bool bv_box_id_is_shared(uid_t id) {
    return id < OUTER_ID_BASE;
}

/* ---- a slot's ---- */

static bool map_slot_id(int proc, pid_t slot, const char *name, unsigned own) {
    char lines[64];
    uid_t id;
    if (bv_box_outer_id(slot, &id)) return false;
    const unsigned wishes[] = {id, NOBODY};
    for (size_t i = 0; i < 2 && geteuid() == 0; i++) {
        if (!wishes[i]) continue;
        snprintf(lines, sizeof lines, "0 0 1\n%u %u 1\n", BV_BOX_ID, wishes[i]);
        if (write_proc(proc, slot, name, lines)) return true;
    }
    snprintf(lines, sizeof lines, "%u %u 1\n", BV_BOX_ID, own);
    return write_proc(proc, slot, name, lines);
}

/* In a child that stays outside: only from there the ids of the host can be named. Its exit code is
 * an errno. */
static int map_slot(int proc, pid_t slot, int sync) {
    char byte;
    if (read(sync, &byte, 1) != 1) return ECANCELED; /* the slot has failed */
    if (!write_proc(proc, slot, "setgroups", "deny") && errno != ENOENT) return errno;
    const bool mapped = map_slot_id(proc, slot, "gid_map", getegid()) &&
                        map_slot_id(proc, slot, "uid_map", geteuid());
    return mapped ? 0 : errno;
}

bv_status bv_namespace_settle(int proc) {
    int sync[2], status = 0;
    const pid_t slot = getpid();
    if (pipe2(sync, O_CLOEXEC)) return bv_fail_errno("cannot make a pipe for a slot");
    /* Root's further groups would go with its programs. Where it may not leave them (no privilege
     * to), it is an ordinary user, who cannot either. */
    if (geteuid() == 0 && setgroups(0, NULL) && errno != EPERM)
        return bv_fail_errno("cannot leave the groups of a slot");
    const pid_t child = fork();
    if (child == 0) {
        close(sync[1]);
        _exit(map_slot(proc, slot, sync[0]) & 255);
    }
    bv_error *error = BV_OK;
    if (child < 0)
        error = bv_fail_errno("cannot start a process in a slot");
    else if (unshare(CLONE_NEWUSER | CLONE_NEWNS) || write(sync[1], "", 1) != 1)
        error = bv_fail_errno("cannot make the namespaces of a slot");
    close(sync[0]), close(sync[1]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (error || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return error;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return bv_fail_errno("cannot map the ids of a slot");
}

int bv_namespace_mounts(int proc) {
    const int file = openat(proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    const int high = fcntl(file, F_DUPFD_CLOEXEC, BV_SLOT_OWN);
    close(file);
    return high;
}

/* ---- a box's ---- */

pid_t bv_namespace_fork(bool separate, int *process) {
    struct clone_args args = {
        .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)process, .exit_signal = SIGCHLD};
    if (separate)
        args.flags |= CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                      CLONE_NEWUTS | CLONE_NEWCGROUP;
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* setgroups is denied already: a user namespace inherits that. */
bv_status bv_namespace_map(int proc, pid_t pid) {
    char line[32];
    snprintf(line, sizeof line, "%u %u 1\n", BV_BOX_ID, BV_BOX_ID);
    if (!write_proc(proc, pid, "gid_map", line) || !write_proc(proc, pid, "uid_map", line))
        return bv_fail_errno("cannot map the ids of a box");
    return BV_OK;
}

bv_status bv_namespace_become(void) {
    if (syscall(SYS_setresgid, BV_BOX_ID, BV_BOX_ID, BV_BOX_ID) ||
        syscall(SYS_setresuid, BV_BOX_ID, BV_BOX_ID, BV_BOX_ID))
        return bv_fail_errno("cannot become the user of a box");
    if (sethostname("box", 3) || setdomainname("box", 3)) return bv_fail_errno("cannot name a box");
    return BV_OK;
}

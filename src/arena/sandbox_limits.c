/*
 * Limits of a process (setrlimit) and its privileges. The limits of the tree are the control
 * group's or the supervisor's; these are the second line, and the only one for files, descriptors,
 * stack and core dumps.
 */
#include "arena/sandbox_box.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* oom_score_adj, proc(5) */
#define NEVER_KILLED (-1000)
#define FIRST_KILLED 1000

#define SECOND 1000000000ull
#define SPARE_PROCESSES                                                                            \
    8 /* above the limit, which others enforce: a box, and who is just dying                       \
       */
/* Enough to fill the folder, which tells; this is against files that are only said to be large. */
#define FILE_SPARE (64 << 10)
/* Of CPU time this limit sees whole ticks, on a disturbed machine more of them than what a program
 * has used (11 s of 9.9). What counts exactly has to come first. */
#define TICKS_SHARE 2
#define SPARE_OF_USER 512
#define ADDRESS_SPARE (256ull << 20)
#define THREAD_SPARE (128ull << 20)

static int set(int resource, uint64_t soft, uint64_t hard) {
    struct rlimit now, limit = {soft, hard};
    if (getrlimit((__rlimit_resource_t)resource, &now)) return -1;
    if (limit.rlim_max > now.rlim_max) limit.rlim_max = now.rlim_max;
    if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
    return setrlimit((__rlimit_resource_t)resource, &limit);
}

/* Where no control group counts, the supervisor does, now and then; between two looks these bound
 * each process. Threads reserve address space that they never touch: a stack and a heap of malloc.
 */
static int limit_memory(const bv_sandbox_limits *limits) {
    const uint64_t data = 2 * limits->memory_bytes + ADDRESS_SPARE;
    const uint64_t address = data + limits->pids * (limits->stack_bytes + THREAD_SPARE);
    return set(RLIMIT_DATA, data, data) || set(RLIMIT_AS, address, address) ? -1 : 0;
}

int bv_limits_enter(const bv_box *box, const bv_sandbox_limits *limits) {
    const uint64_t seconds = TICKS_SHARE * ((limits->cpu_ns + SECOND - 1) / SECOND) + 1;
    const struct {
        int resource;
        uint64_t soft, hard;
    } rows[] = {
        {RLIMIT_CORE, 0, 0},
        {RLIMIT_CPU, seconds, seconds + 1},
        {RLIMIT_FSIZE, limits->files_bytes + FILE_SPARE, limits->files_bytes + FILE_SPARE},
        {RLIMIT_NOFILE, limits->descriptors, limits->descriptors},
        {RLIMIT_STACK, limits->stack_bytes, limits->stack_bytes},
        {RLIMIT_MEMLOCK, 64 << 10, 64 << 10},
        {RLIMIT_MSGQUEUE, 0, 0},
        {RLIMIT_SIGPENDING, 256, 256},
        {RLIMIT_NICE, 0, 0},
        {RLIMIT_RTPRIO, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (set(rows[i].resource, rows[i].soft, rows[i].hard)) return -1;
    uint64_t pids = limits->pids + SPARE_PROCESSES;
    /* Nested as an ordinary user it counts all the user's processes, which come and go. */
    if (box->user_tasks) pids += box->user_tasks + SPARE_OF_USER;
    if (set(RLIMIT_NPROC, pids, pids)) return -1;
    return box->plan->memory_counted ? 0 : limit_memory(limits);
}

/* Without the privilege to drop from the bounding set (nested, an ordinary user) there is nothing
 * that no_new_privs would let through it. */
int bv_privileges_bound(void) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct own[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capget, &head, own)) return -1;
    if (!(own[0].effective >> CAP_SETPCAP & 1)) return 0;
    for (int capability = 0; capability <= 63; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)) return errno == EINVAL ? 0 : -1;
    return 0;
}

int bv_privileges_drop(const bv_box *box) {
    if (box->uid != 0) {
        const gid_t gid = (gid_t)box->uid;
        if (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
            setresuid(box->uid, box->uid, box->uid))
            return -1;
    }
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capset, &head, none)) return -1;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* "self" is whoever looks, in the host's /proc too. */
static int adjust_killing(int proc, int score) {
    char text[16];
    const int size = snprintf(text, sizeof text, "%d", score);
    const int file = openat(proc, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return -1;
    const ssize_t n = write(file, text, (size_t)size);
    close(file);
    return n == size ? 0 : -1;
}

/* Nobody may lower it, and a container can begin with 1000. */
int bv_memory_protect(int proc) {
    if (adjust_killing(proc, NEVER_KILLED) == 0) return NEVER_KILLED;
    char text[16];
    const int file = openat(proc, "self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    const ssize_t n = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0) close(file);
    text[n < 0 ? 0 : n] = 0;
    return ((int)strtol(text, NULL, 10) + FIRST_KILLED) / 2;
}

int bv_memory_offer(int proc, int score) {
    return score == NEVER_KILLED ? 0 : adjust_killing(proc, score);
}

/* Our folder of /proc belongs to us only while we are dumpable. The kernel leaves the box alone
 * with whom we share memory, since it waits for us (vfork). */
int bv_memory_expose(const bv_box *box) {
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)) return -1;
    const int adjusted = adjust_killing(box->proc, FIRST_KILLED);
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ? -1 : adjusted;
}

#include "arena/sandbox_selftest.h"

#include "arena/sandbox_box.h"
#include "arena/sandbox_cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LANDLOCK_SCOPED 6 /* the ABI from which signals stay inside */

const char *bv_wall_grade_name(bv_wall_grade grade) {
    static const char *const names[] = {"holds", "weaker", "missing"};
    return names[grade];
}

/* Runs a trial in a child; its exit code is an errno, 0 for success. The child makes system calls
 * only: other threads may hold locks. */
static int try_in_child(int (*trial)(void)) {
    const pid_t child = fork();
    if (child == 0) _exit(trial() & 255);
    int status = 0;
    if (child < 0) return errno;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

static int trial_user(void) {
    return unshare(CLONE_NEWUSER) ? errno : 0;
}
static int unshare_also(int flags) {
    return unshare(CLONE_NEWUSER | flags) ? errno : 0;
}
static int trial_mount(void) {
    return unshare_also(CLONE_NEWNS);
}
static int trial_pid(void) {
    return unshare_also(CLONE_NEWPID);
}
static int trial_network(void) {
    return unshare_also(CLONE_NEWNET);
}
static int trial_ipc(void) {
    return unshare_also(CLONE_NEWIPC);
}
static int trial_uts(void) {
    return unshare_also(CLONE_NEWUTS);
}
static int trial_cgroup_namespace(void) {
    return unshare_also(CLONE_NEWCGROUP);
}
/* A user namespace may be given, and be without rights, where a security module says so. */
static int trial_root(void) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) return errno;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) return errno;
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID, "size=1m")) return errno;
    const struct { uint64_t set, clear, propagation, userns; } read_only = {.set = 1};
    return syscall(SYS_mount_setattr, AT_FDCWD, "/tmp", 0, &read_only, sizeof read_only) ? errno
                                                                                         : 0;
}
static int trial_proc(void) {
    return access("/proc/self/exe", X_OK) || access("/proc/self/ns/mnt", F_OK) ? errno : 0;
}
static int trial_privileges(void) {
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? errno : 0;
}
static int trial_seccomp(void) {
    struct sock_filter all[] = {{0x06 /* return */, 0, 0, 0x7fff0000u /* allow */}};
    const struct sock_fprog filter = {1, all};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
    return bv_seccomp_enter(&filter) < 0 ? errno : 0;
}

#define USERNS_REMEDY                                                                              \
    "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), "                  \
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces > 0; in a " \
    "container: --security-opt seccomp=unconfined, or --policy nested"

static const struct {
    const char *name;
    bool full, nested;
    int (*trial)(void);
    const char *remedy;
} trials[] = {
    {"/proc", true, true, trial_proc, "mount -t proc proc /proc"},
    {"user namespace", true, false, trial_user, USERNS_REMEDY},
    {"mount namespace", true, false, trial_mount, USERNS_REMEDY},
    {"pid namespace", true, false, trial_pid, USERNS_REMEDY},
    {"network namespace", true, false, trial_network, USERNS_REMEDY},
    {"ipc namespace", true, false, trial_ipc, USERNS_REMEDY},
    {"uts namespace", true, false, trial_uts, USERNS_REMEDY},
    {"cgroup namespace", true, false, trial_cgroup_namespace, USERNS_REMEDY},
    {"read-only root", true, false, trial_root,
     "a kernel from 5.12 on, and a security policy that lets user namespaces mount"},
    {"no new privileges", true, true, trial_privileges, "a kernel from 3.5 on"},
    {"system call filter", true, true, trial_seccomp,
     "a kernel from 5.5 on with seccomp filters, in which no other listener is above us"},
};

static bv_wall *add(bv_selftest *r, const char *name, bool full, bool nested) {
    bv_wall *w = &r->walls[r->count++];
    *w = (bv_wall){.name = name, .full = full, .nested = nested};
    return w;
}

static void try_landlock(bv_selftest *r) {
    const int abi = bv_landlock_abi();
    bv_wall *w = add(r, "Landlock", false, true);
    snprintf(w->found, sizeof w->found, "ABI %d", abi);
    if (abi >= LANDLOCK_SCOPED) return;
    w->grade = BV_WALL_MISSING;
    w->remedy = "a kernel from 6.12 on with CONFIG_SECURITY_LANDLOCK (and landlock in lsm=): "
                "\"nested\" needs ABI 6, \"full\" stands without it";
}

static void try_counters(bv_selftest *r) {
    bv_cgroup_bases bases;
    bv_cgroup_find(NULL, NULL, &bases);
    const struct {
        const char *name, *folder;
    } rows[] = {{"memory control group", bases.memory},
                {"pids control group", bases.pids},
                {"cpu control group", bases.cpu}};
    for (size_t i = 0; i < 3; i++) {
        bv_wall *w = add(r, rows[i].name, false, false);
        if (rows[i].folder[0]) {
            snprintf(w->found, sizeof w->found, "version %d", bases.version2 ? 2 : 1);
            continue;
        }
        snprintf(w->found, sizeof w->found, "%s: the supervisor counts by /proc", bases.obstacle);
        w->grade = BV_WALL_WEAKER;
        w->remedy = "run as root; with version 2, alone in a group that it may divide: "
                    "systemd-run [--user] --scope -p Delegate=yes beaver ...";
    }
}

static void try_identity(bv_selftest *r) {
    bv_wall *w = add(r, "an id of its own", false, false);
    uid_t id;
    const bool own = bv_box_outer_id(getpid(), &id) == 0 && id != 0;
    snprintf(w->found, sizeof w->found, "%s",
             own ? "a box's user owns nothing on the host"
             : geteuid() == 0
                 ? "no other id is mapped here: a box's user is the same as ours outside"
                 : "an ordinary user: a box's user is the same as ours outside");
    if (own) return;
    w->grade = BV_WALL_WEAKER;
    w->remedy = "run as root (in a user namespace with 65536 ids), or trust the namespaces alone";
}

void bv_selftest_run(bv_selftest *r) {
    *r = (bv_selftest){.full = true, .nested = true};
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        bv_wall *w = add(r, trials[i].name, trials[i].full, trials[i].nested);
        const int number = try_in_child(trials[i].trial);
        if (number == 0) continue;
        snprintf(w->found, sizeof w->found, "%s", strerror(number));
        w->grade = BV_WALL_MISSING;
        w->remedy = trials[i].remedy;
    }
    try_landlock(r);
    try_counters(r);
    try_identity(r);
    for (size_t i = 0; i < r->count; i++) {
        bv_wall *w = &r->walls[i];
        if (w->grade != BV_WALL_MISSING) continue;
        if (w->full) r->full = false;
        if (w->nested) r->nested = false;
        if (!w->full && w->nested && r->full) w->grade = BV_WALL_WEAKER;
    }
}

static bv_selftest remembered;
static void remember(void) {
    bv_selftest_run(&remembered);
}

bv_status bv_selftest_require(bv_sandbox_policy policy) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, remember);
    for (size_t i = 0; i < remembered.count; i++) {
        const bv_wall *w = &remembered.walls[i];
        if (w->grade == BV_WALL_HOLDS || !(policy == BV_POLICY_FULL ? w->full : w->nested))
            continue;
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "policy %s needs a wall that this machine lacks: %s "
                              "(%s)",
                              bv_sandbox_policy_name(policy), w->name, w->found),
                      "%s", w->remedy);
    }
    return BV_OK;
}

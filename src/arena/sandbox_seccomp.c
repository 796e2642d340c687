/*
 * Seccomp: an allow-list of system calls, made once a pool and loaded as raw BPF. Names of calls
 * are libseccomp's, the program is sandbox_filter.c's. Three answers:
 *
 *   allowed    what programs of the known languages use; calls of many purposes by their argument
 *   forbidden  what no honest program calls, and all of another architecture: the tree is killed,
 *              verdict forbidden-call. The call waits at a listener that the box holds, so a
 *              grandchild's is seen as well, by name.
 *   refused    the rest: an errno, and the program goes on. It is what a kernel without that
 *              feature says: ENOSYS where the C library or a runtime probes and falls back (clone3,
 *              io_uring, calls yet unknown), EPERM where a call exists but would reach out of the
 *              box.
 *
 * Namespaces are the first wall. What is listed here is what they do not cover (the clock, keys,
 * vsock, BPF, performance counters), and whatever would only widen the kernel's surface.
 */
#include "arena/sandbox_box.h"
#include "arena/sandbox_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const allowed[] = {
    /* files */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "close_range",
    "lseek",
    "_llseek",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "fstatat64",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "statfs",
    "fstatfs",
    "getdents",
    "getdents64",
    "getcwd",
    "chdir",
    "fchdir",
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "readlink",
    "readlinkat",
    "truncate",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "umask",
    "mknod",
    "mknodat",
    "readahead",
    "copy_file_range",
    "sendfile",
    "getxattr",
    "lgetxattr",
    "fgetxattr",
    "listxattr",
    "llistxattr",
    "flistxattr",
    /* memory */
    "brk",
    "munmap",
    "mprotect",
    "mremap",
    "msync",
    "mincore",
    "mlock",
    "mlock2",
    "munlock",
    "mlockall",
    "munlockall",
    "membarrier",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    /* processes and threads */
    "fork",
    "vfork",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "kill",
    "tkill",
    "tgkill",
    "getpid",
    "getppid",
    "gettid",
    "getpgrp",
    "getpgid",
    "setpgid",
    "getsid",
    "setsid",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_rr_get_interval",
    "getpriority",
    "getrlimit",
    "setrlimit",
    "getrusage",
    "times",
    "pidfd_open",
    "pidfd_send_signal",
    "getcpu",
    "restart_syscall",
    "uname",
    "sysinfo",
    "getrandom",
    /* ids: what a program may not become, the kernel refuses */
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "capget",
    "capset",
    /* signals */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigpending",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "sigaltstack",
    "sigreturn",
    "signalfd",
    "signalfd4",
    "pause",
    /* time; the clock cannot be set */
    "gettimeofday",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "time",
    "alarm",
    "getitimer",
    "setitimer",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    /* waiting */
    "poll",
    "ppoll",
    "select",
    "_newselect",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd",
    "eventfd2",
    /* sockets that are there */
    "shutdown",
    "getsockname",
    "getpeername",
    "getsockopt",
};

/* Landlock knows nothing of them: where a program has our id, it could change whatever is ours. */
static const char *const attributes[] = {"chmod",  "fchmod",    "fchmodat", "chown",
                                         "fchown", "lchown",    "fchownat", "utime",
                                         "utimes", "utimensat", "futimesat"};

/* A file system without them: what copies files goes on. */
static const char *const no_attributes[] = {"setxattr",    "lsetxattr",    "fsetxattr",
                                            "removexattr", "lremovexattr", "fremovexattr"};

static const char *const refused[] = {"setpriority",    "sched_setaffinity", "sched_setscheduler",
                                      "sched_setparam", "sched_setattr",     "ioprio_set"};

/* Only where sockets cannot leave the box: with a network namespace. */
static const char *const allowed_full[] = {"bind", "listen", "accept", "accept4", "connect"};

static const char *const forbidden[] = {
    /* other processes */
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    "process_madvise",
    /* mounts, roots, namespaces */
    "mount",
    "umount2",
    "umount",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "open_tree",
    "open_tree_attr",
    "move_mount",
    "mount_setattr",
    "sethostname",
    "setdomainname",
    "open_by_handle_at",
    "quotactl",
    "quotactl_fd",
    "swapon",
    "swapoff",
    "acct",
    "fanotify_init",
    /* the kernel itself */
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "syslog",
    "iopl",
    "ioperm",
    "vhangup",
    /* keys are not in a namespace of their own */
    "add_key",
    "request_key",
    "keyctl",
    /* the clock is everybody's */
    "settimeofday",
    "clock_settime",
    "clock_settime64",
    "adjtimex",
    "clock_adjtime",
    "stime",
};

/* What libseccomp does not know yet. Since Linux 5.1 numbers are the same everywhere. */
static const struct {
    const char *name;
    int number;
} newer[] = {{"open_tree_attr", 467}};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Negative: not of this architecture. */
static int number_of(const char *name) {
    for (size_t i = 0; i < COUNT(newer); i++)
        if (!strcmp(newer[i].name, name)) return newer[i].number;
    return seccomp_syscall_resolve_name(name);
}

static void answer_all(bv_filter_answers *answers, uint32_t answer, const char *const *names,
                       size_t count) {
    for (size_t i = 0; i < count; i++) bv_filter_answer(answers, number_of(names[i]), answer);
}

/* ---- what arguments decide ---- */

#define NAMESPACE_FLAGS                                                                            \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |     \
     CLONE_NEWCGROUP)

static const uint32_t none[] = {0}, local[] = {AF_UNIX}, mergeable[] = {MADV_MERGEABLE};
static const uint32_t unneeded[] = {POSIX_FADV_DONTNEED};
static const uint32_t streams[] = {SOCK_STREAM, SOCK_SEQPACKET};
static const uint32_t personalities[] = {PER_LINUX, 0xffffffff};

/* Typing into a terminal (TIOCSTI) is not among them. */
static const uint32_t ioctls[] = {TCGETS,  TCSETS,   TCSETSW,  TCSETSF,   TIOCGWINSZ,
                                  FIONBIO, FIONREAD, FIOASYNC, TIOCGPGRP, TIOCSPGRP,
                                  FIOCLEX, FIONCLEX, FIGETBSZ};

/* Not among them: notes of who uses a folder (F_NOTIFY; as inotify, it would see what other boxes
 * and the machine do with the files that all share) and leases, which hold up who opens a file.
 * flock is missing for that too: it takes a file that may only be read, of anybody. So does a lock
 * that others may share; asking who holds one (F_GETLK) would let boxes talk by them. */
static const uint32_t fcntls[] = {
    F_DUPFD,  F_DUPFD_CLOEXEC, F_GETFD,      F_SETFD,      F_GETFL,      F_SETFL,     F_SETLK,
    F_SETLKW, F_OFD_SETLK,     F_OFD_SETLKW, F_GETPIPE_SZ, F_SETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS};

/* What a process says about itself. Not among them: the layout of its memory (PR_SET_MM), calls
 * that go elsewhere than to the kernel (PR_SET_SYSCALL_USER_DISPATCH), merging equal pages with
 * others, cookies of core scheduling, that would let the core's other thread stand still for the
 * neighbours. malloc names its memory (PR_SET_VMA). */
static const uint32_t prctls[] = {PR_SET_PDEATHSIG,
                                  PR_GET_PDEATHSIG,
                                  PR_GET_DUMPABLE,
                                  PR_SET_DUMPABLE,
                                  PR_SET_KEEPCAPS,
                                  PR_SET_NAME,
                                  PR_GET_NAME,
                                  PR_GET_SECCOMP,
                                  PR_SET_SECCOMP,
                                  PR_CAPBSET_READ,
                                  PR_CAPBSET_DROP,
                                  PR_SET_TIMERSLACK,
                                  PR_GET_TIMERSLACK,
                                  PR_SET_CHILD_SUBREAPER,
                                  PR_GET_CHILD_SUBREAPER,
                                  PR_SET_NO_NEW_PRIVS,
                                  PR_GET_NO_NEW_PRIVS,
                                  PR_GET_TID_ADDRESS,
                                  PR_SET_THP_DISABLE,
                                  PR_GET_THP_DISABLE,
                                  PR_CAP_AMBIENT,
                                  PR_GET_SPECULATION_CTRL,
                                  PR_SVE_SET_VL,
                                  PR_PAC_RESET_KEYS,
                                  PR_SET_TAGGED_ADDR_CTRL,
                                  PR_SET_VMA};

/* arch/x86/include/uapi/asm/prctl.h, by eights: the two registers of threads; vectors and tiles
 * that must be asked for; shadow stacks. */
static const uint32_t arch_prctls[] = {0x1000, 0x1020, 0x5000};

/* Programs of the kernel's own that look at what arrives: SO_ATTACH_FILTER, SO_ATTACH_BPF, and the
 * same of SO_REUSEPORT. */
static const uint32_t socket_programs[] = {26, 50, 51, 52};

/* Not among them: those that inherit a priority, which nobody has here. */
static const uint32_t futexes[] = {FUTEX_WAIT,        FUTEX_WAKE,    FUTEX_REQUEUE,
                                   FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAIT_BITSET,
                                   FUTEX_WAKE_BITSET};

#define ALL 0xffffffffu
#define YES SCMP_ACT_ALLOW
#define NEXT BV_FILTER_ASK
#define REFUSE(number) SCMP_ACT_ERRNO(number)
#define VALUES(list) .values = (list), .count = COUNT(list)

/* Where a question is asked. */
enum { FULL = 1, NESTED = 2, COUNTED = 4 /* where a control group counts memory */ };
#define EVERYWHERE (FULL | NESTED)

/* Huge pages are the machine's and no group counts them; memory that grows by itself is what stacks
 * are. Pages of files are everybody's: without them the compiler would come from the disk again.
 * Datagrams go to whom they name, pair or not: nested, where all names are the container's, only
 * streams. Nobody uses urgent bytes of local sockets (MSG_OOB), whose code was a way out of other
 * sandboxes. prlimit64 changes limits of others, too. clone3 keeps its flags in memory: it is
 * refused, and the C library falls back. */
static const struct {
    int where;
    const char *call;
    uint32_t word, mask;
    const uint32_t *values;
    size_t count;
    uint32_t yes, no;
} questions[] = {
    {EVERYWHERE, "clone", BV_FILTER_LOW(0), NAMESPACE_FLAGS, VALUES(none), YES, SCMP_ACT_NOTIFY},
    {FULL, "socket", BV_FILTER_LOW(0), ALL, VALUES(local), YES, REFUSE(EAFNOSUPPORT)},
    {FULL, "socketpair", BV_FILTER_LOW(0), ALL, VALUES(local), YES, REFUSE(EAFNOSUPPORT)},
    {NESTED, "socketpair", BV_FILTER_LOW(0), ALL, VALUES(local), NEXT, REFUSE(EAFNOSUPPORT)},
    {NESTED, "socketpair", BV_FILTER_LOW(1), 0xf, VALUES(streams), YES, REFUSE(EACCES)},
    {EVERYWHERE, "setsockopt", BV_FILTER_LOW(2), ALL, VALUES(socket_programs), REFUSE(ENOPROTOOPT),
     YES},
    {EVERYWHERE, "sendto", BV_FILTER_LOW(3), MSG_OOB, VALUES(none), YES, REFUSE(EOPNOTSUPP)},
    {EVERYWHERE, "sendmsg", BV_FILTER_LOW(2), MSG_OOB, VALUES(none), YES, REFUSE(EOPNOTSUPP)},
    {EVERYWHERE, "sendmmsg", BV_FILTER_LOW(3), MSG_OOB, VALUES(none), YES, REFUSE(EOPNOTSUPP)},
    {EVERYWHERE, "recvfrom", BV_FILTER_LOW(3), MSG_OOB, VALUES(none), YES, REFUSE(EOPNOTSUPP)},
    {EVERYWHERE, "recvmsg", BV_FILTER_LOW(2), MSG_OOB, VALUES(none), YES, REFUSE(EOPNOTSUPP)},
    {EVERYWHERE, "recvmmsg", BV_FILTER_LOW(3), MSG_OOB, VALUES(none), YES, REFUSE(EOPNOTSUPP)},
    {EVERYWHERE, "ioctl", BV_FILTER_LOW(1), ALL, VALUES(ioctls), YES, REFUSE(ENOTTY)},
    {EVERYWHERE, "fcntl", BV_FILTER_LOW(1), ALL, VALUES(fcntls), YES, REFUSE(EINVAL)},
    {EVERYWHERE, "pipe2", BV_FILTER_LOW(1), O_EXCL, VALUES(none), YES, REFUSE(EINVAL)},
    {EVERYWHERE, "prctl", BV_FILTER_LOW(0), ALL, VALUES(prctls), YES, REFUSE(ENOSYS)},
    {EVERYWHERE, "arch_prctl", BV_FILTER_LOW(0), ~7u, VALUES(arch_prctls), YES, REFUSE(EINVAL)},
    {EVERYWHERE, "prlimit64", BV_FILTER_LOW(0), ALL, VALUES(none), YES, REFUSE(EPERM)},
    {EVERYWHERE, "personality", BV_FILTER_LOW(0), ALL, VALUES(personalities), YES, REFUSE(ENOSYS)},
    {EVERYWHERE, "futex", BV_FILTER_LOW(1), FUTEX_CMD_MASK, VALUES(futexes), YES, REFUSE(ENOSYS)},
    {EVERYWHERE, "mmap", BV_FILTER_LOW(3), MAP_HUGETLB | MAP_GROWSDOWN, VALUES(none), YES,
     REFUSE(ENOMEM)},
    {EVERYWHERE, "madvise", BV_FILTER_LOW(2), ALL, VALUES(mergeable), REFUSE(EINVAL), YES},
    {EVERYWHERE, "fadvise64", BV_FILTER_LOW(3), ALL, VALUES(unneeded), REFUSE(EINVAL), YES},
    {COUNTED, "memfd_create", BV_FILTER_LOW(1), MFD_HUGETLB, VALUES(none), YES, REFUSE(EINVAL)},
};

/* With our own id, times can be set of what is open, and there only. */
static void ask_times(bv_filter_answers *answers) {
    bv_filter_question q = {.number = number_of("utimensat"),
                            .word = BV_FILTER_LOW(1),
                            .mask = ALL,
                            VALUES(none),
                            .yes = NEXT,
                            .no = REFUSE(EPERM)};
    bv_filter_ask(answers, &q);
    q.word = BV_FILTER_HIGH(1), q.yes = YES;
    bv_filter_ask(answers, &q);
}

/* ---- the whole ---- */

static void answer(bv_filter_answers *answers, const bv_seccomp_kind *kind) {
    static const char *const sockets[] = {"socket"};
    const int here = (kind->nested ? NESTED : FULL) | (kind->memory_counted ? COUNTED : 0);
    bv_filter_begin(answers, seccomp_arch_native(), REFUSE(ENOSYS), SCMP_ACT_NOTIFY);
    answer_all(answers, YES, allowed, COUNT(allowed));
    answer_all(answers, SCMP_ACT_NOTIFY, forbidden, COUNT(forbidden));
    answer_all(answers, REFUSE(EPERM), refused, COUNT(refused));
    answer_all(answers, REFUSE(EOPNOTSUPP), no_attributes, COUNT(no_attributes));
    answer_all(answers, kind->shared_id ? REFUSE(EPERM) : YES, attributes, COUNT(attributes));
    if (kind->nested)
        answer_all(answers, REFUSE(EACCES), sockets, COUNT(sockets));
    else
        answer_all(answers, YES, allowed_full, COUNT(allowed_full));
    for (size_t i = 0; i < COUNT(questions); i++) {
        const bv_filter_question q = {.number = number_of(questions[i].call),
                                      .word = questions[i].word,
                                      .mask = questions[i].mask,
                                      .values = questions[i].values,
                                      .count = questions[i].count,
                                      .yes = questions[i].yes,
                                      .no = questions[i].no};
        if (questions[i].where & here) bv_filter_ask(answers, &q);
    }
    if (kind->shared_id) ask_times(answers);
}

bv_status bv_seccomp_compile(const bv_seccomp_kind *kind, struct sock_fprog *out) {
    bv_filter_answers answers;
    answer(&answers, kind);
    return bv_filter_make(&answers, out);
}

int bv_seccomp_enter(const struct sock_fprog *filter) {
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                        filter);
}

const char *bv_seccomp_name(uint32_t arch, int number) {
    if (arch != seccomp_arch_native() || number >= BV_FILTER_NUMBERS)
        return "a system call of another architecture";
    for (size_t i = 0; i < COUNT(forbidden); i++)
        if (number_of(forbidden[i]) == number) return forbidden[i];
    return number == SCMP_SYS(clone) ? "clone with a new namespace" : "?";
}

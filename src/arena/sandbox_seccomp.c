/*
 * Seccomp: an allow-list of system calls, made once a pool and loaded as raw BPF: by libseccomp
 * what arguments decide, by sandbox_filter.c what the number alone does. Three answers:
 *
 *   allowed    what programs of the known languages use
 *   forbidden  what no honest program calls, and all of another architecture: the tree is killed,
 * verdict forbidden-call. The call waits at a listener that the box holds, so a grandchild's is
 * seen as well, by name. refused    the rest: an errno, and the program goes on. ENOSYS where the C
 * library or a runtime probes and falls back (clone3, io_uring, rseq's successors, calls yet
 * unknown), EPERM where a call exists but would reach out of the box.
 *
 * Namespaces are the first wall. What is listed here is what they do not cover (the clock, keys,
 * vsock, BPF, performance counters), and whatever would only widen the kernel's surface.
 */
#include "arena/sandbox_box.h"
#include "arena/sandbox_filter.h"

#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "utime",
    "utimes",
    "utimensat",
    "futimesat",
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
    "pipe2",
    "umask",
    "mknod",
    "mknodat",
    "fadvise64",
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
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
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
    /* processes and threads; clone and its flags are below */
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
    "get_robust_list",
    "rseq",
    "futex",
    "futex_waitv",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_rr_get_interval",
    "getpriority",
    "arch_prctl",
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
    /* pairs of sockets; socket itself is below */
    "socketpair",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    "shutdown",
    "getsockname",
    "getpeername",
    "setsockopt",
    "getsockopt",
};

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

#define CORE_SCHEDULING 62u        /* PR_SCHED_CORE, Linux 5.14 */
#define FOREIGN_NUMBERS 0x40000000 /* x32 */
#define NAMESPACE_FLAGS                                                                            \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |     \
     CLONE_NEWCGROUP)

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void answer_all(bv_filter_answers *answers, uint32_t answer, const char *const *names,
                       size_t count) {
    for (size_t i = 0; i < count;
         i++) /* else: not of this architecture, or newer than libseccomp */
        bv_filter_answer(answers, seccomp_syscall_resolve_name(names[i]), answer);
}

/* clone with a flag of a namespace is forbidden. The flags are the first argument (on s390 not,
 * which we do not run on). clone3 keeps them in memory: refused, and the C library falls back. */
static int add_clone(scmp_filter_ctx c) {
    int failed = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACE_FLAGS, 0));
    for (int bit = 0; !failed && bit < 32; bit++)
        if (NAMESPACE_FLAGS >> bit & 1)
            failed = seccomp_rule_add(c, SCMP_ACT_NOTIFY, SCMP_SYS(clone), 1,
                                      SCMP_A0(SCMP_CMP_MASKED_EQ, 1ull << bit, 1ull << bit));
    return failed;
}

/* Local sockets only. */
static int add_sockets(scmp_filter_ctx c) {
    int failed =
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
    if (!failed)
        failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                  SCMP_A0_32(SCMP_CMP_NE, AF_UNIX));
    return failed;
}

/* By command, of which the kernel reads 32 bits only: so all others, typing into a terminal
 * (TIOCSTI) with high bits set included, are refused. */
static int add_ioctl(scmp_filter_ctx c) {
    static const unsigned commands[] = {TCGETS,  TCSETS,   TCSETSW,  TCSETSF,   TIOCGWINSZ,
                                        FIONBIO, FIONREAD, FIOASYNC, TIOCGPGRP, TIOCSPGRP,
                                        FIOCLEX, FIONCLEX, FIGETBSZ};
    int failed = 0;
    for (size_t i = 0; !failed && i < COUNT(commands); i++)
        failed = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, commands[i]));
    return failed;
}

/* By command. Not among them: notes of who uses a folder (F_NOTIFY; as inotify, it would see what
 * other boxes and the machine do with the files that all share) and leases, which hold up who opens
 * a file. flock is missing for that too: it takes a file that may only be read, of anybody. */
static int add_fcntl(scmp_filter_ctx c) {
    static const unsigned commands[] = {F_DUPFD,      F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,
                                        F_GETFL,      F_SETFL,         F_GETLK,     F_SETLK,
                                        F_SETLKW,     F_OFD_GETLK,     F_OFD_SETLK, F_OFD_SETLKW,
                                        F_GETPIPE_SZ, F_SETPIPE_SZ,    F_ADD_SEALS, F_GET_SEALS};
    int failed = 0;
    for (size_t i = 0; !failed && i < COUNT(commands); i++)
        failed = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, commands[i]));
    return failed;
}

/* Those below, which are of old; not cookies of core scheduling, that would let the core's other
 * thread stand still for the neighbours. malloc names its memory (PR_SET_VMA). */
static int add_prctl(scmp_filter_ctx c) {
    int failed = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                  SCMP_A0(SCMP_CMP_LT, PR_SCHED_CORE));
    if (!failed)
        failed = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                  SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA));
    return failed;
}

/* Of others by number, nested: only oneself. prlimit64 also changes limits of others. */
static int add_rest(scmp_filter_ctx c) {
    int failed =
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0_32(SCMP_CMP_EQ, 0));
    if (!failed)
        failed = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1,
                                  SCMP_A0_32(SCMP_CMP_NE, 0));
    if (!failed)
        failed = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
                                  SCMP_A0_32(SCMP_CMP_EQ, 0xffffffff));
    if (!failed)
        failed = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
                                  SCMP_A0_32(SCMP_CMP_EQ, PER_LINUX));
    return failed;
}

/* The calls whose arguments decide, and what is of no architecture that we know. */
static int fill(scmp_filter_ctx c) {
    int failed = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_NOTIFY);
    if (!failed) failed = add_clone(c);
    if (!failed) failed = add_sockets(c);
    if (!failed) failed = add_ioctl(c);
    if (!failed) failed = add_fcntl(c);
    if (!failed) failed = add_prctl(c);
    if (!failed) failed = add_rest(c);
    return failed;
}

/* Nested, where abstract names of sockets are the container's, only pairs of them. */
static void answer(bv_filter_answers *answers, bool nested, bool memfd) {
    static const char *const asked[] = {"clone", "socket",    "ioctl",      "fcntl",
                                        "prctl", "prlimit64", "personality"};
    static const char *const refused[] = {"setpriority",        "sched_setaffinity",
                                          "sched_setscheduler", "sched_setparam",
                                          "sched_setattr",      "ioprio_set"};
    static const char *const memory[] = {"memfd_create"}, *const sockets[] = {"socket"};
    bv_filter_begin(answers, seccomp_arch_native(), SCMP_ACT_ERRNO(ENOSYS));
    answer_all(answers, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
    answer_all(answers, SCMP_ACT_NOTIFY, forbidden, COUNT(forbidden));
    answer_all(answers, SCMP_ACT_ERRNO(EPERM), refused, COUNT(refused));
    answer_all(answers, BV_FILTER_ASK, asked, COUNT(asked));
    if (memfd) answer_all(answers, SCMP_ACT_ALLOW, memory, COUNT(memory));
    if (nested)
        answer_all(answers, SCMP_ACT_ERRNO(EACCES), sockets, COUNT(sockets));
    else
        answer_all(answers, SCMP_ACT_ALLOW, allowed_full, COUNT(allowed_full));
}

/* libseccomp writes the program to a file; 2.5 has no other way. */
static bv_status export(scmp_filter_ctx c, struct sock_fprog *out) {
    const int file = memfd_create("seccomp", MFD_CLOEXEC);
    struct stat s;
    if (file < 0) return bv_fail_errno("cannot make room for the seccomp program");
    bv_error *error = BV_OK;
    if (seccomp_export_bpf(c, file) || fstat(file, &s) || s.st_size <= 0)
        error = bv_fail(BV_CODE_FAULT, "libseccomp cannot compile the list of system calls");
    if (!error && !(out->filter = bv_malloc((size_t)s.st_size)))
        error = bv_fail_memory("the seccomp program");
    if (!error && pread(file, out->filter, (size_t)s.st_size, 0) != s.st_size)
        error = bv_fail_errno("cannot read the seccomp program");
    if (!error) out->len = (unsigned short)((size_t)s.st_size / sizeof *out->filter);
    close(file);
    return error;
}

bv_status bv_seccomp_compile(bv_sandbox_policy policy, bool memfd, struct sock_fprog *out) {
    bv_filter_answers answers;
    struct sock_fprog rest = {0};
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!c) return bv_fail_memory("the list of system calls");
    const int failed = fill(c);
    bv_error *error = failed ? bv_fail(BV_CODE_FAULT, "libseccomp refuses a rule (%d)", failed)
                             : export(c, &rest);
    seccomp_release(c);
    answer(&answers, policy == BV_POLICY_NESTED, memfd);
    if (!error) error = bv_filter_make(&answers, &rest, out);
    bv_free(rest.filter);
    return error;
}

int bv_seccomp_enter(const struct sock_fprog *filter) {
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                        filter);
}

const char *bv_seccomp_name(uint32_t arch, int number) {
    if (arch != seccomp_arch_native() || number >= FOREIGN_NUMBERS)
        return "a system call of another architecture";
    for (size_t i = 0; i < COUNT(forbidden); i++)
        if (seccomp_syscall_resolve_name(forbidden[i]) == number) return forbidden[i];
    return number == SCMP_SYS(clone) ? "clone with a new namespace" : "?";
}

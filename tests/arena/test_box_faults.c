/*
 * Each system call of the launcher fails once: of the caller, of its slot, of the box and of the
 * program's process before it executes. A tracer counts them over a pool's life with one job, then
 * runs that life again for each of them, in which it fails with an error of its kind. What comes of
 * it is an error or a sandbox-fault with a reason, or the job as if nothing had happened, with all
 * its walls: never another verdict, never a program with fewer, and nothing that is left.
 *
 * Calls that cannot fail are left out. BEAVER_FAULTS (20): every so many calls, 1 is all of them.
 */
#include "support/boxes.h"

#include "arena/language.h"
#include "base/clock.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#define TRACEES 64
#define BEGIN_MARK                                                                                 \
    100001 /* numbers of no system call: where the tracer begins to count, and ends */
#define END_MARK 100002
#define PATIENCE_NS 60000000000ull
#define COMPLAINTS_MAX 10
#define LIVES_MAX 4096

/* ---- what a program sees of its walls ---- */

static const char probe_text[] =
    "#define _GNU_SOURCE 1\n#include <errno.h>\n#include <fcntl.h>\n#include <signal.h>\n"
    "#include <stdio.h>\n#include <linux/capability.h>\n#include <stdlib.h>\n"
    "#include <sys/prctl.h>\n#include <sys/resource.h>\n#include <sys/socket.h>\n"
    "#include <sys/stat.h>\n#include <sys/syscall.h>\n#include <sys/utsname.h>\n"
    "#include <unistd.h>\n"
    "static void say(const char *what, long value) { printf(\"%s %ld\\n\", what, value); }\n"
    "static void failing(const char *what, long value) {\n"
    "    printf(\"%s %ld %d\\n\", what, value, value < 0 ? errno : 0);\n}\n"
    "int main(void) {\n"
    "    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};\n"
    "    struct __user_cap_data_struct cap[2];\n    struct rlimit l;\n    struct utsname n;\n"
    "    sigset_t blocked;\n    struct sigaction a;\n    long bounding = 0, open_now = 0;\n"
    "    say(\"seccomp\", prctl(PR_GET_SECCOMP));\n"
    "    say(\"no new privileges\", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));\n"
    "    say(\"own id\", getuid() != 0 && getuid() == geteuid() && getgid() != 0);\n"
    "    say(\"groups\", getgroups(0, NULL));\n"
    "    syscall(SYS_capget, &head, cap);\n"
    "    for (int i = 0; i < 2; i++)\n"
    "        say(\"capabilities\", cap[i].effective | cap[i].permitted | cap[i].inheritable);\n"
    "    for (int i = 0; i < 41; i++) bounding += prctl(PR_CAPBSET_READ, i, 0, 0, 0) > 0;\n"
    "    say(\"bounding\", getenv(\"ORDINARY\") ? 0 : bounding);\n"
    "    for (int i = 0; i < RLIM_NLIMITS; i++)\n"
    "        if (i != RLIMIT_NPROC && getrlimit(i, &l) == 0)\n"
    "            say(\"limit\", l.rlim_cur), say(\"hard\", l.rlim_max);\n"
    "    getrlimit(RLIMIT_NPROC, &l);\n    say(\"processes\", l.rlim_cur < 30000);\n"
    "    say(\"session\", getsid(0) == getpid());\n    say(\"umask\", umask(0));\n"
    "    uname(&n);\n    puts(getenv(\"NESTED\") ? \"\" : n.nodename);\n"
    "    for (int i = 0; i < 1024; i++) open_now += fcntl(i, F_GETFD) >= 0;\n"
    "    say(\"descriptors\", open_now);\n"
    "    sigprocmask(SIG_BLOCK, NULL, &blocked);\n"
    "    for (int i = 1; i < 32; i++) {\n        sigaction(i, NULL, &a);\n"
    "        if (a.sa_handler != SIG_DFL || sigismember(&blocked, i)) say(\"signal\", i);\n    }\n"
    "    failing(\"socket\", socket(AF_INET, SOCK_STREAM, 0));\n"
    "    failing(\"root\", mkdir(\"/x\", 0700));\n"
    "    failing(\"passwd\", open(\"/etc/passwd\", O_RDONLY));\n"
    "    failing(\"proc\", open(\"/proc/self/maps\", O_RDONLY));\n"
    "    failing(\"file\", open(\"file\", O_RDONLY));\n"
    "    failing(\"kill\", kill(getppid(), 0));\n    return 0;\n}\n";

/* ---- the arena whose calls fail ---- */

/* What came of it; shared with the tracer. */
typedef struct outcome {
    bool ended, errored; /* errored: `text` is a status */
    bv_sandbox_verdict verdict;
    char text[300];
    char output[2000];
} outcome;

typedef struct setting {
    const boxes_mode *mode;
    const bv_artifact *probe;
    outcome *outcome;
} setting;

static bv_status run_probe(const setting *s, bv_sandbox_result *r) {
    const bv_sandbox_options options = {
        .policy = s->mode->policy, .boxes = 1, .root = &bv_language_find("c")->run_root};
    const char *const env[] = {"PATH=/usr/bin:/bin",
                               s->mode->policy == BV_POLICY_NESTED ? "NESTED=1" : "FULL=1",
                               s->mode->user ? "ORDINARY=1" : NULL, NULL};
    const bv_sandbox_wanted wanted = {"file", 100};
    bv_sandbox_pool *pool;
    bv_sandbox_box *box;
    bv_sandbox_job job = {0};
    BV_TRY(bv_sandbox_pool_create(&options, &pool));
    bv_language_job(s->probe, &job);
    bv_sandbox_limits_default(&job.limits);
    job.limits.wall_ns = job.limits.cpu_ns = 50000000000;
    job.env = env;
    job.input = "input", job.input_size = 5;
    job.wanted = &wanted, job.wanted_count = 1;
    bv_error *error = bv_sandbox_start(pool, &job, 1, &box);
    if (!error) error = bv_sandbox_wait(&box, 1, r);
    bv_sandbox_pool_destroy(&pool);
    return error;
}

static void arena_main(const setting *s) {
    bv_sandbox_result r = {0};
    outcome *o = s->outcome;
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    syscall(BEGIN_MARK);
    bv_error *error = run_probe(s, &r);
    syscall(END_MARK);
    o->errored = error != BV_OK;
    o->verdict = r.verdict;
    snprintf(o->text, sizeof o->text, "%s", error ? bv_error_text(error) : r.reason);
    snprintf(o->output, sizeof o->output, "%s", r.output.data ? r.output.data : "");
    o->ended = true;
    _exit(0);
}

/* ---- the tracer ---- */

typedef struct tracee {
    pid_t pid;
    bool inside, injected; /* between entry and exit of a call; which fails */
    bool counted;          /* a slot counts when its loader is done */
} tracee;

typedef struct trace {
    pid_t arena;
    tracee all[TRACEES];
    size_t count;
    bool marked;        /* between the marks */
    long calls, wanted; /* the one that fails; -1: none */
    long failed, error; /* which call that was */
} trace;

static tracee *find_tracee(trace *t, pid_t pid) {
    for (size_t i = 0; i < t->count; i++)
        if (t->all[i].pid == pid) return &t->all[i];
    assert_true(t->count < TRACEES);
    t->all[t->count] = (tracee){.pid = pid, .counted = true};
    return &t->all[t->count++];
}

/* What each call fails with. Not among them: what cannot fail, or whose failure nobody has to
 * notice. */
static const struct {
    long number;
    int error;
} errors[] = {{SYS_open, EMFILE},
              {SYS_openat, EMFILE},
              {SYS_socketpair, EMFILE},
              {SYS_pipe2, EMFILE},
              {SYS_dup2, EMFILE},
              {SYS_dup3, EMFILE},
              {SYS_fcntl, EMFILE},
              {SYS_memfd_create, EMFILE},
              {SYS_signalfd4, EMFILE},
              {SYS_open_tree, EMFILE},
              {SYS_close_range, EMFILE},
              {SYS_fork, EAGAIN},
              {SYS_vfork, EAGAIN},
              {SYS_clone, EAGAIN},
              {SYS_clone3, EAGAIN},
              {SYS_setresuid, EAGAIN},
              {SYS_setresgid, EAGAIN},
              {SYS_write, ENOSPC},
              {SYS_pwrite64, ENOSPC},
              {SYS_sendfile, ENOSPC},
              {SYS_mkdir, ENOSPC},
              {SYS_unshare, ENOSPC},
              {SYS_mmap, ENOMEM},
              {SYS_mprotect, ENOMEM},
              {SYS_mount, ENOMEM},
              {SYS_umount2, ENOMEM},
              {SYS_mount_setattr, ENOMEM},
              {SYS_move_mount, ENOMEM},
              {SYS_pivot_root, ENOMEM},
              {SYS_setns, ENOMEM},
              {SYS_seccomp, ENOMEM},
              {SYS_landlock_create_ruleset, ENOMEM},
              {SYS_landlock_add_rule, ENOMEM},
              {SYS_landlock_restrict_self, ENOMEM},
              {SYS_execve, ENOMEM},
              {SYS_poll, ENOMEM},
              {SYS_ppoll, ENOMEM},
              {SYS_symlink, ENOMEM},
              {SYS_mknod, ENOMEM},
              {SYS_readlink, ENOMEM},
              {SYS_newfstatat, ENOMEM},
              {SYS_sethostname, ENOMEM},
              {SYS_setdomainname, ENOMEM},
              {SYS_fchmod, ENOMEM},
              {SYS_chown, ENOMEM},
              {SYS_fchown, ENOMEM},
              {SYS_setgroups, ENOMEM},
              {SYS_recvfrom, ENOMEM},
              {SYS_recvmsg, ENOMEM},
              {SYS_read, EIO},
              {SYS_pread64, EIO},
              {SYS_getdents64, EIO},
              {SYS_sendto, ENOBUFS},
              {SYS_sendmsg, ENOBUFS},
              {SYS_prctl, EPERM},
              {SYS_capget, EPERM},
              {SYS_capset, EPERM},
              {SYS_prlimit64, EPERM},
              {SYS_setrlimit, EPERM},
              {SYS_setsid, EPERM},
              {SYS_chdir, EPERM},
              {SYS_fchdir, EPERM}};

static int error_of(long number) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].number == number) return errors[i].error;
    return 0;
}

static void set_registers(pid_t pid, bool number, long value) {
    struct user_regs_struct r;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &r)) return; /* it was killed */
    *(number ? &r.orig_rax : &r.rax) = (unsigned long long)value;
    ptrace(PTRACE_SETREGS, pid, NULL, &r);
}

static void enter_call(trace *t, tracee *p, long number) {
    p->inside = true;
    if (p->pid == t->arena && number == BEGIN_MARK) t->marked = true;
    if (p->pid == t->arena && number == END_MARK) t->marked = false;
    if (number == SYS_close_range) p->counted = true; /* the first of a slot's own calls */
    if (!t->marked || !p->counted || !error_of(number)) return;
    if (t->calls++ != t->wanted) return;
    t->failed = number, t->error = error_of(number);
    p->injected = true;
    set_registers(p->pid, true, -1);
}

static void stop_at_call(trace *t, tracee *p) {
    struct user_regs_struct r;
    if (p->inside) {
        p->inside = false;
        if (p->injected) set_registers(p->pid, false, -t->error);
        p->injected = false;
    } else if (ptrace(PTRACE_GETREGS, p->pid, NULL, &r) == 0) {
        enter_call(t, p, (long)r.orig_rax);
    }
}

/* A program is let go when it executes; a slot, which is the arena's child, is not. */
static bool is_program(const trace *t, pid_t pid) {
    return boxes_parent_of(pid) != t->arena && pid != t->arena;
}

static void handle_stop(trace *t, pid_t pid, int status) {
    tracee *p = find_tracee(t, pid);
    const int signal = WSTOPSIG(status), event = status >> 16;
    long pass = 0;
    if (signal == (SIGTRAP | 0x80)) {
        stop_at_call(t, p);
    } else if (event == PTRACE_EVENT_EXEC) {
        if (is_program(t, pid)) {
            ptrace(PTRACE_DETACH, pid, NULL, NULL);
            return;
        }
        p->counted = false;
    } else if (event == 0 && signal != SIGSTOP && signal != SIGTRAP) {
        pass = signal;
    }
    ptrace(PTRACE_SYSCALL, pid, NULL, pass);
}

static pid_t arenas[LIVES_MAX];
static size_t lives;

/* One life of a pool. The tracer's children are the arena and, after its end, whoever it left. */
static bool live(const setting *s, long wanted, trace *t) {
    *t = (trace){.wanted = wanted, .failed = -1};
    *s->outcome = (outcome){.ended = false};
    const uint64_t begin = bv_clock_ns();
    t->arena = fork();
    assert_true(t->arena >= 0);
    if (t->arena == 0) arena_main(s);
    assert_true(lives < LIVES_MAX);
    arenas[lives++] = t->arena;
    int status;
    assert_int_equal(waitpid(t->arena, &status, 0), t->arena);
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                         PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, t->arena, NULL, options), 0);
    ptrace(PTRACE_SYSCALL, t->arena, NULL, NULL);
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (pid > 0 && WIFSTOPPED(status)) handle_stop(t, pid, status);
        if (bv_clock_ns() - begin > PATIENCE_NS) kill(t->arena, SIGKILL);
    }
    return s->outcome->ended;
}

/* ---- what is right ---- */

static char expected[2000];

static const char *judge(const outcome *o) {
    if (!o->ended) return "the arena did not end by itself";
    if (o->errored || o->verdict == BV_VERDICT_FAULT) return o->text[0] ? NULL : "no reason";
    if (o->verdict != BV_VERDICT_OK) return "a wrong verdict";
    return strcmp(o->output, expected) ? "other walls" : NULL;
}

static bool let_each_fail(const setting *s) {
    trace t;
    const char *every = getenv("BEAVER_FAULTS");
    const long step = every ? strtol(every, NULL, 10) : 20;
    int complaints = 0, faults = 0, errors = 0, runs = 0;
    if (!live(s, -1, &t) || s->outcome->errored || s->outcome->verdict != BV_VERDICT_OK) {
        print_error("without a fault: %s\n", s->outcome->text);
        return false;
    }
    snprintf(expected, sizeof expected, "%s", s->outcome->output);
    const long calls = t.calls;
    for (long i = (long)getpid() % step; i < calls && complaints < COMPLAINTS_MAX; i += step) {
        live(s, i, &t);
        const outcome *o = s->outcome;
        const char *wrong = judge(o);
        runs++, errors += o->errored, faults += !o->errored && o->verdict == BV_VERDICT_FAULT;
        if (!wrong) continue;
        complaints++;
        print_error("%s, call %ld (%ld fails with %s): %s: %s, %s\n%s", boxes_mode_name(s->mode), i,
                    t.failed, strerror((int)t.error), wrong, bv_sandbox_verdict_name(o->verdict),
                    o->text, strcmp(wrong, "other walls") ? "" : o->output);
    }
    print_message("%s: %d of %ld calls failed: %d errors, %d faults, %d as if nothing was\n",
                  boxes_mode_name(s->mode), runs, calls, errors, faults,
                  runs - errors - faults - complaints);
    return complaints == 0;
}

/* ---- all of it ---- */

static bool try_faults(const boxes_mode *mode, void *context) {
    (void)context;
    const bv_language *c = bv_language_find("c");
    const bv_sandbox_file source = {
        .name = "main.c", .bytes = probe_text, .size = sizeof probe_text - 1};
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 1};
    bv_sandbox_pool *pool;
    bv_artifact probe;
    bv_sandbox_result r = {0};
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    assert_ok(bv_language_compile(pool, c, &source, 1, &probe, &r));
    if (!probe.file_count) fail_msg("%s", r.error.data);
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
    outcome *o = mmap(NULL, sizeof *o, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(o != MAP_FAILED);
    const setting s = {mode, &probe, o};
    const bool well = let_each_fail(&s);
    assert_ok(bv_sandbox_pool_create(&options, &pool)); /* which sweeps */
    bv_sandbox_pool_destroy(&pool);
    size_t left = 0;
    for (size_t i = 0; i < lives; i++) left += boxes_count_left(arenas[i]);
    if (left) print_error("%zu groups and folders are left\n", left);
    bv_artifact_free(&probe);
    return well && left == 0;
}

static void try_mode(bv_sandbox_policy policy, bool user) {
    boxes_try(try_faults, policy, user, NULL);
}

BOXES_TRY_MODES(test, try_mode)

int main(void) {
    if (!boxes_possible()) return 77;
    const struct CMUnitTest tests[] = {BOXES_MODES(test)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else /* the tracer knows the registers of one machine; a sanitizer's own calls may not fail */

int main(void) {
    return 77;
}

#endif

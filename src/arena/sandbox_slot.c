/*
 * A slot: a process of one thread that makes boxes, one after another, each when it is asked. It is
 * our own program executed anew (/proc/self/exe), so it is small to fork, holds no memory of the
 * caller, and no descriptor of it but its socket. It is told apart by its name in argv[0], before
 * main.
 *
 * The root that boxes of one plan share under `full` is built once, when the plan is new, in a
 * mount namespace of its own. The slot moves into that and each box copies it. One box at a time is
 * made from it, and the one before is dead by then.
 *
 * When its caller is gone, even by SIGKILL, its socket closes: it kills its box and ends.
 */
#include "arena/sandbox_box.h"
#include "arena/warm_python.h"

#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_NAME "beaver-sandbox-slot"
#define SOCKET 3
#define PROC 4 /* the host's /proc */

extern char **environ;

/* ---- in the caller ---- */

/* What a slot keeps of the environment: a warm interpreter's guest could read all of it. Functions
 * are bound at once: else each box binds them again, and copies the pages for that. */
static void pick_environment(char *kept[8]) {
    static const char *const names[] = {
        "LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS="};
    size_t count = 0;
    kept[count++] = "LD_BIND_NOW=1";
    for (size_t i = 0; environ && environ[i]; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names && count < 7; k++)
            if (!strncmp(environ[i], names[k], strlen(names[k]))) kept[count++] = environ[i];
    kept[count] = NULL;
}

static int spawn(int socket, pid_t *pid) {
    char *argv[] = {SLOT_NAME, NULL}, *kept[8];
    pick_environment(kept);
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions)) return ENOMEM;
    int failed = posix_spawn_file_actions_adddup2(&actions, socket, SOCKET);
    for (int i = 0; i < 3 && !failed; i++)
        failed = posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    if (!failed) failed = posix_spawn(pid, "/proc/self/exe", &actions, NULL, argv, kept);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

bv_status bv_slot_spawn(int *socket, pid_t *pid) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return bv_fail_errno("cannot make a socket for a slot");
    /* Above the target: dup2 onto itself would keep it close-on-exec. */
    const int high = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
    close(pair[1]);
    const int failed = high < 0 ? errno : spawn(high, pid);
    if (high >= 0) close(high);
    if (failed) {
        close(pair[0]);
        errno = failed;
        return bv_fail_errno("cannot start a slot of the sandbox");
    }
    *socket = pair[0];
    return BV_OK;
}

/* ---- in the slot ---- */

typedef struct known {
    bv_buffer bytes; /* what the plan's strings point into; empty: nothing is known */
    bv_box_plan plan;
    int mounts; /* full: the namespace with its root, else -1 */
} known;

typedef struct slot {
    known plans[BV_SLOT_PLANS];
    known *now;      /* of the box that is made or there, NULL: none */
    int host_mounts; /* full: the copy of the host's, -1: not yet */
    known *inside;   /* in whose root we are, NULL: in none */
    pid_t box;       /* 0: none */
    int offered;     /* as of bv_memory_protect */
    bool python, python_tried;
} slot;

static bool is_nested(const slot *s) {
    return s->now && s->now->plan.policy == BV_POLICY_NESTED;
}

static void reap(slot *s) {
    if (s->box > 0) {
        /* Its control socket is closed by now, so it ends by itself; a full one dies by the signal
         * at once, a nested one needs its time to kill its tree. */
        if (!is_nested(s)) kill(s->box, SIGKILL);
        while (waitpid(s->box, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    s->box = 0;
    /* Orphans of a nested box that was killed from outside are ours now. */
    if (is_nested(s))
        bv_nested_reap(NULL, 0, NULL);
    else
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
}

/* ---- plans ---- */

static void start_python(slot *s) {
    if (s->python_tried) return;
    bv_error *error = bv_warm_python_start();
    s->python = !error;
    s->python_tried = true;
    bv_error_free(&error); /* then programs start their own */
#if defined(__GLIBC__)
    /* What was freed is merged now: else each box does it again, and copies the pages for that. */
    malloc_trim(0);
#endif
}

/* A part of memory that fork leaves out. */
static void leave_out(uintptr_t begin, size_t size) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t start = begin & ~(page - 1);
    madvise((void *)start, begin + size - start, MADV_DONTFORK); /* else it is only slower */
}

/* Libraries of the program that nothing here calls: each box would copy what their relocations
 * wrote, and its program again. */
static int leave_out_library(struct dl_phdr_info *library, size_t size, void *context) {
    static const char *const names[] = {"/libcrypto.so",  "/libsqlite3.so", "/libuv.so", "/libm.so",
                                        "/libjansson.so", "/libseccomp.so", "/libz.so"};
    (void)size, (void)context;
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        found = found || strstr(library->dlpi_name, names[i]);
    for (int i = 0; found && i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &library->dlpi_phdr[i];
        if (part->p_type == PT_LOAD) leave_out(library->dlpi_addr + part->p_vaddr, part->p_memsz);
    }
    return 0;
}

static void forget(slot *s, known *k) {
    if (k->mounts >= 0) close(k->mounts);
    if (s->inside == k) s->inside = NULL;
    bv_box_plan_free(&k->plan);
    bv_buffer_free(&k->bytes);
    k->mounts = -1;
}

/* Ends in the root of the plan, and keeps the namespace it is in. */
static bv_status build_root(slot *s, known *k) {
    if (s->host_mounts < 0) {
        BV_TRY(bv_namespace_settle(PROC));
        s->host_mounts = bv_namespace_mounts(PROC);
        if (s->host_mounts < 0) return bv_fail_errno("cannot open the namespace of a slot");
    } else if (setns(s->host_mounts, CLONE_NEWNS))
        return bv_fail_errno("cannot leave the root of a box");
    s->inside = NULL;
    if (unshare(CLONE_NEWNS)) return bv_fail_errno("cannot make the namespace of a root");
    BV_TRY(bv_root_build(&k->plan));
    k->mounts = bv_namespace_mounts(PROC);
    if (k->mounts < 0) return bv_fail_errno("cannot open the namespace of a root");
    s->inside = k;
    return BV_OK;
}

static bv_status learn(slot *s, known *k, const char *bytes, uint64_t size) {
    forget(s, k);
    bv_buffer_append(&k->bytes, bytes, size);
    BV_TRY(bv_buffer_error(&k->bytes));
    bv_wire_reader in = {k->bytes.data, k->bytes.size, false};
    BV_TRY(bv_box_plan_get(&in, &k->plan));
    if (k->plan.warm_python)
        start_python(s);
    else
        dl_iterate_phdr(leave_out_library, NULL);
    k->plan.warm_python = s->python;
    return k->plan.policy == BV_POLICY_FULL ? build_root(s, k) : BV_OK;
}

/* A plan comes once, then only its place. */
static bv_status take_plan(slot *s, const bv_buffer *payload) {
    bv_wire_reader in = {payload->data, payload->size, false};
    uint64_t size;
    const uint64_t place = bv_wire_get(&in);
    const char *bytes = bv_wire_get_bytes(&in, &size);
    if (in.bad || place >= BV_SLOT_PLANS) return bv_fail(BV_CODE_FAULT, "a frame is damaged");
    known *k = s->now = &s->plans[place];
    if (size > 0) {
        bv_error *error = learn(s, k, bytes, size);
        if (error) forget(s, k);
        if (error) return error;
    }
    if (k->bytes.size == 0) return bv_fail(BV_CODE_FAULT, "a slot was asked for an unknown plan");
    if (k->mounts >= 0 && s->inside != k && setns(k->mounts, CLONE_NEWNS))
        return bv_fail_errno("cannot enter the root of a box");
    if (k->mounts >= 0) s->inside = k;
    return BV_OK;
}

/* ---- boxes ---- */

/* The child's side of a new box never returns from here. */
static bv_status fork_box(slot *s, const int control[2], int *process) {
    const bool separate = s->now->plan.policy == BV_POLICY_FULL;
    s->box = bv_namespace_fork(separate, process);
    if (s->box == 0) {
        close(SOCKET), close(control[0]);
        if (s->host_mounts >= 0) close_range(BV_SLOT_OWN, ~0u, 0);
        if (bv_memory_offer(PROC, s->offered)) _exit(1);
        bv_box_main(&s->now->plan, PROC, control[1]);
    }
    if (s->box < 0) {
        s->box = 0;
        return bv_fail_errno("cannot make the namespaces of a box");
    }
    if (separate) BV_TRY(bv_namespace_map(PROC, s->box));
    if (send(control[0], "", 1, MSG_NOSIGNAL) != 1) return bv_fail_errno("cannot start a box");
    return BV_OK;
}

static bv_status make_box(slot *s) {
    int control[2], process = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
        return bv_fail_errno("cannot make a socket for a box");
    bv_error *error = fork_box(s, control, &process);
    if (!error) {
        const uint64_t pid = (uint64_t)s->box;
        const int descriptors[] = {control[0], process};
        error = bv_wire_send(SOCKET, BV_FRAME_BOX, &pid, sizeof pid, descriptors, 2);
    }
    close(control[0]), close(control[1]);
    if (process >= 0) close(process);
    return error;
}

/* What our caller ignores we would too, and with us the programs. */
static void set_signals(void) {
    static const int deaf[] = BV_SLOT_DEAF;
    for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
    for (size_t i = 0; i < sizeof deaf / sizeof *deaf; i++) signal(deaf[i], SIG_IGN);
}

static void slot_main(void) __attribute__((noreturn));
static void slot_main(void) {
    slot s = {.host_mounts = -1};
    bv_frame frame;
    bv_buffer payload = {0};
    bv_error *error = BV_OK;
    for (size_t i = 0; i < BV_SLOT_PLANS; i++) s.plans[i].mounts = -1;
    close_range(SOCKET + 1, ~0u, 0);
    fcntl(SOCKET, F_SETFD, FD_CLOEXEC);
    const int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc != PROC) _exit(1); /* there is none */
    umask(022);                 /* or a program could not enter what we make for it */
    set_signals();
    prctl(PR_SET_NAME, "beaver-slot");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    s.offered = bv_memory_protect(PROC);
    while (!(error = bv_wire_receive(SOCKET, &frame, &payload))) {
        bv_frame_close(&frame);
        reap(&s);
        if (frame.type != BV_FRAME_MAKE) break;
        error = take_plan(&s, &payload);
        if (!error) error = make_box(&s);
        if (error) {
            const char *text = bv_error_text(error);
            reap(&s);
            bv_error *gone = bv_wire_send(SOCKET, BV_FRAME_FAULT, text, strlen(text) + 1, NULL, 0);
            bv_error_free(&error);
            if (gone) break;
        }
    }
    reap(&s);
    _exit(0);
}

/* Before main, in every program that has a sandbox in it: is it executed as a slot? */
static void begin(int argc, char **argv, char **env) __attribute__((constructor));
static void begin(int argc, char **argv, char **env) {
    (void)env;
    if (argc == 1 && argv[0] && strcmp(argv[0], SLOT_NAME) == 0) slot_main();
}

/*
 * A slot: a process of one thread that makes boxes, one after another, each when it is asked. It is
 * our own program executed anew (/proc/self/exe), so it is small to fork, holds no memory of the
 * caller, and no descriptor but its socket. It is told apart by its name in argv[0], before main.
 *
 * When its caller is gone, even by SIGKILL, its socket closes: it kills its box and ends.
 */
#include "arena/sandbox_box.h"
#include "arena/warm_python.h"

#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_NAME "beaver-sandbox-slot"
#define SOCKET 3

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

typedef struct slot {
    bv_box_plan plan;
    bv_buffer plan_bytes; /* what the plan's strings point into */
    pid_t box;            /* 0: none */
    bool memfd;           /* what the filter was compiled for */
    bool python, python_tried;
    bv_sandbox_policy policy;
} slot;

static void reap(slot *s) {
    if (s->box > 0) {
        /* Its control socket is closed by now, so it ends by itself; a full one dies by the signal
         * at once, a nested one needs its time to kill its tree. */
        if (s->plan.policy == BV_POLICY_FULL) kill(s->box, SIGKILL);
        while (waitpid(s->box, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    s->box = 0;
    /* Orphans of a nested box that was killed from outside are ours now. */
    if (s->plan.policy == BV_POLICY_NESTED)
        bv_nested_reap(NULL, 0, NULL);
    else
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
}

static bv_status take_plan(slot *s, bv_buffer *payload) {
    bv_box_plan_free(&s->plan);
    bv_buffer_free(&s->plan_bytes);
    s->plan_bytes = *payload;
    *payload = (bv_buffer){0};
    bv_wire_reader in = {s->plan_bytes.data, s->plan_bytes.size, false};
    BV_TRY(bv_box_plan_get(&in, &s->plan));
    const bool memfd = s->plan.memory_counted;
    bool tidy = false;
    if (!bv_seccomp_filter.filter || s->memfd != memfd || s->policy != s->plan.policy) {
        bv_free(bv_seccomp_filter.filter);
        bv_seccomp_filter.filter = NULL;
        BV_TRY(bv_seccomp_compile(s->plan.policy, memfd, &bv_seccomp_filter));
        tidy = true;
        s->memfd = memfd, s->policy = s->plan.policy;
    }
    if (s->plan.warm_python && !s->python_tried) {
        bv_error *error = bv_warm_python_start();
        s->python = !error;
        s->python_tried = true;
        bv_error_free(&error); /* then programs start their own */
        tidy = true;
    }
#if defined(__GLIBC__)
    /* What was freed is merged now: else each box does it again, and copies the pages for that. */
    if (tidy) malloc_trim(0);
#endif
    s->plan.warm_python = s->python;
    return BV_OK;
}

/* The child's side of a new box never returns from here. */
static bv_status fork_box(slot *s, int control[2], int sync[2], int *process) {
    const bool separate = s->plan.policy == BV_POLICY_FULL;
    s->box = bv_namespace_fork(separate, process);
    if (s->box == 0) {
        close(SOCKET), close(control[0]), close(sync[1]);
        bv_box_main(&s->plan, control[1], sync[0]);
    }
    if (s->box < 0) {
        s->box = 0;
        return bv_fail_errno("cannot make the namespaces of a box");
    }
    if (separate) BV_TRY(bv_namespace_map(s->box));
    if (write(sync[1], "", 1) != 1) return bv_fail_errno("cannot start a box");
    return BV_OK;
}

static bv_status make_box(slot *s) {
    int control[2], sync[2], process = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
        return bv_fail_errno("cannot make a socket for a box");
    if (pipe2(sync, O_CLOEXEC)) {
        close(control[0]), close(control[1]);
        return bv_fail_errno("cannot make a pipe for a box");
    }
    bv_error *error = fork_box(s, control, sync, &process);
    if (!error) {
        const uint64_t pid = (uint64_t)s->box;
        const int descriptors[] = {control[0], process};
        error = bv_wire_send(SOCKET, BV_FRAME_BOX, &pid, sizeof pid, descriptors, 2);
    }
    close(control[0]), close(control[1]), close(sync[0]), close(sync[1]);
    if (process >= 0) close(process);
    return error;
}

static void slot_main(void) __attribute__((noreturn));
static void slot_main(void) {
    slot s = {0};
    bv_frame frame;
    bv_buffer payload = {0};
    bv_error *error = BV_OK;
    close_range(SOCKET + 1, ~0u, 0);
    fcntl(SOCKET, F_SETFD, FD_CLOEXEC);
    signal(SIGINT, SIG_IGN), signal(SIGTERM, SIG_IGN), signal(SIGHUP, SIG_IGN);
    prctl(PR_SET_NAME, "beaver-slot");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    bv_memory_protect();
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

/*
 * The program: a process of a box that raises all walls and executes a job. The order matters: what
 * needs privileges comes first, then they go, then Landlock, then seccomp, since from there on only
 * listed calls work. A step that fails ends here and is reported; nothing runs with less.
 *
 * Until it executes, it is our own code, and shares the memory of its box, which stands still
 * meanwhile (vfork): a copy would be taken apart at once. Descriptors, ids, limits and walls are a
 * process's own all the same; what memory has is dumpability, so that goes back to what the box
 * wants. An interpreter, which is not executed, is a copy, made ahead: it raises the walls and
 * waits.
 */
#include "arena/sandbox_box.h"
#include "arena/warm_python.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET 3   /* to the box, until execve closes it */
#define LANDLOCK 4 /* the ruleset, until it is entered */

static void fail(const char *stage) __attribute__((noreturn));
static void fail(const char *stage) {
    bv_program_failure f = {.number = errno};
    snprintf(f.stage, sizeof f.stage, "%s", stage);
    bv_error *gone = bv_wire_send(SOCKET, BV_FRAME_FAULT, &f, sizeof f, NULL, 0);
    _exit(gone ? 126 : 127);
}

static void reset_signals(void) {
    static const int deaf[] = BV_SLOT_DEAF;
    sigset_t none;
    for (size_t i = 0; i < sizeof deaf / sizeof *deaf; i++) signal(deaf[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The socket and the ruleset move to their places; all else is closed, the box's own socket to the
 * caller among it. Sources are moved above all targets first. */
static void keep_descriptors(int socket, int *landlock) {
    const int high = fcntl(socket, F_DUPFD_CLOEXEC, 100);
    const int rules = *landlock < 0 ? -1 : fcntl(*landlock, F_DUPFD_CLOEXEC, 100);
    if (high < 0 || dup3(high, SOCKET, O_CLOEXEC) < 0) _exit(127);
    if (*landlock >= 0 && (*landlock = dup3(rules, LANDLOCK, O_CLOEXEC)) < 0) fail("landlock");
    if (close_range(*landlock < 0 ? SOCKET + 1 : LANDLOCK + 1, ~0u, 0)) fail("descriptors");
}

static void take_streams(const int streams[3]) {
    for (int i = 0; i < 3; i++)
        if (dup2(streams[i], i) < 0) fail("descriptors");
}

static void raise_walls(bv_box *box, int socket, const bv_program_start *given) {
    reset_signals();
    const bool exposed = bv_memory_expose(box) == 0; /* before the descriptors are closed */
    if (given) take_streams(given->streams);
    keep_descriptors(socket, &box->landlock);
    if (!exposed) fail("order of killing");
    umask(077);
    if (setsid() < 0) fail("setsid");
    if (bv_privileges_drop(box)) fail("privileges");
    if (chdir(box->work_path)) fail("work folder");
    if (bv_landlock_enter(box)) fail("landlock");
    if (box->landlock >= 0) close(box->landlock);
    const int listener = bv_seccomp_enter(&box->plan->filter);
    if (listener < 0) fail("seccomp");
    if (bv_wire_send(SOCKET, BV_FRAME_READY, NULL, 0, &listener, 1)) _exit(126);
    close(listener);
}

/* A name without a slash is the work folder's, if it is there, else looked up in PATH. A file that
 * is there and is not found by the kernel names an interpreter that is not. */
static void execute(char **argv, char **env) {
    char local[512];
    const char *path = argv[0];
    environ = env;
    if (!strchr(path, '/')) {
        snprintf(local, sizeof local, "./%s", path);
        path = faccessat(AT_FDCWD, local, X_OK, 0) == 0 ? local : NULL;
    }
    if (!path) {
        execvpe(argv[0], argv, env);
        return;
    }
    execve(path, argv, env);
    if (errno == ENOENT) errno = faccessat(AT_FDCWD, path, F_OK, 0) == 0 ? ELIBACC : ENOENT;
}

static void run(const bv_box *box, const bv_box_job *job) __attribute__((noreturn));
static void run(const bv_box *box, const bv_box_job *job) {
    if (bv_limits_enter(box, &job->limits)) fail("limits");
    if (job->warm_python && box->plan->warm_python) {
        close(SOCKET);
        _exit(bv_warm_python_run(job->argv, job->env));
    }
    execute(job->argv, job->env);
    fail("execve");
}

void bv_program_main(const bv_box *box, int socket, const bv_program_start *given) {
    bv_box own = *box;
    bv_box_job job = {0};
    bv_frame frame;
    bv_buffer payload = {0};
    raise_walls(&own, socket, given);
    if (given) run(&own, given->job);
    bv_warm_python_prepare();
    bv_error *error = bv_wire_receive(SOCKET, &frame, &payload);
    if (error) _exit(0); /* the box ends unused */
    bv_wire_reader in = {payload.data, payload.size, false};
    if (frame.descriptor_count != 3 || bv_box_job_get(&in, &job)) {
        errno = EPROTO;
        fail("job");
    }
    take_streams(frame.descriptors);
    bv_frame_close(&frame);
    run(&own, &job);
}

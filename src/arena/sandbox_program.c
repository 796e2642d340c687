/*
 * The program: a process of a box that is made ahead, raises all walls that no job changes, and
 * waits. With a job it arranges its streams, sets its limits and executes. The order matters: what
 * needs privileges comes first, then they go, then Landlock, then seccomp, since from there on only
 * listed calls work. A step that fails ends here and is reported; nothing runs with less.
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
    for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The socket and the ruleset move to their places; all else is closed, the box's own socket to the
 * caller among it. Sources are moved above all targets first. */
static void keep_descriptors(int socket, int *landlock) {
    const int high = fcntl(socket, F_DUPFD_CLOEXEC, 100);
    const int rules = *landlock < 0 ? -1 : fcntl(*landlock, F_DUPFD_CLOEXEC, 100);
    if (high < 0 || dup3(high, SOCKET, O_CLOEXEC) < 0) _exit(127);
    if (rules >= 0) *landlock = dup3(rules, LANDLOCK, O_CLOEXEC);
    if (close_range(*landlock < 0 ? SOCKET + 1 : LANDLOCK + 1, ~0u, 0)) fail("descriptors");
}

static void raise_walls(bv_box *box, int socket) {
    reset_signals();
    const bool exposed = bv_memory_expose(box) == 0; /* before the descriptors are closed */
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

/* A name without a slash is the work folder's, if it is there, else looked up in PATH. */
static void execute(char **argv, char **env) {
    char local[512];
    environ = env;
    if (!strchr(argv[0], '/') && faccessat(AT_FDCWD, argv[0], X_OK, 0) == 0) {
        snprintf(local, sizeof local, "./%s", argv[0]);
        execve(local, argv, env);
    }
    execvpe(argv[0], argv, env);
}

void bv_program_main(const bv_box *box, int socket) {
    bv_box own = *box;
    bv_box_job job = {0};
    bv_frame frame;
    bv_buffer payload = {0};
    raise_walls(&own, socket);
    if (own.plan->warm_python) bv_warm_python_prepare();
    bv_error *error = bv_wire_receive(SOCKET, &frame, &payload);
    if (error) _exit(0); /* the box ends unused */
    bv_wire_reader in = {payload.data, payload.size, false};
    if (frame.descriptor_count != 3 || bv_box_job_get(&in, &job)) {
        errno = EPROTO;
        fail("job");
    }
    for (int i = 0; i < 3; i++)
        if (dup2(frame.descriptors[i], i) < 0) fail("descriptors");
    bv_frame_close(&frame);
    if (bv_limits_enter(&own, &job.limits)) fail("limits");
    if (job.warm_python && own.plan->warm_python) {
        close(SOCKET);
        _exit(bv_warm_python_run(job.argv, job.env));
    }
    execute(job.argv, job.env);
    fail("execve");
}

/*
 * The program: from the fork of a box to execve. The order matters: descriptors first, limits that
 * need privileges, privileges away, Landlock, seccomp last, since from then on only listed calls
 * work. Any step that fails ends here and is reported; nothing runs with less.
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
#include <sys/uio.h>
#include <unistd.h>

#define REPORT 3 /* where the socket to the box stands until execve closes it */

static void fail(const char *stage) __attribute__((noreturn));
static void fail(const char *stage) {
    bv_program_failure f = {.kind = 'E', .number = errno};
    snprintf(f.stage, sizeof f.stage, "%s", stage);
    send(REPORT, &f, sizeof f, MSG_NOSIGNAL);
    _exit(127);
}

static void reset_signals(void) {
    for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0, 1, 2 and the report's socket; all others are closed. Sources are above all targets. */
static void arrange_descriptors(const bv_program_streams *s, int *landlock) {
    const int from[] = {s->input, s->output, s->error, s->report};
    int high[5];
    for (int i = 0; i < 4; i++) high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 100);
    high[4] = *landlock < 0 ? -1 : fcntl(*landlock, F_DUPFD_CLOEXEC, 100);
    for (int i = 0; i < 3; i++)
        if (dup2(high[i], i) < 0) _exit(127);
    if (dup3(high[3], REPORT, O_CLOEXEC) < 0) _exit(127);
    if (high[4] >= 0) {
        if (dup3(high[4], REPORT + 1, O_CLOEXEC) < 0) fail("descriptors");
        *landlock = REPORT + 1;
    }
    if (close_range(*landlock < 0 ? REPORT + 1 : REPORT + 2, ~0u, 0)) fail("descriptors");
}

static void send_listener(int listener) {
    bv_program_failure f = {.kind = 'N'};
    struct iovec part = {&f, sizeof f};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } space;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof space.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &listener, sizeof listener);
    if (sendmsg(REPORT, &message, MSG_NOSIGNAL) < 0) fail("seccomp");
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

void bv_program_main(const bv_box *box, const bv_box_job *job, const bv_program_streams *streams) {
    bv_box own = *box;
    reset_signals();
    const bool exposed = bv_memory_expose(box) == 0; /* before the descriptors are closed */
    arrange_descriptors(streams, &own.landlock);
    umask(077);
    if (!exposed) fail("order of killing");
    if (setsid() < 0) fail("setsid");
    if (bv_limits_enter(&own, &job->limits)) fail("limits");
    if (bv_privileges_drop(&own)) fail("privileges");
    if (chdir(own.work_path)) fail("work folder");
    if (bv_landlock_enter(&own)) fail("landlock");
    if (own.landlock >= 0) close(own.landlock);
    const int listener = bv_seccomp_enter(&bv_seccomp_filter);
    if (listener < 0) fail("seccomp");
    send_listener(listener);
    if (job->warm_python && own.plan->warm_python) {
        close(REPORT);
        _exit(bv_warm_python_run(job->argv));
    }
    execute(job->argv, job->env);
    fail("execve");
}

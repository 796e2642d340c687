/*
 * The first process of a box. Ahead of a job it builds all that no job changes and says READY.
 * Then: take the job, place its files, start the program, and wait for whatever comes first: its
 * end, a forbidden call, a full work folder, the caller's wish to kill, or the caller's end (the
 * socket closes). After that the whole tree is killed and reaped, so that the times are those of
 * all, and the report goes out on a socket that the program never had. A box never runs a second
 * job.
 *
 * The program cannot reach this process: it is the first of a pid namespace (signals from inside do
 * not count), not dumpable, and holds capabilities that the program lacks.
 */
#include "arena/sandbox_box.h"

#include "base/clock.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_LOOK_MS 20
#define STACK_BYTES (1 << 20) /* of a program before it is one: its arguments may be many */

/* A running program as its box sees it. */
typedef struct run {
    bv_box *box;
    const bv_box_job *job;
    bv_box_report report;
    int signals;  /* signalfd of SIGCHLD */
    int socket;   /* to the program's process, until it is executed */
    int listener; /* of forbidden calls, -1: closed */
    pid_t program;
    bool ended;
} run;

static void give_up(int control, bv_error *error) __attribute__((noreturn));
static void give_up(int control, bv_error *error) {
    const char *text = bv_error_text(error);
    bv_error *ignored = bv_wire_send(control, BV_FRAME_FAULT, text, strlen(text) + 1, NULL, 0);
    (void)ignored; /* the caller is gone; so are we */
    _exit(1);
}

/* ---- ahead ---- */

static bv_status prepare(bv_box *box) {
    char byte; /* the slot's, before all frames of the caller */
    if (read(box->control, &byte, 1) != 1) _exit(0); /* it died, or could not map the ids */
    if (box->plan->policy == BV_POLICY_FULL) {
        BV_TRY(bv_namespace_become());
        if (prctl(PR_SET_PDEATHSIG, SIGKILL)) return bv_fail_errno("cannot follow the slot's end");
        BV_TRY(bv_root_finish(box));
    } else {
        if (prctl(PR_SET_CHILD_SUBREAPER, 1)) return bv_fail_errno("cannot adopt orphans");
        BV_TRY(bv_nested_build(box));
    }
    if (prctl(PR_SET_DUMPABLE, 0)) return bv_fail_errno("cannot hide a box's memory");
    if (bv_privileges_bound()) return bv_fail_errno("cannot bound the privileges of a box");
    return bv_landlock_prepare(box);
}

/* ---- the job's files ---- */

/* The bytes of a sealed file, which comes in a frame of its own. */
static bool copy_sealed(const bv_box *box, int out) {
    bv_frame frame;
    bv_buffer payload = {0};
    struct stat s;
    off_t at = 0;
    bv_error *error = bv_wire_receive(box->control, &frame, &payload);
    bool done = !error && frame.type == BV_FRAME_PLACE && frame.descriptor_count == 1 &&
                fstat(frame.descriptors[0], &s) == 0;
    while (done && at < s.st_size)
        done = sendfile(out, frame.descriptors[0], &at, (size_t)(s.st_size - at)) > 0;
    const int number = errno;
    if (!error) bv_frame_close(&frame);
    bv_error_free(&error);
    bv_buffer_free(&payload);
    errno = number;
    return done;
}

static bool copy_bytes(const bv_sandbox_file *file, int out) {
    const char *bytes = file->bytes;
    for (size_t left = file->size; left > 0;) {
        const ssize_t n = write(out, bytes, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        bytes += n, left -= (size_t)n;
    }
    return true;
}

static bv_status place(const bv_box *box, const bv_sandbox_file *file) {
    const int out = openat(box->work, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0) return bv_fail_errno("cannot place %s in a box", file->name);
    const bool copied = file->bytes ? copy_bytes(file, out) : copy_sealed(box, out);
    bv_error *error = BV_OK;
    if (!copied || fchmod(out, file->executable ? 0700 : 0600) ||
        (box->uid && fchown(out, box->uid, (gid_t)box->uid)))
        error = bv_fail_errno("cannot place %s in a box", file->name);
    close(out);
    return error;
}

static bv_status place_all(bv_box *box, const bv_box_job *job) {
    if (box->plan->policy == BV_POLICY_FULL)
        BV_TRY(bv_root_resize(box, job->limits.files_bytes, job->limits.files));
    box->files_bytes = job->limits.files_bytes, box->files = job->limits.files;
    for (size_t i = 0; i < job->file_count; i++) BV_TRY(place(box, &job->files[i]));
    return BV_OK;
}

/* Sends an open regular file of the work folder, or that there is none. The tree is dead by now.
 * O_NONBLOCK: a FIFO must not make us wait. */
static bv_status fetch(const bv_box *box, size_t index, const char *name) {
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    const int file = openat(box->work, name, flags);
    struct stat s;
    const bool found = file >= 0 && fstat(file, &s) == 0 && S_ISREG(s.st_mode);
    bv_buffer payload = {0};
    bv_wire_put(&payload, index);
    bv_wire_put(&payload, found);
    bv_error *error = bv_buffer_error(&payload);
    if (!error)
        error = bv_wire_send(box->control, BV_FRAME_FILE, payload.data, payload.size, &file, found);
    bv_buffer_free(&payload);
    if (file >= 0) close(file);
    return error;
}

/* ---- the program ---- */

/* Errors of execve that say nothing about what was to be executed. */
static bool is_shortage(int number) {
    return number == ENOMEM || number == EAGAIN || number == ENFILE || number == EIO;
}

/* What the program's process says before it is one. A failed execve is the program's own fault (it
 * is not there, or is none), all else is ours. */
static bv_status hear_program(run *r, const bv_frame *frame, const bv_buffer *payload) {
    bv_program_failure f;
    if (frame->type != BV_FRAME_FAULT || payload->size != sizeof f)
        return bv_fail(BV_CODE_FAULT, "a program's start was cut off");
    memcpy(&f, payload->data, sizeof f);
    f.stage[sizeof f.stage - 1] = 0;
    if (!strcmp(f.stage, "execve") && !is_shortage(f.number)) {
        r->report.exec_errno = f.number;
        return BV_OK;
    }
    errno = f.number;
    return bv_fail_errno("cannot raise the wall \"%s\"", f.stage);
}

typedef struct newborn {
    const bv_box *box;
    int socket;
    const bv_program_start *start;
} newborn;

static int become_program(void *context) {
    const newborn *n = context;
    bv_program_main(n->box, n->socket, n->start);
}

/* Shares our memory until it is executed or has failed: we stand still so long. Its stack is only
 * reserved, and a part of an address space that ends with the box. */
static pid_t clone_program(newborn *n) {
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) return -1;
    return clone(become_program, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, n);
}

/* The program's process, with its walls up; without a start it is a copy of us that waits for one.
 */
static bv_status make_program(run *r, const bv_program_start *start) {
    int pair[2];
    bv_frame frame;
    bv_buffer payload = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return bv_fail_errno("cannot make a socket in a box");
    newborn n = {r->box, pair[1], start};
    r->program = start ? clone_program(&n) : fork();
    if (r->program == 0) become_program(&n);
    bv_error *error = r->program < 0 ? bv_fail_errno("cannot start a process in a box") : BV_OK;
    close(pair[1]);
    r->socket = pair[0];
    if (!error) error = bv_wire_receive(r->socket, &frame, &payload);
    if (!error && frame.type == BV_FRAME_READY && frame.descriptor_count == 1)
        r->listener = frame.descriptors[0];
    else if (!error)
        error = hear_program(r, &frame, &payload);
    bv_buffer_free(&payload);
    return error;
}

static bv_status send_start(const run *r, const bv_program_start *start) {
    const bv_sandbox_job job = {.argv = (const char *const *)r->job->argv,
                                .env = (const char *const *)r->job->env,
                                .limits = r->job->limits,
                                .warm_python = r->job->warm_python};
    bv_buffer payload = {0};
    bv_box_job_put(&payload, &job);
    bv_error *error = bv_buffer_error(&payload);
    if (!error)
        error =
            bv_wire_send(r->socket, BV_FRAME_JOB, payload.data, payload.size, start->streams, 3);
    bv_buffer_free(&payload);
    return error;
}

static bv_status start(run *r, const bv_frame *frame) {
    int null = -1;
    if (frame->descriptor_count < 3) null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const bv_program_start start = {
        r->job,
        {null >= 0 ? null : frame->descriptors[2], frame->descriptors[0], frame->descriptors[1]}};
    r->report.wall_ns = bv_clock_ns();
    bv_error *error = r->program ? send_start(r, &start) : make_program(r, &start);
    if (null >= 0) close(null);
    return error;
}

/* After its end: had it been executed at all? */
static bv_status ask_start(run *r) {
    bv_frame frame;
    bv_buffer payload = {0};
    bv_error *error = bv_wire_receive(r->socket, &frame, &payload);
    const bool executed = bv_error_code(error) == BV_CODE_INTERRUPTED; /* it is closed */
    if (executed)
        bv_error_free(&error);
    else if (!error)
        error = hear_program(r, &frame, &payload);
    bv_buffer_free(&payload);
    close(r->socket);
    return error;
}

/* ---- watching ---- */

static void hear_forbidden(run *r) {
    struct seccomp_notif call;
    memset(&call, 0, sizeof call);
    if (ioctl(r->listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) return; /* its caller died */
    r->report.forbidden = call.data.nr, r->report.forbidden_arch = call.data.arch;
    r->ended = true;
}

/* Collects who has ended. The program's end is the end of its tree. */
static void reap(run *r) {
    struct signalfd_siginfo info;
    while (read(r->signals, &info, sizeof info) == sizeof info) {
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != r->program) continue;
        r->report.wait_status = status;
        r->ended = true;
    }
}

static void hear_caller(run *r) {
    bv_frame frame;
    bv_buffer payload = {0};
    bv_error *error = bv_wire_receive(r->box->control, &frame, &payload);
    r->ended = true;
    if (error)
        r->report.killed = 2; /* the caller is gone: there is nobody to report to */
    else
        r->report.killed = 1;
    bv_frame_close(&frame);
    bv_error_free(&error);
    bv_buffer_free(&payload);
}

/* Nested, looking means walking through the folder: at most a tenth of the time. */
static bool is_full(const bv_box *box, bool at_last) {
    static uint64_t next;
    if (box->plan->policy == BV_POLICY_FULL) return bv_root_is_full(box);
    const uint64_t begin = bv_clock_ns();
    if (begin < next && !at_last) return false;
    const bool full = bv_nested_is_full(box);
    next = begin + 11 * (bv_clock_ns() - begin) + DISK_LOOK_MS * 1000000ull / 2;
    return full;
}

static bv_status watch(run *r) {
    while (!r->ended) {
        struct pollfd p[3] = {{.fd = r->box->control, .events = POLLIN},
                              {.fd = r->signals, .events = POLLIN},
                              {.fd = r->listener, .events = POLLIN}};
        if (poll(p, 3, DISK_LOOK_MS) < 0) {
            if (errno != EINTR) return bv_fail_errno("cannot watch a program");
            continue;
        }
        if (p[2].revents & POLLIN)
            hear_forbidden(r);
        else if (p[2].revents)
            close(r->listener), r->listener = -1;
        if (p[0].revents) hear_caller(r);
        if (p[1].revents) reap(r);
        if (is_full(r->box, false)) r->report.disk_full = 1, r->ended = true;
    }
    return BV_OK;
}

static uint64_t cpu_of(int who) {
    struct rusage u;
    getrusage(who, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000ull +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000ull;
}

/* Orphans are the first process's children: where it has none, nobody else is there. */
static bool is_alone(void) {
    siginfo_t unused;
    return waitid(P_ALL, 0, &unused, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/* Kills all that is left and waits for it. The program may be among it, when it did not end by
 * itself. For a kill the kernel looks at all processes of the machine. */
static void end(run *r) {
    if (r->box->plan->policy == BV_POLICY_NESTED)
        bv_nested_reap(r->box, r->program, &r->report.wait_status);
    else if (!is_alone())
        kill(-1, SIGKILL);
    int status;
    for (;;) {
        const pid_t pid = waitpid(-1, &status, 0);
        if (pid == r->program) r->report.wait_status = status;
        if (pid > 0 && pid != r->program) r->report.left++;
        if (pid < 0 && errno != EINTR) break;
    }
    r->report.wall_ns = bv_clock_ns() - r->report.wall_ns;
    if (r->listener >= 0) close(r->listener);
    if (is_full(r->box, true)) r->report.disk_full = 1;
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    r->report.peak_rss = (uint64_t)u.ru_maxrss << 10;
    r->report.cpu_ns = cpu_of(RUSAGE_CHILDREN);
    r->report.own_cpu_ns = cpu_of(RUSAGE_SELF);
}

static bv_status tell(const run *r) {
    for (size_t i = 0; i < r->job->wanted_count; i++) BV_TRY(fetch(r->box, i, r->job->wanted[i]));
    return bv_wire_send(r->box->control, BV_FRAME_RESULT, &r->report, sizeof r->report, NULL, 0);
}

static bv_status catch_children(run *r) {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    r->signals = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
    return r->signals < 0 ? bv_fail_errno("cannot wait for children in a box") : BV_OK;
}

/* Nested, a program's home and its folder for temporary files are elsewhere. */
static bv_status move_home(const bv_box *box, bv_box_job *job) {
    size_t count = 0, kept = 0;
    while (job->env[count]) count++;
    char **env = bv_calloc(count + 3, sizeof *env), *home = bv_malloc(300),
         *folder = bv_malloc(300);
    if (!env || !home || !folder) return bv_fail_memory("an environment"); /* ends with the box */
    for (size_t i = 0; i < count; i++)
        if (strncmp(job->env[i], "HOME=", 5) && strncmp(job->env[i], "TMPDIR=", 7))
            env[kept++] = job->env[i];
    snprintf(home, 300, "HOME=%s", box->work_path);
    snprintf(folder, 300, "TMPDIR=%s", box->temporary);
    env[kept++] = home, env[kept] = folder;
    job->env = env;
    return BV_OK;
}

static bv_status run_job(run *r, bv_frame *frame, const bv_buffer *payload) {
    bv_box_job job = {0};
    bv_wire_reader in = {payload->data, payload->size, false};
    r->job = &job;
    if (frame->type != BV_FRAME_JOB || frame->descriptor_count < 2)
        return bv_fail(BV_CODE_FAULT, "a box was given something else than a job");
    BV_TRY(bv_box_job_get(&in, &job));
    if (r->box->plan->policy == BV_POLICY_NESTED) BV_TRY(move_home(r->box, &job));
    BV_TRY(place_all(r->box, &job));
    bv_error *error = start(r, frame);
    bv_frame_close(frame); /* or the caller would never see the end of the output */
    if (error) return error;
    error = watch(r);
    end(r);
    if (error) return error;
    BV_TRY(ask_start(r));
    return r->report.killed == 2 ? BV_OK : tell(r);
}

void bv_box_main(const bv_box_plan *plan, int proc, int control) {
    bv_box box = {.plan = plan, .control = control, .proc = proc, .work = -1, .landlock = -1};
    run r = {.box = &box, .listener = -1, .socket = -1, .report = {.forbidden = -1}};
    bv_frame frame;
    bv_buffer payload = {0};
    bv_error *error = prepare(&box);
    if (!error) error = catch_children(&r);
    if (!error && plan->warm_python) error = make_program(&r, NULL);
    if (!error) error = bv_wire_send(control, BV_FRAME_READY, NULL, 0, NULL, 0);
    if (!error) error = bv_wire_receive(control, &frame, &payload);
    if (!error) error = run_job(&r, &frame, &payload);
    if (plan->policy == BV_POLICY_NESTED) {
        bv_nested_reap(&box, 0, NULL);
        bv_nested_remove(&box);
    }
    if (error && bv_error_code(error) != BV_CODE_INTERRUPTED) give_up(control, error);
    _exit(0);
}

/*
 * Supervision, on the caller's thread: takes the output, keeps the times, counts the tree, hears
 * the box. A passed limit asks the box to end its tree (so that it can still report); a box that
 * does not answer is killed from outside.
 */
#include "arena/sandbox_pool.h"

#include "arena/sandbox_tree.h"
#include "base/clock.h"
#include "base/memory.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 10000000ull     /* between two looks at the counters */
#define DELAY_SHARE_MAX 9       /* of the wall time, at most waits for cores */
#define ANSWER_NS 3000000000ull /* for a box to end its tree and report */
#define DESCRIPTORS 3           /* a box: control, output, error */

static void ask_to_end(bv_sandbox_box *b) {
    if (b->kill_sent || b->over) return;
    b->kill_sent = bv_clock_ns();
    bv_error *error = bv_wire_send(b->control, BV_FRAME_KILL, NULL, 0, NULL, 0);
    bv_error_free(&error); /* a box that is gone needs no killing */
}

static void pass_limit(bv_sandbox_box *b, bv_sandbox_verdict limit) {
    if (b->trigger == BV_VERDICT_OK) b->trigger = limit;
    ask_to_end(b);
}

/* ---- output ---- */

static void take_output(bv_sandbox_box *b, int *descriptor, bv_buffer *into,
                        const bv_buffer *other) {
    char bytes[65536];
    const uint64_t limit = b->job->limits.output_bytes;
    const uint64_t room = limit - (into->size + other->size);
    /* One byte more than allowed tells too much from just enough. */
    const size_t wanted = room + 1 < sizeof bytes ? (size_t)room + 1 : sizeof bytes;
    const ssize_t n = read(*descriptor, bytes, wanted);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n < 0)
        snprintf(b->fault, sizeof b->fault, "cannot read a program's output: %s", strerror(errno));
    if (n <= 0) {
        close(*descriptor);
        *descriptor = -1;
        return;
    }
    const bool too_much = (uint64_t)n > room;
    bv_buffer_append(into, bytes, too_much ? (size_t)room : (size_t)n);
    if (into->failed) snprintf(b->fault, sizeof b->fault, "out of memory for a program's output");
    if (too_much || into->failed) {
        pass_limit(b, BV_VERDICT_OUTPUT);
        close(*descriptor);
        *descriptor = -1;
    }
}

/* ---- what a box says ---- */

static void take_file(bv_sandbox_box *b, bv_frame *frame, const bv_buffer *payload,
                      bv_sandbox_result *r) {
    bv_wire_reader in = {payload->data, payload->size, false};
    const uint64_t index = bv_wire_get(&in);
    const bool found = bv_wire_get(&in) != 0;
    struct stat s;
    if (in.bad || index >= r->fetched_count || !found || frame->descriptor_count != 1) return;
    bv_sandbox_fetched *f = &r->fetched[index];
    const int file = frame->descriptors[0];
    if (fstat(file, &s) || !S_ISREG(s.st_mode)) return;
    f->found = true;
    f->too_large = (uint64_t)s.st_size > b->job->wanted[index].size_max;
    if (f->too_large) return;
    if (!bv_buffer_reserve(&f->bytes, (size_t)s.st_size)) {
        snprintf(b->fault, sizeof b->fault, "out of memory for a fetched file");
        return;
    }
    while (f->bytes.size < (size_t)s.st_size) {
        const ssize_t n =
            read(file, f->bytes.data + f->bytes.size, (size_t)s.st_size - f->bytes.size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            snprintf(b->fault, sizeof b->fault, "cannot read a fetched file: %s", strerror(errno));
        if (n <= 0) break;
        f->bytes.size += (size_t)n;
    }
    f->bytes.data[f->bytes.size] = 0;
}

static void hear(bv_sandbox_box *b, bv_sandbox_result *r) {
    bv_frame frame;
    bv_buffer payload = {0};
    bv_error *error = bv_wire_receive(b->control, &frame, &payload);
    if (error)
        b->over = true; /* whether that is a fault, the counters say */
    else if (frame.type == BV_FRAME_FILE)
        take_file(b, &frame, &payload, r);
    else if (frame.type == BV_FRAME_RESULT && payload.size == sizeof b->report) {
        memcpy(&b->report, payload.data, sizeof b->report);
        b->reported = b->over = true;
    } else {
        const char *text = payload.size ? payload.data : "the sandbox is confused";
        snprintf(b->fault, sizeof b->fault, "%s", text);
        b->over = true;
    }
    if (!error) bv_frame_close(&frame);
    bv_error_free(&error);
    bv_buffer_free(&payload);
}

/* ---- counters ---- */

/* What the box itself has used: placing files, looking at its folder. A control group counts it
 * with the program's; 0 when it is not known. */
static uint64_t own_cpu_ns(const bv_sandbox_box *b) {
    clockid_t clock;
    struct timespec t;
    if (b->reported) return b->report.own_cpu_ns;
    if (b->over || clock_getcpuclockid(b->pid, &clock) || clock_gettime(clock, &t)) return 0;
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static bool is_out_of_time(const bv_sandbox_box *b) {
    const uint64_t limit = b->job->limits.cpu_ns;
    if (b->cpu_ns <= limit || !b->slot->group.cpu) return b->cpu_ns > limit;
    return b->cpu_ns > limit + own_cpu_ns(b);
}

static void look_at_counters(bv_sandbox_box *b) {
    const bv_sandbox_limits *l = &b->job->limits;
    const bv_cgroup *g = &b->slot->group;
    uint64_t cpu = bv_cgroup_cpu_ns(g);
    if (!g->cpu || !g->memory || !g->pids) {
        bv_tree_use use;
        bv_tree_measure(b->pid, &use);
        if (!g->cpu) cpu = use.cpu_ns;
        if (!g->memory && use.rss_bytes > b->peak_bytes) b->peak_bytes = use.rss_bytes;
        if (!g->memory && use.rss_bytes > l->memory_bytes) b->memory_hit = true;
        if (!g->pids && use.tasks > l->pids) b->pids_hit = true;
    }
    if (cpu > b->cpu_ns) b->cpu_ns = cpu;
    if (bv_cgroup_memory_hit(g)) b->memory_hit = true;
    if (bv_cgroup_pids_hit(g) || (!g->pids && b->report.left > l->pids)) b->pids_hit = true;
    const uint64_t peak = bv_cgroup_peak(g, &b->peak_exact);
    if (peak > b->peak_bytes) b->peak_bytes = peak;
    /* Seen together, it is the processes: the sum over them counts what they share in each. */
    if (b->pids_hit) pass_limit(b, BV_VERDICT_PIDS);
    if (b->memory_hit) pass_limit(b, BV_VERDICT_MEMORY);
    if (is_out_of_time(b)) pass_limit(b, BV_VERDICT_TIME);
}

/* What a program waited for a core, ready to run, is no wall time of its own: so a busy machine
 * gives the verdicts of an idle one. Looked at shortly before its time is up, while it lives. Its
 * own threads may be what it waited for: then its CPU time ends it. */
static bool is_late(bv_sandbox_box *b, uint64_t now) {
    const uint64_t wall_ns = b->job->limits.wall_ns, most = DELAY_SHARE_MAX * wall_ns;
    if (now + 2 * TICK_NS <= b->started + wall_ns + b->delay_ns) return false;
    const uint64_t delay = bv_tree_delay_ns(b->pid);
    if (delay > b->delay_ns) b->delay_ns = delay < most ? delay : most;
    return now > b->started + wall_ns + b->delay_ns;
}

static void look_at_clock(bv_sandbox_box *b, uint64_t now) {
    if (is_late(b, now)) pass_limit(b, BV_VERDICT_WALL);
    if (b->killed_by_caller) ask_to_end(b);
    if (b->kill_sent && !b->hard_killed && now > b->kill_sent + ANSWER_NS) {
        b->hard_killed = true;
        syscall(SYS_pidfd_send_signal, b->process, SIGKILL, NULL, 0);
    }
}

/* ---- the loop ---- */

static bool is_done(const bv_sandbox_box *b) {
    return b->over && b->output < 0 && b->error < 0;
}

/* After the end of its tree nobody can write any more; nested, somebody may hold a copy of our own
 * pipe: what is there now is all. */
static void drain(bv_sandbox_box *b, bv_sandbox_result *r) {
    int *const ends[] = {&b->output, &b->error};
    bv_buffer *const buffers[] = {&r->output, &r->error};
    for (int i = 0; i < 2; i++) {
        while (*ends[i] >= 0 && bv_wire_wait(*ends[i], 0))
            take_output(b, ends[i], buffers[i], buffers[1 - i]);
        if (*ends[i] >= 0) close(*ends[i]);
        *ends[i] = -1;
    }
}

static void step(bv_sandbox_box *b, bv_sandbox_result *r, const struct pollfd *p, bool tick) {
    if (p[1].revents) take_output(b, &b->output, &r->output, &r->error);
    if (p[2].revents) take_output(b, &b->error, &r->error, &r->output);
    if (p[0].revents) hear(b, r);
    if (b->over)
        drain(b, r);
    else if (tick)
        look_at_counters(b);
}

static int milliseconds_until(uint64_t then, uint64_t now) {
    return then <= now ? 0 : (int)((then - now + 999999) / 1000000);
}

static void finish(bv_sandbox_box *b, bv_sandbox_result *r) {
    look_at_counters(b);
    r->wall_ns = bv_clock_ns() - b->started; /* the box knows better, if it has reported */
    bv_verdict_decide(b, r);
}

void bv_supervise(bv_sandbox_box **boxes, size_t count, bv_sandbox_result *results) {
    struct pollfd p[DESCRIPTORS * 64];
    uint64_t next_tick = bv_clock_ns() + TICK_NS / 2;
    BV_ASSERT(count <= 64);
    for (size_t left = count; left > 0;) {
        uint64_t now = bv_clock_ns();
        for (size_t i = 0; i < count; i++) {
            const bv_sandbox_box *b = boxes[i];
            p[3 * i] = (struct pollfd){.fd = b->over ? -1 : b->control, .events = POLLIN};
            p[3 * i + 1] = (struct pollfd){.fd = b->output, .events = POLLIN};
            p[3 * i + 2] = (struct pollfd){.fd = b->error, .events = POLLIN};
        }
        const nfds_t all = (nfds_t)(DESCRIPTORS * count);
        if (poll(p, all, milliseconds_until(next_tick, now)) < 0) memset(p, 0, sizeof p);
        now = bv_clock_ns();
        const bool tick = now >= next_tick;
        if (tick) next_tick = now + TICK_NS;
        for (size_t i = 0; i < count; i++) {
            if (is_done(boxes[i])) continue;
            step(boxes[i], &results[i], &p[3 * i], tick);
            if (!boxes[i]->over) look_at_clock(boxes[i], now);
            if (!is_done(boxes[i])) continue;
            finish(boxes[i], &results[i]);
            left--;
        }
    }
}

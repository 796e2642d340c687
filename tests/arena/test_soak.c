/*
 * Soak: programs that leave behind as much as they can, BEAVER_SOAK (1000) runs of them by four
 * threads, and nothing may be left. After each tenth of the runs, with no job running, the pool may
 * have no more processes, descriptors, mounts, control groups, folders and memory than after the
 * first tenth; after its end, as many as before it began. Policy nested, and an ordinary user,
 * without control groups, get a tenth of the runs.
 */
#include "support/boxes.h"

#include "arena/sandbox_cgroup.h"
#include "base/clock.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4
#define ROUNDS 10
#define PROGRESS_NS 10000000000ull
/* Over all the runs: allocators keep some, and a leak of a few bytes in each of 100,000 is more. */
#define GROWTH_MAX (4 << 20)
#define PROCESSES_MAX 256

/* ---- what there is ---- */

typedef struct census {
    size_t processes;           /* our descendants */
    size_t descriptors, mounts; /* ours and theirs */
    size_t groups, folders, temporary;
    size_t own_memory, their_memory; /* private, in bytes */
    size_t kernel_memory;            /* of the whole machine: only shown */
} census;

/* A file of /proc, which may go with its process. */
static bool read_of(int pid, const char *name, bv_buffer *text) {
    char path[64];
    bv_buffer_clear(text);
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    bv_error *error = bv_file_read(path, text);
    const bool done = !error;
    bv_error_free(&error);
    return done && text->data;
}

/* Descendants, zombies too: pids[0] is ourselves. */
static size_t find_tree(int *pids) {
    struct {
        int pid, parent;
    } all[4096];
    size_t count = 0, found = 1;
    bv_buffer text = {0};
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *e; (e = readdir(proc)) && count < 4096;) {
        const int pid = (int)strtol(e->d_name, NULL, 10);
        if (pid <= 0 || !read_of(pid, "stat", &text)) continue;
        const char *end = strrchr(text.data, ')');
        all[count].pid = pid;
        if (end && sscanf(end, ") %*c %d", &all[count].parent) == 1) count++;
    }
    closedir(proc);
    pids[0] = (int)getpid();
    for (size_t i = 0; i < found; i++)
        for (size_t k = 0; k < count && found < PROCESSES_MAX; k++)
            if (all[k].parent == pids[i]) pids[found++] = all[k].pid;
    bv_buffer_free(&text);
    return found;
}

static size_t kilobytes(const bv_buffer *text, const char *name) {
    const char *at = strstr(text->data, name);
    return at ? 1024 * (size_t)strtoull(at + strlen(name), NULL, 10) : 0;
}

static census look(void) {
    int pids[PROCESSES_MAX];
    char own[64];
    bv_cgroup_bases bases;
    bv_buffer text = {0};
    census c = {.processes = find_tree(pids) - 1};
    for (size_t i = 0; i <= c.processes; i++) {
        snprintf(own, sizeof own, "/proc/%d/fd", pids[i]);
        c.descriptors += boxes_count_names(own, "");
        if (read_of(pids[i], "mountinfo", &text))
            for (size_t k = 0; k < text.size; k++) c.mounts += text.data[k] == '\n';
        if (read_of(pids[i], "status", &text))
            *(i ? &c.their_memory : &c.own_memory) += kilobytes(&text, "RssAnon:");
    }
    bv_error *error = bv_file_read("/proc/meminfo", &text);
    if (!error) c.kernel_memory = kilobytes(&text, "SUnreclaim:");
    bv_error_free(&error);
    bv_buffer_free(&text);
    snprintf(own, sizeof own, "beaver-box-%d-", (int)getpid());
    bv_cgroup_find(NULL, NULL, &bases);
    if (bases.memory[0]) c.groups += boxes_count_names(bases.memory, own);
    if (bases.pids[0]) c.groups += boxes_count_names(bases.pids, own);
    if (bases.cpu[0]) c.groups += boxes_count_names(bases.cpu, own);
    snprintf(own, sizeof own, "beaver-sandbox-%d-", (int)getpid());
    c.temporary = boxes_count_names("/tmp", own);
    c.folders = boxes_count_work();
    return c;
}

static void print_census(const char *when, const census *c) {
    fprintf(
        stderr,
        "%-22s %3zu processes, %4zu descriptors, %4zu mounts, %3zu control groups, %zu folders, "
        "private memory %5zu kB + %5zu kB, the kernel's %zu MB\n",
        when, c->processes, c->descriptors, c->mounts, c->groups, c->temporary + c->folders,
        c->own_memory >> 10, c->their_memory >> 10, c->kernel_memory >> 20);
}

static bool is_more(const census *now, const census *then) {
    return now->processes > then->processes || now->descriptors > then->descriptors ||
           now->mounts > then->mounts || now->groups > then->groups ||
           now->folders > then->folders || now->temporary > then->temporary;
}

/* Boxes are made ahead, and what was killed takes a moment to go: looks until there is no more than
 * then, for five seconds at most. */
static census look_again(const census *then) {
    census c = look();
    for (int i = 0; i < 100 && is_more(&c, then); i++) {
        usleep(50000);
        c = look();
    }
    return c;
}

static void raise_to(size_t *most, size_t value) {
    if (value > *most) *most = value;
}

/* The most that is seen in a second, after a moment for what has just ended. */
static census look_at_rest(void) {
    usleep(300000);
    census most = look();
    for (int i = 0; i < 20; i++) {
        usleep(50000);
        const census c = look();
        raise_to(&most.processes, c.processes);
        raise_to(&most.descriptors, c.descriptors);
        raise_to(&most.mounts, c.mounts);
        raise_to(&most.folders, c.folders);
        raise_to(&most.own_memory, c.own_memory);
        raise_to(&most.their_memory, c.their_memory);
    }
    return most;
}

/* The sanitizer keeps freed memory for a while. */
static bool has_grown(const census *now, const census *then) {
#ifdef __SANITIZE_ADDRESS__
    (void)now, (void)then;
    return false;
#else
    return now->own_memory > then->own_memory + GROWTH_MAX ||
           now->their_memory > then->their_memory + GROWTH_MAX;
#endif
}

/* ---- what runs ---- */

typedef struct kind {
    const char *line; /* for the shell */
    bv_sandbox_verdict verdict;
    uint64_t cpu_ms, wall_ms, memory, output, files; /* 0: more than it needs */
    uint32_t pids;
    bool fetch, kill, pair;
} kind;
static const kind kinds[] = {
    {.line = "exit 0"},
    {.line = "sleep 9 & exit 0"},
    {.line = "exit 3", .verdict = BV_VERDICT_FAILED},
    {.line = "(setsid sleep 9 &) & setsid sleep 9 & exit 0"},
    {.line = "echo x > f; mkdir d d/e; ln -s f d/l; ln f g; mkfifo p; cat > h", .fetch = true},
    {.line = "kill -9 $$", .verdict = BV_VERDICT_FAILED},
    {.line = "exec no-such-program", .verdict = BV_VERDICT_FAILED},
    {.line = "read line; echo \"$line\"", .pair = true},
    {.line = "echo x; sleep 9 & sleep 9", .verdict = BV_VERDICT_FAILED, .kill = true},
    {.line = "while :; do echo y; done", .verdict = BV_VERDICT_OUTPUT, .output = 10000},
    {.line = "sleep 9 & sleep 9", .verdict = BV_VERDICT_WALL, .wall_ms = 50},
    {.line = "while :; do :; done", .verdict = BV_VERDICT_TIME, .cpu_ms = 20},
    {.line = "sleep 9 & sleep 9 & sleep 9 & wait", .verdict = BV_VERDICT_PIDS, .pids = 2},
    {.line = "head -c 1000000 /dev/zero > f", .verdict = BV_VERDICT_DISK, .files = 200000},
    {.line = "head -c 60000000 /dev/zero | tail", .verdict = BV_VERDICT_MEMORY, .memory = 20000000},
    {.line = "unshare -U true", .verdict = BV_VERDICT_FORBIDDEN_CALL},
};
#define KINDS (sizeof kinds / sizeof *kinds)
#define CHEAP 9   /* the first, which take no longer than a shell */
#define PERIOD 64 /* runs, with each of the dear ones once */

static const kind *kind_of(long run) {
    const size_t at = (size_t)run % PERIOD;
    return &kinds[at < KINDS ? at : at % CHEAP];
}

typedef struct soak {
    bv_sandbox_pool *pool;
    long runs;         /* all */
    atomic_long begun; /* of this round and before */
    atomic_long ended;
    long until; /* the end of this round */
    atomic_int failures;
} soak;

static void complain(soak *s, const kind *k, const bv_sandbox_result *r, bv_error *error) {
    fprintf(stderr, "%s: %s, %s\n", k->line, bv_sandbox_verdict_name(r->verdict),
            error ? bv_error_text(error) : r->reason);
    s->failures++;
}

static void make_job(const kind *k, const char *const *argv, bv_sandbox_job *job) {
    *job = (bv_sandbox_job){.argv = argv, .input = "some input\n", .input_size = 11};
    bv_sandbox_limits *l = &job->limits;
    bv_sandbox_limits_default(l);
    l->cpu_ns = k->cpu_ms ? k->cpu_ms * 1000000 : 20000000000;
    l->wall_ns = k->wall_ms ? k->wall_ms * 1000000 : 60000000000;
    if (k->memory) l->memory_bytes = k->memory;
    if (k->output) l->output_bytes = k->output;
    if (k->files) l->files_bytes = k->files;
    if (k->pids) l->pids = k->pids;
}

/* The first writes to the second. */
static void run_pair(soak *s, const kind *k, const bv_sandbox_job *job) {
    bv_sandbox_job jobs[2] = {*job, *job};
    bv_sandbox_box *boxes[2];
    bv_sandbox_result r[2] = {{0}, {0}};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) abort();
    jobs[0].output_connected = true, jobs[0].output_fd = ends[1];
    jobs[1].input_connected = true, jobs[1].input_fd = ends[0];
    bv_error *error = bv_sandbox_start(s->pool, jobs, 2, boxes);
    close(ends[0]), close(ends[1]);
    if (!error) error = bv_sandbox_wait(boxes, 2, r);
    for (int i = 0; i < 2; i++) {
        if (error || r[i].verdict != k->verdict) complain(s, k, &r[i], error);
        bv_sandbox_result_free(&r[i]);
    }
    bv_error_free(&error);
}

/* Killed as soon as it writes. */
static void run_killed(soak *s, const kind *k, bv_sandbox_job *job) {
    bv_sandbox_box *box;
    bv_sandbox_result r = {0};
    int ends[2];
    char byte;
    if (pipe2(ends, O_CLOEXEC)) abort();
    job->output_connected = true, job->output_fd = ends[1];
    bv_error *error = bv_sandbox_start(s->pool, job, 1, &box);
    close(ends[1]);
    if (!error) {
        const ssize_t n = read(ends[0], &byte, 1);
        bv_sandbox_kill(box);
        error = bv_sandbox_wait(&box, 1, &r);
        if (n != 1 || !r.killed_by_caller) complain(s, k, &r, error);
    }
    if (error || r.verdict != k->verdict) complain(s, k, &r, error);
    close(ends[0]);
    bv_error_free(&error);
    bv_sandbox_result_free(&r);
}

static void run_one(soak *s, const kind *k) {
    const char *const argv[] = {"/bin/sh", "-c", k->line, NULL};
    const bv_sandbox_wanted wanted = {"h", 100};
    bv_sandbox_job job;
    bv_sandbox_result r = {0};
    make_job(k, argv, &job);
    if (k->fetch) job.wanted = &wanted, job.wanted_count = 1;
    if (k->pair) {
        run_pair(s, k, &job);
        return;
    }
    if (k->kill) {
        run_killed(s, k, &job);
        return;
    }
    bv_error *error = bv_sandbox_run(s->pool, &job, &r);
    if (error || r.verdict != k->verdict || (k->fetch && r.fetched[0].bytes.size != 11))
        complain(s, k, &r, error);
    bv_error_free(&error);
    bv_sandbox_result_free(&r);
}

static void *run_many(void *context) {
    soak *s = context;
    for (long i; (i = s->begun++) < s->until;) {
        run_one(s, kind_of(i));
        s->ended++;
    }
    return NULL;
}

/* ---- rounds ---- */

static void show_progress(const soak *s, const char *name, uint64_t begin) {
    const double seconds = 1e-9 * (double)(bv_clock_ns() - begin);
    const double rate = (double)s->ended / seconds;
    fprintf(stderr, "%s: %ld of %ld runs, %.0f a second, %.0f s left\n", name, s->ended, s->runs,
            rate, (double)(s->runs - s->ended) / rate);
}

static void run_round(soak *s, const char *name, int round, uint64_t begin) {
    static uint64_t shown;
    pthread_t threads[THREADS];
    if (round == 0) shown = begin;
    s->until = s->runs * (round + 1) / ROUNDS;
    s->begun = s->ended;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, s), 0);
    while (s->ended < s->until) {
        usleep(20000);
        if (bv_clock_ns() - shown < PROGRESS_NS) continue;
        shown = bv_clock_ns();
        show_progress(s, name, begin);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static bool run_soak(const boxes_mode *mode, void *context) {
    soak s = {.runs = *(const long *)context};
    const char *name = boxes_mode_name(mode);
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = THREADS};
    census first = {0}, now = {0};
    bool left = false;
    /* Whatever outlives its box becomes a child of ours, and is counted. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    const census before = look();
    assert_ok(bv_sandbox_pool_create(&options, &s.pool));
    const uint64_t begin = bv_clock_ns();
    for (int round = 0; round < ROUNDS && !left; round++) {
        run_round(&s, name, round, begin);
        now = round ? look_again(&first) : look_at_rest();
        if (round == 0) first = now;
        left = is_more(&now, &first) || has_grown(&now, &first);
    }
    show_progress(&s, name, begin);
    bv_sandbox_pool_destroy(&s.pool);
    const census after = look_again(&before);
    print_census("before", &before);
    print_census("after the first tenth", &first);
    print_census("after the last", &now);
    print_census("without the pool", &after);
    if (s.failures) fprintf(stderr, "%d wrong verdicts\n", s.failures);
    return !left && !s.failures && !is_more(&after, &before) && !has_grown(&after, &first);
}

/* Nested, and without control groups, a tenth of the runs. */
static void try_soak(bv_sandbox_policy policy, bool user) {
    const char *text = getenv("BEAVER_SOAK");
    const bool whole = policy == BV_POLICY_FULL && !user;
    long runs = (text ? strtol(text, NULL, 10) : 1000) / (whole ? 1 : 10);
    if (runs < ROUNDS * PERIOD) runs = ROUNDS * PERIOD;
    boxes_try(run_soak, policy, user, &runs);
}

BOXES_MODE(test_full, try_soak, BV_POLICY_FULL, false)
BOXES_MODE(test_nested, try_soak, BV_POLICY_NESTED, false)
BOXES_MODE(test_full_as_user, try_soak, BV_POLICY_FULL, true)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_full_as_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

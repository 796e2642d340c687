/*
 * The sandbox's contract: streams, files, two boxes at once, killing, and nothing that is left
 * behind when the arena is killed. Limits: test_limits.c, many runs: test_soak.c.
 */
#include "support/boxes.h"

#include "arena/sandbox_pool.h"
#include "arena/sandbox_wire.h"
#include "base/clock.h"
#include "base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bv_sandbox_policy policy = BV_POLICY_FULL;

static bv_sandbox_pool *make_pool(uint32_t boxes, const bv_sandbox_root *root) {
    bv_sandbox_pool *pool;
    const bv_sandbox_options options = {.policy = policy, .boxes = boxes, .root = root};
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    return pool;
}

static bv_sandbox_job shell_job(const char *const *argv) {
    bv_sandbox_job job = {.argv = argv};
    bv_sandbox_limits_default(&job.limits);
    job.limits.wall_ns = 20000000000;
    return job;
}

/* ---- one box ---- */

static void test_streams_and_files(void **state) {
    (void)state;
    const char *const argv[] = {"sh", "-c",
                                "read a; echo \"got $a\"; echo wrong >&2; cat in.txt > out.txt; "
                                "ls -l in.txt | cut -c1-10; ln -s /usr/bin/env link; exit 7",
                                NULL};
    bv_sandbox_pool *pool = make_pool(1, NULL);
    bv_sandbox_job job = shell_job(argv);
    const bv_sandbox_file file = {
        .name = "in.txt", .bytes = "con\0tent", .size = 8, .executable = true};
    const bv_sandbox_wanted wanted[] = {{"out.txt", 100}, {"out.txt", 7}, {"none", 9}, {"link", 9}};
    bv_sandbox_result r = {0};
    job.files = &file, job.file_count = 1;
    job.wanted = wanted, job.wanted_count = 4;
    job.input = "line\nmore\n", job.input_size = 10;
    assert_ok(bv_sandbox_run(pool, &job, &r));
    assert_int_equal(r.verdict, BV_VERDICT_FAILED);
    assert_int_equal(r.exit_code, 7);
    assert_string_equal(r.output.data, "got line\n-rwx------\n");
    assert_string_equal(r.error.data, "wrong\n");
    assert_int_equal(r.fetched_count, 4);
    assert_true(r.fetched[0].found && r.fetched[0].bytes.size == 8);
    assert_memory_equal(r.fetched[0].bytes.data, "con\0tent", 8);
    assert_true(r.fetched[1].found && r.fetched[1].too_large);
    assert_false(r.fetched[2].found);
    assert_false(r.fetched[3].found);
    assert_true(r.cpu_ns > 0 && r.wall_ns > 0 && r.peak_memory_bytes > 0);
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
}

static void test_bad_jobs(void **state) {
    (void)state;
    const char *const none[] = {NULL}, *const absent[] = {"no-such-program", NULL};
    const char *const argv[] = {"true", NULL};
    bv_sandbox_pool *pool = make_pool(1, NULL);
    bv_sandbox_result r = {0};
    bv_sandbox_job job = shell_job(argv);
    job.argv = none;
    assert_fails(bv_sandbox_run(pool, &job, &r), BV_CODE_USAGE, "names no program");
    job.argv = argv;
    job.limits.memory_bytes = 0;
    assert_fails(bv_sandbox_run(pool, &job, &r), BV_CODE_USAGE, "greater than 0");
    bv_sandbox_limits_default(&job.limits);
    const bv_sandbox_file up = {.name = "../x", .bytes = "", .size = 0},
                          large = {.name = "x", .bytes = "", .size = 1ull << 40};
    job.files = &up, job.file_count = 1;
    assert_fails(bv_sandbox_run(pool, &job, &r), BV_CODE_USAGE, "cannot be the name");
    const bv_sandbox_file twice[] = {{.name = "x", .bytes = ""}, {.name = "x", .bytes = ""}};
    job.files = twice, job.file_count = 2;
    assert_fails(bv_sandbox_run(pool, &job, &r), BV_CODE_USAGE, "have the name \"x\"");
    job.files = &large, job.file_count = 1;
    assert_fails(bv_sandbox_run(pool, &job, &r), BV_CODE_USAGE, "do not fit");
    /* Files take whole pages: three of them do not fit into two. */
    const bv_sandbox_file small[] = {{.name = "x", .bytes = "1", .size = 1},
                                     {.name = "y", .bytes = "2", .size = 1},
                                     {.name = "z", .bytes = "3", .size = 1}};
    job.files = small, job.file_count = 3, job.limits.files_bytes = 8000;
    assert_fails(bv_sandbox_run(pool, &job, &r), BV_CODE_USAGE, "3 bytes in 3 files do not fit");
    bv_sandbox_limits_default(&job.limits);
    job.file_count = 0;
    /* A folder that anybody can write is not shown. */
    char *folder = make_folder();
    chmod(folder, 0777);
    const bv_sandbox_bind bind = {folder, "/x", false};
    const bv_sandbox_root root = {"theirs", &bind, 1};
    job.root = &root;
    assert_fails(bv_sandbox_run(pool, &job, &r), BV_CODE_USAGE, "changed by others");
    remove_folder(folder);
    /* A program that is not there is its sender's fault, not ours. */
    job.root = NULL, job.argv = absent;
    assert_ok(bv_sandbox_run(pool, &job, &r));
    assert_int_equal(r.verdict, BV_VERDICT_FAILED);
    assert_non_null(strstr(r.reason, "No such file"));
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
}

/* As many files as are allowed, under both policies; one more is too many. */
static void test_count_of_files(void **state) {
    (void)state;
    bv_selftest walls;
    bv_selftest_run(&walls);
    for (int nested = 0; nested < 2; nested++) {
        if (!(nested ? walls.nested : walls.full)) continue;
        bv_sandbox_pool *pool;
        const bv_sandbox_options options = {.policy = nested ? BV_POLICY_NESTED : BV_POLICY_FULL,
                                            .boxes = 1};
        assert_ok(bv_sandbox_pool_create(&options, &pool));
        for (int more = 0; more < 2; more++) {
            const char *const argv[] = {
                "sh", "-c", more ? ": >a; : >b; : >c; : >d; : >e" : ": >a; : >b; : >c; : >d", NULL};
            bv_sandbox_result r = {0};
            bv_sandbox_job job = shell_job(argv);
            job.limits.files = 4;
            assert_ok(bv_sandbox_run(pool, &job, &r));
            assert_int_equal(r.verdict, more ? BV_VERDICT_DISK : BV_VERDICT_OK);
            bv_sandbox_result_free(&r);
        }
        bv_sandbox_pool_destroy(&pool);
    }
}

/* What is there and cannot be executed is told apart from what is not there. */
static void test_not_executable(void **state) {
    (void)state;
    const struct {
        const char *name, *bytes, *reason;
        bool executable;
    } cases[] = {
        {"empty", "", "Exec format error", true},
        {"./empty", "", "Exec format error", true},
        {"cut", "\177ELF", "Exec format error", true},
        {"lost", "#!/no/such/interpreter\n", "interpreter", true},
        {"./lost", "#!/no/such/interpreter\n", "interpreter", true},
        {"./plain", "text", "Permission denied", false},
        {"./none", NULL, "No such file", false},
    };
    bv_sandbox_pool *pool = make_pool(1, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *slash = strrchr(cases[i].name, '/');
        const char *const argv[] = {cases[i].name, NULL};
        const bv_sandbox_file file = {.name = slash ? slash + 1 : cases[i].name,
                                      .bytes = cases[i].bytes,
                                      .size = cases[i].bytes ? strlen(cases[i].bytes) : 0,
                                      .executable = cases[i].executable};
        bv_sandbox_job job = shell_job(argv);
        bv_sandbox_result r = {0};
        job.files = &file, job.file_count = cases[i].bytes != NULL;
        assert_ok(bv_sandbox_run(pool, &job, &r));
        assert_int_equal(r.verdict, BV_VERDICT_FAILED);
        if (!strstr(r.reason, cases[i].reason)) fail_msg("%s: %s", cases[i].name, r.reason);
        bv_sandbox_result_free(&r);
    }
    bv_sandbox_pool_destroy(&pool);
}

/* ---- two boxes that talk ---- */

static void test_two_boxes(void **state) {
    (void)state;
    const char *const asks[] = {"sh", "-c", "echo 20 22; read x; [ \"$x\" = 42 ]", NULL};
    const char *const answers[] = {"sh", "-c", "read a b; echo $((a + b))", NULL};
    bv_sandbox_pool *pool = make_pool(2, NULL);
    bv_sandbox_job jobs[] = {shell_job(asks), shell_job(answers)};
    bv_sandbox_box *boxes[2];
    bv_sandbox_result r[2] = {{0}, {0}};
    int question[2], answer[2];
    assert_int_equal(pipe2(question, O_CLOEXEC), 0);
    assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
    jobs[0].input_connected = jobs[0].output_connected = true;
    jobs[1].input_connected = jobs[1].output_connected = true;
    jobs[0].output_fd = question[1], jobs[0].input_fd = answer[0];
    jobs[1].output_fd = answer[1], jobs[1].input_fd = question[0];
    assert_ok(bv_sandbox_start(pool, jobs, 2, boxes));
    close(question[0]), close(question[1]), close(answer[0]), close(answer[1]);
    assert_ok(bv_sandbox_wait(boxes, 2, r));
    assert_int_equal(r[0].verdict, BV_VERDICT_OK);
    assert_int_equal(r[1].verdict, BV_VERDICT_OK);
    bv_sandbox_result_free(&r[0]), bv_sandbox_result_free(&r[1]);
    assert_fails(bv_sandbox_start(pool, jobs, 3, boxes), BV_CODE_USAGE, "3 jobs at once");
    bv_sandbox_pool_destroy(&pool);
}

static void *kill_soon(void *box) {
    usleep(100000);
    bv_sandbox_kill(box);
    return NULL;
}

static void test_kill(void **state) {
    (void)state;
    const char *const argv[] = {"sleep", "20", NULL};
    bv_sandbox_pool *pool = make_pool(1, NULL);
    const bv_sandbox_job job = shell_job(argv);
    bv_sandbox_box *box;
    bv_sandbox_result r = {0};
    pthread_t thread;
    assert_ok(bv_sandbox_start(pool, &job, 1, &box));
    assert_int_equal(pthread_create(&thread, NULL, kill_soon, box), 0);
    assert_ok(bv_sandbox_wait(&box, 1, &r));
    pthread_join(thread, NULL);
    assert_int_equal(r.verdict, BV_VERDICT_FAILED);
    assert_true(r.killed_by_caller && r.wall_ns < 5000000000);
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
}

/* ---- memory ---- */

static bv_sandbox_verdict peak_of(bv_sandbox_pool *pool, const char *size, uint64_t *peak) {
    const char *const argv[] = {"dd", "if=/dev/zero", "of=/dev/null", "count=1", size, NULL};
    bv_sandbox_job job = shell_job(argv);
    bv_sandbox_result r = {0};
    job.limits.memory_bytes = 160000000;
    job.limits.cpu_ns = 20000000000;
    assert_ok(bv_sandbox_run(pool, &job, &r));
    const bv_sandbox_verdict verdict = r.verdict;
    *peak = r.peak_memory_bytes;
    bv_sandbox_result_free(&r);
    return verdict;
}

static bool has_memory_group(void) {
    bv_selftest walls;
    bv_selftest_run(&walls);
    for (size_t i = 0; i < walls.count; i++)
        if (!strcmp(walls.walls[i].name, "memory control group"))
            return walls.walls[i].grade == BV_WALL_HOLDS;
    return false;
}

/* The only child of ours, a slot: 0 when there are more, or none. */
static long only_child(void) {
    char path[64], *end;
    bv_buffer text = {0};
    snprintf(path, sizeof path, "task/%d/children", (int)getpid());
    boxes_read_of(getpid(), path, &text);
    const long child = strtol(text.data, &end, 10);
    const bool only = !end[strspn(end, " \n")];
    bv_buffer_free(&text);
    return only ? child : 0;
}

/* A file that is placed counts as memory once; one that does not fit is the job's fault, not ours.
 * The kernel then kills the box, and not the slot, which would leave its box to whoever adopts. */
static void test_placed_memory(void **state) {
    (void)state;
    /* Only a group counts files; under nested they are the host's. */
    const bool counted = policy == BV_POLICY_FULL && has_memory_group();
    const char *const argv[] = {"true", NULL};
    static char bytes[20000000];
    const bv_sandbox_file file = {.name = "f", .bytes = bytes, .size = sizeof bytes};
    bv_sandbox_pool *pool = make_pool(1, NULL);
    const long slot = only_child();
    bv_sandbox_job job = shell_job(argv);
    job.files = &file, job.file_count = 1;
    assert_true(slot > 0);
    for (int i = 0; i < 2; i++) {
        bv_sandbox_result r = {0};
        job.limits.memory_bytes = i ? 5000000 : 30000000;
        assert_ok(bv_sandbox_run(pool, &job, &r));
        assert_int_equal(r.verdict, i && counted ? BV_VERDICT_MEMORY : BV_VERDICT_OK);
#ifndef __SANITIZE_ADDRESS__ /* its slots take memory while what was placed is not yet freed */
        assert_int_equal(only_child(), slot);
#endif
        bv_sandbox_result_free(&r);
    }
    bv_sandbox_pool_destroy(&pool);
}

static void set_score(const char *text) {
    const int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(score, text, strlen(text)), (ssize_t)strlen(text));
    close(score);
}

/* In some containers all are the first to be killed. Where root may set that (CAP_SYS_RESOURCE), an
 * ordinary user cannot lower it again. */
static bool run_exposed(const boxes_mode *mode, void *unused) {
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 1};
    const char *const argv[] = {"true", NULL};
    const bv_sandbox_job job = shell_job(argv);
    bv_sandbox_pool *pool;
    bv_sandbox_result r = {0};
    (void)unused;
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    assert_ok(bv_sandbox_run(pool, &job, &r));
    bv_sandbox_pool_destroy(&pool);
    const bool well = r.verdict == BV_VERDICT_OK;
    bv_sandbox_result_free(&r);
    return well;
}

static void try_exposed(bv_sandbox_policy mode, bool user) {
    if (user && geteuid() != 0) skip();
    bv_buffer before = {0};
    boxes_read_of(getpid(), "oom_score_adj", &before);
    set_score("1000");
    boxes_try(run_exposed, mode, user, NULL);
    set_score(before.data);
    bv_buffer_free(&before);
}

BOXES_TRY_MODES(test_exposed, try_exposed)

/* The kernel counts ticks for this limit: it comes long after the one that is counted exactly. */
static void test_ticks(void **state) {
    (void)state;
    const char *const argv[] = {"sh", "-c", "ulimit -S -t", NULL};
    bv_sandbox_pool *pool = make_pool(1, NULL);
    bv_sandbox_result r = {0};
    bv_sandbox_job job = shell_job(argv);
    job.limits.cpu_ns = 10000000000;
    assert_ok(bv_sandbox_run(pool, &job, &r));
    const long seconds = strtol(r.output.data, NULL, 10);
    assert_true(seconds >= 15 && seconds < 60);
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
}

/* What the box uses to place files is not the program's time. */
static void test_placed_time(void **state) {
    (void)state;
    const char *const argv[] = {"true", NULL};
    static char bytes[60000000];
    const bv_sandbox_file file = {.name = "f", .bytes = bytes, .size = sizeof bytes};
    bv_sandbox_pool *pool = make_pool(1, NULL);
    bv_sandbox_job job = shell_job(argv);
    job.files = &file;
    for (size_t i = 0; i < 2; i++) {
        bv_sandbox_result r = {0};
        job.file_count = i;
        assert_ok(bv_sandbox_run(pool, &job, &r));
        if (r.verdict != BV_VERDICT_OK) fail_msg("%zu files: %s", i, r.reason);
        job.limits.cpu_ns = 4 * r.cpu_ns + 2000000;
        bv_sandbox_result_free(&r);
    }
    bv_sandbox_pool_destroy(&pool);
}

/* A peak is that of a program, not of those before it in the same control group. */
static bool try_peaks(const boxes_mode *mode, void *unused) {
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 1};
    bv_sandbox_pool *pool;
    uint64_t large, small, killed;
    (void)unused;
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    const bool well = peak_of(pool, "bs=200M", &killed) != BV_VERDICT_OK &&
                      peak_of(pool, "bs=100M", &large) == BV_VERDICT_OK &&
                      peak_of(pool, "bs=20M", &small) == BV_VERDICT_OK;
    bv_sandbox_pool_destroy(&pool);
    if (!well) return false;
    print_message("%s: peaks of 100 and 20 MiB: %.1f, %.1f MB\n", boxes_mode_name(mode),
                  1e-6 * (double)large, 1e-6 * (double)small);
    return large > 100000000 && large < 130000000 && small > 20000000 && small < 50000000;
}

static void try_peak(bv_sandbox_policy mode, bool user) {
    boxes_try(try_peaks, mode, user, NULL);
}

BOXES_TRY_MODES(test_peak, try_peak)

/* ---- nothing is left ---- */

/* A program that would outlive everybody: it ignores what it can, and has children that leave. */
static pid_t start_arena(const boxes_mode *mode, int output) {
    static const char line[] = "trap '' HUP INT QUIT TERM PIPE; sleep 30 & (setsid sleep 30 &) &\n"
                               "setsid sh -c 'sleep 30 & sleep 30' & echo x; sleep 30";
    const char *const argv[] = {"sh", "-c", line, NULL};
    const pid_t arena = fork();
    if (arena) return arena;
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 2};
    bv_sandbox_job job = shell_job(argv);
    bv_sandbox_pool *pool;
    bv_sandbox_box *box;
    job.output_connected = true, job.output_fd = output;
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    assert_ok(bv_sandbox_start(pool, &job, 1, &box));
    for (;;) pause();
}

/* After the arena's end its boxes are gone within a second, and the next start removes what the
 * system cannot. `output`: the other end is held by the arena and all its programs. */
static bool is_all_gone(const boxes_mode *mode, pid_t arena, int output) {
    const uint64_t begin = bv_clock_ns();
    char byte;
    /* Slots become our children and end. */
    while (read(output, &byte, 1) > 0) {
    }
    const uint64_t gone = bv_clock_ns() - begin;
    while (waitpid(-1, NULL, 0) > 0) {
    }
    const uint64_t ended = bv_clock_ns() - begin;
    close(output);
    const size_t before = boxes_count_left(arena);
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 1};
    bv_sandbox_pool *pool;
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    bv_sandbox_pool_destroy(&pool);
    const size_t after = boxes_count_left(arena);
    print_message("%s: programs gone after %.3f s, slots after %.3f s; left: %zu, then %zu\n",
                  boxes_mode_name(mode), 1e-9 * (double)gone, 1e-9 * (double)ended, before, after);
    return gone < 1000000000 && ended < 2000000000 && after == 0;
}

static bool kill_arena(const boxes_mode *mode, void *unused) {
    int ready[2];
    char byte;
    (void)unused;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    const pid_t arena = start_arena(mode, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(arena, SIGKILL);
    return is_all_gone(mode, arena, ready[0]);
}

static void try_killed(bv_sandbox_policy mode, bool user) {
    boxes_try(kill_arena, mode, user, NULL);
}

BOXES_TRY_MODES(test_killed_arena, try_killed)

/* A box that is killed, as by the kernel when memory is short, leaves no more than the next one of
 * its slot clears away. */
static bool kill_boxes(const boxes_mode *mode, void *unused) {
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 1};
    const char *const argv[] = {"sleep", "9", NULL};
    const bv_sandbox_job job = shell_job(argv);
    bv_sandbox_pool *pool;
    bool well = true;
    (void)unused;
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    for (int i = 0; i < 3; i++) {
        bv_sandbox_box *box;
        bv_sandbox_result r = {0};
        assert_ok(bv_sandbox_start(pool, &job, 1, &box));
        const pid_t program = boxes_find_program();
        assert_true(program > 0);
        assert_int_equal(kill(boxes_parent_of(program), SIGKILL), 0);
        assert_ok(bv_sandbox_wait(&box, 1, &r));
        well = well && r.verdict == BV_VERDICT_FAULT && boxes_count_work() <= 1;
        bv_sandbox_result_free(&r);
    }
    const char *const last[] = {"true", NULL};
    const bv_sandbox_job end = shell_job(last);
    bv_sandbox_result r = {0};
    assert_ok(bv_sandbox_run(pool, &end, &r));
    well = well && r.verdict == BV_VERDICT_OK && boxes_count_work() <= 1;
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
    return well && boxes_count_left(getpid()) == 0;
}

static void try_killed_boxes(bv_sandbox_policy mode, bool user) {
    boxes_try(kill_boxes, mode, user, NULL);
}

BOXES_TRY_MODES(test_killed_boxes, try_killed_boxes)

/* ---- killed at any moment ---- */

#define MOMENTS 8
#define AT_WORK 6 /* boxes at once */

typedef struct worker {
    bv_sandbox_pool *pool;
    int output;
} worker;

static void *work_on(void *context) {
    const worker *w = context;
    static const char *const lines[] = {
        "trap '' HUP INT QUIT TERM; (setsid sleep 30 &) & sleep 0.03",
        "i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done",
        "head -c 300000 /dev/zero > f; mkdir d; ls > d/g",
        "sleep 30 & sleep 30",
    };
    for (int i = 0;; i++) {
        const char *const argv[] = {"sh", "-c", lines[i % 4], NULL};
        bv_sandbox_job job = shell_job(argv);
        bv_sandbox_result r = {0};
        job.output_connected = true, job.output_fd = w->output;
        job.limits.wall_ns = 400000000;
        bv_error *error = bv_sandbox_run(w->pool, &job, &r);
        bv_error_free(&error);
        bv_sandbox_result_free(&r);
    }
    return NULL;
}

/* Makes boxes, runs and ends programs in them without a pause. */
static pid_t start_busy_arena(const boxes_mode *mode, int output) {
    const pid_t arena = fork();
    if (arena) return arena;
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = AT_WORK};
    worker w = {.output = output};
    assert_ok(bv_sandbox_pool_create(&options, &w.pool));
    for (int i = 0; i < AT_WORK; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, work_on, &w), 0);
    }
    for (;;) pause();
}

static bool kill_anytime(const boxes_mode *mode, void *unused) {
    (void)unused;
    bool well = true;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (uint32_t i = 0; i < MOMENTS; i++) {
        int output[2];
        assert_int_equal(pipe2(output, O_CLOEXEC), 0);
        const pid_t arena = start_busy_arena(mode, output[1]);
        close(output[1]);
        usleep(3000 << i); /* 3 ms, when slots begin, to 0.4 s */
        usleep(bv_random((uint64_t)arena, BV_RANDOM_TEST, 0, i, 0, 0).v[0] % 20000);
        kill(arena, SIGKILL);
        well = is_all_gone(mode, arena, output[0]) && well;
    }
    return well;
}

static void try_killed_anytime(bv_sandbox_policy mode, bool user) {
    boxes_try(kill_anytime, mode, user, NULL);
}

BOXES_TRY_MODES(test_killed_anytime, try_killed_anytime)

/* A box that runs in a process whose parent had boxes too is nobody's leftover. */
static bool outlive_sweep(const boxes_mode *mode, void *unused) {
    (void)unused;
    const char *const argv[] = {"sleep", "0.2", NULL};
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 1};
    const bv_sandbox_job job = shell_job(argv);
    bv_sandbox_pool *pool, *other;
    bv_sandbox_box *box;
    bv_sandbox_result r = {0};
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    assert_ok(bv_sandbox_start(pool, &job, 1, &box));
    assert_ok(bv_sandbox_pool_create(&options, &other)); /* which sweeps */
    assert_ok(bv_sandbox_wait(&box, 1, &r));
    bv_sandbox_pool_destroy(&other);
    bv_sandbox_pool_destroy(&pool);
    const bool well = r.verdict == BV_VERDICT_OK;
    if (!well) print_message("%s: %s\n", boxes_mode_name(mode), r.reason);
    bv_sandbox_result_free(&r);
    return well;
}

static void try_swept(bv_sandbox_policy mode, bool user) {
    bv_sandbox_pool *pool = make_pool(1, NULL);
    bv_sandbox_pool_destroy(&pool);
    usleep(20000); /* so that the child starts at another tick of the clock */
    boxes_try(outlive_sweep, mode, user, NULL);
}

BOXES_TRY_MODES(test_swept, try_swept)

/* ---- the wire ---- */

/* A call that goes well leaves errno as it was: what failed before is no answer of this socket. */
static void test_wire_after_reset(void **state) {
    (void)state;
    int pair[2], sent = open("/dev/null", O_RDONLY);
    bv_frame frame;
    bv_buffer payload = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_ok(bv_wire_send(pair[0], BV_FRAME_BOX, "12345678", 8, &sent, 1));
    errno = ECONNRESET;
    assert_ok(bv_wire_receive(pair[1], &frame, &payload));
    assert_int_equal(frame.descriptor_count, 1);
    assert_memory_equal(payload.data, "12345678", 8);
    bv_frame_close(&frame);
    close(pair[0]), close(pair[1]), close(sent);
    bv_buffer_free(&payload);
}

/* Takes a box from a slot that has sent this many descriptors. */
static bv_error *take_from_slot(bv_sandbox_box *box, uint32_t descriptors) {
    int slot_ends[2], box_ends[2];
    const uint64_t pid = 1;
    *box = (bv_sandbox_box){.control = -1, .process = -1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, slot_ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, box_ends), 0);
    assert_ok(bv_wire_send(slot_ends[0], BV_FRAME_BOX, &pid, sizeof pid, box_ends, descriptors));
    bv_slot slot = {.socket = slot_ends[1]};
    bv_error *error = bv_slot_take(&slot, box);
    for (int i = 0; i < 2; i++) close(slot_ends[i]), close(box_ends[i]);
    return error;
}

static void let_waits_fail(int signal) {
    (void)signal;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 0; /* poll refuses more than that */
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* The box answers nothing: its descriptors are its taker's, who closes them. */
static void test_silent_box(void **state) {
    (void)state;
    struct rlimit limit;
    bv_sandbox_box box;
    getrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGALRM, let_waits_fail);
    alarm(1); /* or it waits for its patience's end */
    bv_error *error = take_from_slot(&box, 2);
    alarm(0);
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGALRM, SIG_DFL);
    assert_fails(error, BV_CODE_FAULT, "does not answer");
    assert_int_equal(close(box.control), 0);
    assert_int_equal(close(box.process), 0);
}

static int count_open(void) {
    int count = 0;
    for (int i = 0; i < 1024; i++) count += fcntl(i, F_GETFD) >= 0;
    return count;
}

/* A frame that is no box's: nobody takes its descriptor. */
static void test_confused_slot(void **state) {
    (void)state;
    bv_sandbox_box box;
    const int before = count_open();
    assert_fails(take_from_slot(&box, 1), BV_CODE_FAULT, "confused");
    assert_int_equal(count_open(), before);
    assert_int_equal(box.control, -1);
}

/* ---- names ---- */

static void test_names(void **state) {
    (void)state;
    bv_sandbox_policy p;
    assert_true(bv_sandbox_policy_parse("nested", &p));
    assert_false(bv_sandbox_policy_parse("", &p));
}

int main(void) {
    bv_selftest walls;
    bv_selftest_run(&walls);
    if (!walls.full && !walls.nested) return 77;
    if (!walls.full) policy = BV_POLICY_NESTED;
    const char *wish = getenv("BEAVER_POLICY");
    if (wish) assert_true(bv_sandbox_policy_parse(wish, &policy));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_wire_after_reset),
        cmocka_unit_test(test_silent_box),
        cmocka_unit_test(test_confused_slot),
        cmocka_unit_test(test_streams_and_files),
        cmocka_unit_test(test_bad_jobs),
        cmocka_unit_test(test_count_of_files),
        cmocka_unit_test(test_not_executable),
        cmocka_unit_test(test_two_boxes),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_placed_memory),
        cmocka_unit_test(test_placed_time),
        cmocka_unit_test(test_ticks),
        BOXES_MODES(test_exposed),
        BOXES_MODES(test_killed_arena),
        BOXES_MODES(test_killed_boxes),
        BOXES_MODES(test_killed_anytime),
        BOXES_MODES(test_swept),
        BOXES_MODES(test_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

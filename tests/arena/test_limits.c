/*
 * Limits do not flip: a program that uses 0.8 of a limit is ok and one that uses 1.25 of it gets
 * that limit's verdict, BEAVER_REPEATS (10) times each; under both policies, with control groups
 * and as an ordinary user without them.
 */
#include "support/boxes.h"

#include "arena/language.h"
#include "base/clock.h"
#include <pthread.h>
#include <stdatomic.h>

#define THREADS_MAX 16
#define COMPLAINTS_MAX 5

static const char program[] =
    "#include <fcntl.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
    "#include <time.h>\n#include <unistd.h>\n"
    "int main(void) {\n"
    "    char what = 0, name[16];\n    double x = 0;\n    static char block[1000];\n"
    "    if (scanf(\"%c %lf\", &what, &x) != 2) return 8;\n"
    "    if (what == 'c') while (clock() < x * CLOCKS_PER_SEC) {}\n"
    "    if (what == 'w') usleep((useconds_t)(x * 1e6));\n"
    "    if (what == 'm') memset(malloc((size_t)x), 1, (size_t)x), usleep(30000);\n"
    "    if (what == 'o') for (int i = 0; i < x / 1000; i++) fwrite(block, 1, 1000, stdout);\n"
    "    if (what == 'p') {\n"
    "        for (int i = 1; i < (int)x; i++) if (fork() == 0) { usleep(100000); _exit(0); }\n"
    "        usleep(100000);\n    }\n"
    "    if (what == 'f') {\n"
    "        int f = open(\"f\", O_WRONLY | O_CREAT, 0600);\n"
    "        for (int i = 0; i < x / 1000; i++) if (write(f, block, 1000) < 0) break;\n    }\n"
    "    if (what == 'n')\n        for (int i = 0; i < (int)x; i++) {\n"
    "            snprintf(name, sizeof name, \"%d\", i);\n"
    "            if (close(open(name, O_WRONLY | O_CREAT, 0600))) break;\n        }\n"
    "    return 0;\n}\n";

typedef struct limit_case {
    const char *name;
    char what;
    double limit;
    bv_sandbox_verdict verdict;
    uint32_t together; /* programs at once: those that wait do not disturb each other */
} limit_case;
/* Waiting is disturbed by whoever uses the machine: the limit of wall time is long enough for that.
 * CPU time is not, whatever else runs. Both are longer where a start takes long: emulated. */
static const limit_case cases[] = {
    {"cpu", 'c', 0.1, BV_VERDICT_TIME, 2},        {"wall", 'w', 1.0, BV_VERDICT_WALL, 16},
    {"memory", 'm', 50e6, BV_VERDICT_MEMORY, 2},  {"output", 'o', 1e5, BV_VERDICT_OUTPUT, 2},
    {"pids", 'p', 16, BV_VERDICT_PIDS, 2},        {"files", 'f', 8e6, BV_VERDICT_DISK, 2},
    {"file count", 'n', 200, BV_VERDICT_DISK, 2},
};

typedef struct trial {
    const limit_case *limit;
    bv_sandbox_pool *pool;
    const bv_artifact *artifact;
    int count; /* of runs: half of them at each share */
    atomic_int begun, flips;
} trial;

static void set_limit(bv_sandbox_limits *l, const limit_case *c) {
    bv_sandbox_limits_default(l);
    l->cpu_ns = 20000000000, l->wall_ns = 60000000000;
    switch (c->what) {
    case 'c':
        l->cpu_ns = (uint64_t)(c->limit * 1e9);
        break;
    case 'w':
        l->wall_ns = (uint64_t)(c->limit * 1e9);
        break;
    case 'm':
        l->memory_bytes = (uint64_t)c->limit;
        break;
    case 'o':
        l->output_bytes = (uint64_t)c->limit;
        break;
    case 'p':
        l->pids = (uint32_t)c->limit;
        break;
    case 'f':
        l->files_bytes = (uint64_t)c->limit;
        break;
    default:
        l->files = (uint32_t)c->limit;
    }
}

static void try_once(trial *t, double share) {
    const limit_case *c = t->limit;
    char input[64];
    bv_sandbox_job job = {0};
    bv_sandbox_result r = {0};
    bv_language_job(t->artifact, &job);
    set_limit(&job.limits, c);
    snprintf(input, sizeof input, "%c %f\n", c->what, share * c->limit);
    job.input = input, job.input_size = strlen(input);
    bv_error *error = bv_sandbox_run(t->pool, &job, &r);
    if (error || r.verdict != (share < 1 ? BV_VERDICT_OK : c->verdict)) {
        if (t->flips++ < COMPLAINTS_MAX)
            fprintf(stderr, "%s at %.2f: %s, %s (exit %d, signal %d, %.3f s CPU, %.3f s)\n",
                    c->name, share, bv_sandbox_verdict_name(r.verdict),
                    error ? bv_error_text(error) : r.reason, r.exit_code, r.signal,
                    1e-9 * (double)r.cpu_ns, 1e-9 * (double)r.wall_ns);
    }
    bv_error_free(&error);
    bv_sandbox_result_free(&r);
}

static void *try_many(void *context) {
    trial *t = context;
    for (int i; (i = t->begun++) < t->count;) try_once(t, i % 2 ? 1.25 : 0.8);
    return NULL;
}

/* Twenty times what a program takes that does nothing; the listed limit at least. */
static double time_limit(const limit_case *c, bv_sandbox_pool *pool, const bv_artifact *artifact) {
    bv_sandbox_job job = {0};
    bv_sandbox_result r = {0};
    bv_language_job(artifact, &job);
    bv_sandbox_limits_default(&job.limits);
    job.limits.cpu_ns = job.limits.wall_ns = 60000000000;
    job.input = "w 0\n", job.input_size = 4;
    assert_ok(bv_sandbox_run(pool, &job, &r));
    assert_int_equal(r.verdict, BV_VERDICT_OK);
    const double idle = 1e-9 * (double)(c->what == 'w' ? r.wall_ns : r.cpu_ns);
    bv_sandbox_result_free(&r);
    return 20 * idle > c->limit ? 20 * idle : c->limit;
}

static int try_limit(const limit_case *listed, bv_sandbox_pool *pool, const bv_artifact *artifact,
                     int repeats) {
    limit_case limit = *listed;
    trial t = {.limit = &limit, .pool = pool, .artifact = artifact, .count = 2 * repeats};
    if (limit.what == 'w' || limit.what == 'c') limit.limit = time_limit(listed, pool, artifact);
    pthread_t threads[THREADS_MAX];
    for (uint32_t i = 0; i < limit.together; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, try_many, &t), 0);
    for (uint32_t i = 0; i < limit.together; i++) pthread_join(threads[i], NULL);
    return t.flips;
}

static bool try_limits(const boxes_mode *mode, void *context) {
    const int repeats = *(const int *)context;
    const bv_language *c = bv_language_find("c");
    const bv_sandbox_file source = {.name = "main.c", .bytes = program, .size = sizeof program - 1};
    bv_sandbox_options options = {.policy = mode->policy, .boxes = 2};
    bv_sandbox_pool *pool;
    bv_artifact a;
    bv_sandbox_result r = {0};
    int flips = 0;
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    assert_ok(bv_language_compile(pool, c, &source, 1, &a, &r));
    if (!a.file_count) fail_msg("%s", r.error.data);
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint64_t begin = bv_clock_ns();
        options.boxes = cases[i].together, options.root = &c->run_root;
        assert_ok(bv_sandbox_pool_create(&options, &pool));
        const int flipped = try_limit(&cases[i], pool, &a, repeats);
        bv_sandbox_pool_destroy(&pool);
        fprintf(stderr, "%s, %s: %d times at 0.8 and at 1.25: %d flipped (%.0f s)\n",
                boxes_mode_name(mode), cases[i].name, repeats, flipped,
                1e-9 * (double)(bv_clock_ns() - begin));
        flips += flipped;
    }
    bv_artifact_free(&a);
    return flips == 0;
}

static void try_mode(bv_sandbox_policy policy, bool user) {
    const char *text = getenv("BEAVER_REPEATS");
    int repeats = text ? (int)strtol(text, NULL, 10) : 10;
    boxes_try(try_limits, policy, user, &repeats);
}

BOXES_TRY_MODES(test, try_mode)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOXES_MODES(test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

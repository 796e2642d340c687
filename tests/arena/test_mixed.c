/*
 * Programs that mix what limits count: CPU time in threads and children, memory of several kinds,
 * output on both streams, files, processes, sleep, and how they end. Each is a random script whose
 * right verdict is known: it stays far below every limit, or passes one of them, far, at a random
 * place. BEAVER_MIXED (40) of them under each policy and user, four at once; and nothing is left.
 */
#include "support/boxes.h"

#include "arena/language.h"
#include "base/random.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define THREADS 4
#define COMPLAINTS_MAX 5

/* ---- the program ---- */

static const char program[] =
    "#define _GNU_SOURCE 1\n#include <fcntl.h>\n#include <pthread.h>\n#include <signal.h>\n"
    "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/mman.h>\n"
    "#include <sys/mount.h>\n#include <sys/wait.h>\n#include <time.h>\n#include <unistd.h>\n"
    "static long amount;\nstatic int names;\nstatic char block[4096];\n"
    "static void *spin(void *unused) {\n    struct timespec t = {0, 0};\n"
    "    while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < amount)\n"
    "        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);\n    return unused;\n}\n"
    "static void spin_more(long more) {\n    struct timespec t;\n"
    "    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);\n"
    "    amount = t.tv_sec * 1000 + t.tv_nsec / 1000000 + more;\n    spin(NULL);\n}\n"
    "static void touch(char *p, long size) {\n    if (p != MAP_FAILED && p) memset(p, 1, "
    "size);\n}\n"
    "static void put(int file, long size) {\n    while (size > 0) {\n"
    "        const long n = write(file, block, size < 4096 ? size : 4096);\n"
    "        if (n <= 0) return;\n        size -= n;\n    }\n}\n"
    "static void make_file(long size) {\n    char name[32];\n"
    "    snprintf(name, sizeof name, \"f%d\", names++);\n"
    "    const int file = open(name, O_WRONLY | O_CREAT, 0600);\n"
    "    put(file, size);\n    close(file);\n}\n"
    "static void children(int count, long ms, long bytes) {\n"
    "    for (int i = 0; i < count; i++) if (fork() == 0) {\n"
    "        if (bytes) touch(malloc(bytes), bytes), usleep(bytes > 9999999 ? 400000 : 60000);\n"
    "        else if (ms) spin_more(ms);\n        else usleep(60000);\n        _exit(0);\n    }\n"
    "    while (wait(NULL) > 0) {}\n}\n"
    "int main(void) {\n    char what;\n    long x, y;\n"
    "    memset(block, 'x', sizeof block);\n"
    "    while (scanf(\" %c %ld %ld\", &what, &x, &y) == 3) {\n"
    "        pthread_t threads[8];\n"
    "        if (what == 'c') spin_more(x);\n"
    "        if (what == 't') {\n            amount = y;\n"
    "            for (int i = 0; i < x; i++) pthread_create(&threads[i], NULL, spin, NULL);\n"
    "            for (int i = 0; i < x; i++) pthread_join(threads[i], NULL);\n        }\n"
    "        if (what == 'k') children(x, y, 0);\n"
    "        if (what == 'p') children(x, 0, 0);\n"
    "        if (what == 'q') children(x, 0, y);\n"
    "        if (what == 'm') touch(malloc(x), x), usleep(40000);\n"
    "        if (what == 'a') touch(mmap(NULL, x, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0), x),\n"
    "                         usleep(40000);\n"
    "        if (what == 'o') put(1, x);\n        if (what == 'e') put(2, x);\n"
    "        if (what == 'f') make_file(x);\n"
    "        if (what == 'n') for (int i = 0; i < x; i++) make_file(0);\n"
    "        if (what == 's') usleep(x * 1000);\n"
    "        if (what == 'z') mount(\"x\", \"/\", \"tmpfs\", 0, NULL);\n"
    "        if (what == 'g') signal(x, SIG_DFL), raise(x);\n"
    "        if (what == 'x') exit(x);\n    }\n    return 0;\n}\n";

/* ---- scripts ---- */

typedef struct script {
    char text[600];
    size_t length;
    bv_sandbox_limits limits;
    bv_sandbox_verdict verdict;
    int exit_code, signal;  /* when no limit is passed */
    uint64_t output, error; /* bytes, when no limit is passed */
    uint32_t at;            /* random numbers taken */
    uint64_t seed;
} script;

static uint32_t pick(script *s, uint32_t count) {
    return bv_random(s->seed, BV_RANDOM_TEST, 0, s->at++, 0, 0).v[0] % count;
}

static void add(script *s, char what, long x, long y) {
    const int n =
        snprintf(s->text + s->length, sizeof s->text - s->length, "%c %ld %ld\n", what, x, y);
    assert_true(n > 0 && s->length + (size_t)n < sizeof s->text);
    s->length += (size_t)n;
}

/* All that a script may use of a limit together is below 0.6 of it; memory too where nobody but
 * /proc counts it, in each child what its parent has. */
static void add_modest(script *s) {
    switch (pick(s, 12)) {
    case 0:
        add(s, 'c', 10 + pick(s, 20), 0);
        break;
    case 1:
        add(s, 't', 1 + pick(s, 3), 5 + pick(s, 10));
        break;
    case 2:
        add(s, 'k', 1 + pick(s, 3), 5 + pick(s, 10));
        break;
    case 3:
        add(s, 'p', 1 + pick(s, 7), 0);
        break;
    case 4:
        add(s, 'q', 1 + pick(s, 3), 500000 + pick(s, 1500000));
        break;
    case 5:
        add(s, 'm', 500000 + pick(s, 1500000), 0);
        break;
    case 6:
        add(s, 'a', 500000 + pick(s, 1500000), 0);
        break;
    case 7:
        s->output += s->at;
        add(s, 'o', s->at, 0);
        break;
    case 8:
        s->error += 2 * s->at;
        add(s, 'e', 2 * s->at, 0);
        break;
    case 9:
        add(s, 'f', pick(s, 300000), 0);
        break;
    case 10:
        add(s, 'n', 1 + pick(s, 8), 0);
        break;
    default:
        add(s, 's', pick(s, 30), 0);
    }
}

/* One limit is passed, by half as much again at least. */
static void add_excess(script *s) {
    switch (pick(s, 10)) {
    case 0:
        s->verdict = BV_VERDICT_TIME;
        if (pick(s, 2))
            add(s, 'c', 2000, 0);
        else
            add(s, 't', 2, 2000);
        break;
    case 1:
        s->verdict = BV_VERDICT_TIME;
        add(s, 'k', 3, 600);
        break;
    case 2:
        s->verdict = BV_VERDICT_WALL;
        s->limits.wall_ns = 1000000000;
        add(s, 's', 3000, 0);
        break;
    case 3:
        s->verdict = BV_VERDICT_MEMORY;
        add(s, "ma"[pick(s, 2)], 300000000, 0);
        break;
    case 4:
        s->verdict = BV_VERDICT_MEMORY;
        add(s, 'q', 4, 70000000);
        break;
    case 5:
        s->verdict = BV_VERDICT_OUTPUT;
        add(s, "oe"[pick(s, 2)], 100000, 0);
        break;
    case 6:
        s->verdict = BV_VERDICT_PIDS;
        add(s, 'p', 30, 0);
        break;
    case 7:
        s->verdict = BV_VERDICT_DISK;
        add(s, 'f', 20000000, 0);
        break;
    case 8:
        s->verdict = BV_VERDICT_DISK;
        add(s, 'n', 400, 0);
        break;
    default:
        s->verdict = BV_VERDICT_FORBIDDEN_CALL;
        add(s, 'z', 0, 0);
    }
}

static void add_end(script *s) {
    static const int signals[] = {SIGKILL, SIGTERM, SIGABRT, SIGSEGV, SIGXCPU, SIGXFSZ,
                                  SIGSYS,  SIGUSR1, SIGPIPE, SIGALRM, SIGBUS,  SIGFPE};
    const uint32_t kind = pick(s, 3);
    if (kind == 1) s->exit_code = (int)pick(s, 256), add(s, 'x', s->exit_code, 0);
    if (kind == 2) {
        s->signal = signals[pick(s, sizeof signals / sizeof *signals)];
        s->exit_code = -1;
        add(s, 'g', s->signal, 0);
    }
    if (s->exit_code) s->verdict = BV_VERDICT_FAILED;
}

static void make_script(script *s, uint64_t seed) {
    *s = (script){.seed = seed};
    bv_sandbox_limits *l = &s->limits;
    bv_sandbox_limits_default(l);
    l->cpu_ns = 1000000000, l->wall_ns = 60000000000, l->memory_bytes = 200000000;
    l->output_bytes = 20000, l->files_bytes = 8000000, l->files = 200, l->pids = 16;
    const uint32_t before = pick(s, 5), after = pick(s, 4);
    for (uint32_t i = 0; i < before; i++) add_modest(s);
    if (pick(s, 2)) {
        add_excess(s);
        for (uint32_t i = 0; i < after; i++) add_modest(s);
    } else {
        for (uint32_t i = 0; i < after; i++) add_modest(s);
        add_end(s);
    }
}

/* ---- runs ---- */

typedef struct trial {
    const boxes_mode *mode;
    bv_sandbox_pool *pool;
    const bv_artifact *artifact;
    uint64_t seed;
    int count;
    atomic_int begun, complaints;
} trial;

static const char *judge(const script *s, const bv_sandbox_result *r) {
    if (r->verdict != s->verdict) return "a wrong verdict";
    if (r->verdict != BV_VERDICT_OK && r->verdict != BV_VERDICT_FAILED) return NULL;
    if (r->exit_code != s->exit_code || r->signal != s->signal) return "a wrong end";
    return r->output.size != s->output || r->error.size != s->error ? "a wrong output" : NULL;
}

static void run_one(trial *t, uint64_t seed) {
    script s;
    bv_sandbox_job job = {0};
    bv_sandbox_result r = {0};
    make_script(&s, seed);
    bv_language_job(t->artifact, &job);
    job.limits = s.limits;
    job.input = s.text, job.input_size = s.length;
    bv_error *error = bv_sandbox_run(t->pool, &job, &r);
    const char *wrong = error ? bv_error_text(error) : judge(&s, &r);
    if (wrong && t->complaints++ < COMPLAINTS_MAX)
        print_error("%s, seed %llu: %s: %s, not %s (%s; exit %d, signal %d, not %d and %d; %zu and "
                    "%zu bytes, not %zu and %zu)\n%s",
                    boxes_mode_name(t->mode), (unsigned long long)seed, wrong,
                    bv_sandbox_verdict_name(r.verdict), bv_sandbox_verdict_name(s.verdict),
                    r.reason, r.exit_code, r.signal, s.exit_code, s.signal, r.output.size,
                    r.error.size, (size_t)s.output, (size_t)s.error, s.text);
    bv_error_free(&error);
    bv_sandbox_result_free(&r);
}

static void *run_many(void *context) {
    trial *t = context;
    for (int i; (i = t->begun++) < t->count;) run_one(t, t->seed + (uint64_t)i);
    return NULL;
}

static bool try_scripts(const boxes_mode *mode, void *context) {
    (void)context;
    const char *count = getenv("BEAVER_MIXED"), *seed = getenv("BEAVER_SEED");
    const bv_language *c = bv_language_find("c");
    const bv_sandbox_file source = {.name = "main.c", .bytes = program, .size = sizeof program - 1};
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = THREADS};
    bv_artifact a;
    bv_sandbox_result r = {0};
    pthread_t threads[THREADS];
    trial t = {.mode = mode,
               .artifact = &a,
               .seed = seed ? strtoull(seed, NULL, 10) : 1,
               .count = count ? (int)strtol(count, NULL, 10) : 40};
    /* Whatever outlives its box becomes a child of ours, and is found at the end. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_ok(bv_sandbox_pool_create(&options, &t.pool));
    assert_ok(bv_language_compile(t.pool, c, &source, 1, &a, &r));
    if (!a.file_count) fail_msg("%s", r.error.data);
    bv_sandbox_result_free(&r);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, &t), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    bv_sandbox_pool_destroy(&t.pool);
    bv_artifact_free(&a);
    print_message("%s: %d scripts, %d wrong\n", boxes_mode_name(mode), t.count, t.complaints);
    for (int i = 0; i < 400 && waitpid(-1, NULL, WNOHANG) >= 0; i++) usleep(5000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(boxes_count_left(getpid()), 0);
    return t.complaints == 0;
}

static void try_mode(bv_sandbox_policy policy, bool user) {
    boxes_try(try_scripts, policy, user, NULL);
}

BOXES_TRY_MODES(test, try_mode)

int main(void) {
    if (!boxes_possible()) return 77;
    const struct CMUnitTest tests[] = {BOXES_MODES(test)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

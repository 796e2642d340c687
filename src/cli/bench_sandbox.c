#include "cli/bench.h"

#include "arena/language.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/order.h"
#include "base/tasks.h"
#include "cli/cli.h"
#include "cli/policy_flag.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* At once: each has a process, and one with an interpreter, for each program. */
#define BOXES_MAX 128

static const bv_flag flag_table[] = {
    BV_INT_FLAG("runs", "N", 10, 1e6, "300",
                "runs of each program, one after another; slow ones get a tenth"),
    BV_POLICY_FLAG,
};
static bv_status run(const bv_flags *flags);
const bv_command bv_bench_sandbox = {
    .name = "bench sandbox",
    .brief = "programs in boxes, by language",
    .summary =
        "Measures starting and ending a program in a box with all walls up: a C program that "
        "returns 0 at once, and the same in the other languages; one after another (p50, "
        "p99) and many at once (runs a second). Beside it bubblewrap and isolate where they "
        "are installed, and a bare fork and exec.",
    .example = "beaver bench sandbox --json",
    BV_FLAGS(flag_table),
    .threads = "boxes at once in the second measurement; 0: two for each usable core",
    .run = run,
};

typedef struct program {
    const char *name, *language, *text;
    bool warm, slow;
} program;
static const program programs[] = {
    {"c", "c", "int main(void) { return 0; }\n", false, false},
    {"c-tcc", "c-tcc", "int main(void) { return 0; }\n", false, false},
    {"shell", "shell", "exit 0\n", false, false},
    {"python", "python", "pass\n", false, true},
    {"python-warm", "python", "pass\n", true, false},
};

typedef struct bench {
    bv_sandbox_policy policy;
    uint32_t boxes; /* at once; 0: two for each usable core */
    size_t runs;
    double *ms;
    size_t count; /* of ms */
    bv_sandbox_pool *pool;
    bv_artifact artifact;
    double p50, p99, per_second, compile_ms;
} bench;

static void summarize(bench *b) {
    bv_sort(b->ms, b->count);
    b->p50 = b->ms[b->count / 2];
    b->p99 = b->ms[b->count * 99 / 100];
}

/* ---- our own ---- */

static bv_status run_once(bench *b) {
    bv_sandbox_job job = {0};
    bv_sandbox_result r = {0};
    bv_sandbox_limits_default(&job.limits);
    job.limits.wall_ns = 20000000000;
    bv_language_job(&b->artifact, &job);
    bv_error *error = bv_sandbox_run(b->pool, &job, &r);
    if (!error && r.verdict != BV_VERDICT_OK)
        error =
            bv_fail(BV_CODE_FAULT, "a program that returns 0 got the verdict %s: %s\n%s",
                    bv_sandbox_verdict_name(r.verdict), r.reason, r.error.data ? r.error.data : "");
    bv_sandbox_result_free(&r);
    return error;
}

static bv_status run_in_turn(bench *b, size_t runs) {
    const size_t warm_up = 5;
    b->count = 0;
    for (size_t i = 0; i < runs + warm_up; i++) {
        const uint64_t begin = bv_clock_ns();
        BV_TRY(run_once(b));
        if (i >= warm_up) b->ms[b->count++] = 1e-6 * (double)(bv_clock_ns() - begin);
    }
    summarize(b);
    return BV_OK;
}

static bv_status run_one(void *context, size_t index) {
    (void)index;
    return run_once(context);
}

/* One thread for each box of the pool. */
static bv_status run_together(bench *b, size_t runs) {
    bv_pool *threads;
    BV_TRY(bv_pool_create((int)bv_sandbox_pool_boxes(b->pool), &threads));
    const uint64_t begin = bv_clock_ns();
    bv_error *error = bv_tasks_run(threads, runs, run_one, b);
    b->per_second = (double)runs / (1e-9 * (double)(bv_clock_ns() - begin));
    bv_pool_destroy(&threads);
    return error;
}

static bv_status measure_program(bench *b, const program *p) {
    const bv_language *language = bv_language_find(p->language);
    const bv_sandbox_options options = {.policy = b->policy,
                                        .boxes = b->boxes,
                                        .root = &language->run_root,
                                        .warm_python = p->warm};
    const bv_sandbox_file source = {.name = "main", .bytes = p->text, .size = strlen(p->text)};
    const size_t runs = p->slow ? b->runs / 10 + 1 : b->runs;
    bv_sandbox_result r = {0};
    BV_TRY(bv_sandbox_pool_create(&options, &b->pool));
    uint64_t begin = bv_clock_ns();
    bv_error *error = bv_language_compile(b->pool, language, &source, 1, &b->artifact, &r);
    b->compile_ms = 1e-6 * (double)(bv_clock_ns() - begin);
    if (!error && !b->artifact.file_count)
        error = bv_fail(BV_CODE_FAULT, "%s does not compile: %s\n%s", p->name, r.reason,
                        r.error.data ? r.error.data : "");
    if (!error) error = run_in_turn(b, runs);
    if (!error) error = run_together(b, runs);
    bv_sandbox_result_free(&r);
    bv_artifact_free(&b->artifact);
    bv_sandbox_pool_destroy(&b->pool);
    return bv_while(error, "measuring %s", p->name);
}

/* ---- others ---- */

#define STEPS 3

/* A run of another sandbox: up to three commands, all of which its time covers. */
typedef struct peer {
    const char *name, *steps[STEPS][24];
} peer;
static const peer peers[] = {
    {"fork+exec", {{"/bin/true"}}},
    {"bwrap", {{"bwrap",     "--unshare-all", "--ro-bind",
                "/usr",      "/usr",          "--symlink",
                "usr/lib",   "/lib",          "--symlink",
                "usr/lib64", "/lib64",        "--symlink",
                "usr/bin",   "/bin",          "--proc",
                "/proc",     "--dev",         "/dev",
                "--tmpfs",   "/tmp",          "--die-with-parent",
                "/bin/true"}}},
    /* A fresh box for each program, as the others have. */
    {"isolate",
     {{"isolate", "--silent", "--box-id=99", "--init"},
      {"isolate", "--silent", "--box-id=99", "--run", "--", "/bin/true"},
      {"isolate", "--silent", "--box-id=99", "--cleanup"}}},
};

static bv_status spawn_once(const char *const *words, const posix_spawn_file_actions_t *actions) {
    pid_t pid;
    int status = -1;
    const int failed = posix_spawnp(&pid, words[0], actions, NULL, (char *const *)words, environ);
    while (!failed && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!failed && !status) return BV_OK;
    return bv_fail(BV_CODE_FAULT, "%s does not work here (%s)", words[0],
                   failed ? strerror(failed) : "it fails");
}

static bv_status spawn_in_turn(bench *b, const peer *p, size_t runs) {
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions)) return bv_fail_memory("a benchmark");
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDONLY, 0);
    bv_error *error = BV_OK;
    b->count = 0;
    for (size_t i = 0; i < runs + 5 && !error; i++) {
        const uint64_t begin = bv_clock_ns();
        for (size_t k = 0; k < STEPS && p->steps[k][0] && !error; k++)
            error = spawn_once(p->steps[k], &actions);
        if (i >= 5) b->ms[b->count++] = 1e-6 * (double)(bv_clock_ns() - begin);
    }
    posix_spawn_file_actions_destroy(&actions);
    if (!error) summarize(b);
    return error;
}

static bool installed(const char *name) {
    static const char *const folders[] = {"/usr/bin", "/usr/local/bin", "/bin"};
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        if (access(path, X_OK) == 0) return true;
    }
    return strchr(name, '/') && access(name, X_OK) == 0;
}

static bv_status measure_peers(bench *b, json_t *rows) {
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        const peer *p = &peers[i];
        if (!installed(p->steps[0][0])) {
            bv_cli_say("%-12s is not installed\n", p->name);
            continue;
        }
        bv_error *error = spawn_in_turn(b, p, b->runs);
        if (error) {
            bv_cli_say("%-12s %s\n", p->name, bv_error_text(error));
            bv_error_free(&error);
            continue;
        }
        bv_cli_say("%-12s p50 %6.2f ms  p99 %6.2f ms\n", p->name, b->p50, b->p99);
        json_object_set_new(rows, p->name, json_pack("{sfsf}", "p50_ms", b->p50, "p99_ms", b->p99));
    }
    return BV_OK;
}

static bv_status measure_all(bench *b, json_t *rows) {
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        const program *p = &programs[i];
        const bv_language *language = bv_language_find(p->language);
        const char *tool = language->compile ? language->compile[0] : language->run[0];
        if (!installed(tool)) {
            bv_cli_say("%-12s %s is not installed\n", p->name, tool);
            continue;
        }
        BV_TRY(measure_program(b, p));
        bv_cli_say("%-12s p50 %6.2f ms  p99 %6.2f ms  %6.0f/s at once\n", p->name, b->p50, b->p99,
                   b->per_second);
        json_object_set_new(rows, p->name,
                            json_pack("{sfsfsfsf}", "p50_ms", b->p50, "p99_ms", b->p99,
                                      "per_second", b->per_second, "compile_ms",
                                      language->compile ? b->compile_ms : 0.0));
    }
    return BV_OK;
}

static bv_status run(const bv_flags *flags) {
    bench b = {0};
    json_t *ours = json_object(), *others = json_object();
    bv_error *error = bv_policy_flag_read(flags, &b.policy);
    b.runs = (size_t)bv_flags_int(flags, "runs");
    b.boxes = (uint32_t)bv_flags_int(flags, "threads");
    if (!error && b.boxes > BOXES_MAX)
        error = bv_try(bv_fail(BV_CODE_USAGE,
                               "--threads: at most %d boxes at once are measured; %u would take "
                               "minutes to make",
                               BOXES_MAX, b.boxes),
                       "--threads %d", BOXES_MAX);
    b.ms = bv_calloc(b.runs, sizeof *b.ms);
    if (!error && !b.ms) error = bv_fail_memory("a benchmark");
    if (!error) error = measure_all(&b, ours);
    if (!error) error = measure_peers(&b, others);
    const json_t *c = json_object_get(ours, "c");
    if (!error && bv_flags_bool(flags, "json"))
        error = bv_cli_json(
            json_pack("{ss sI sO* sO* sO sO}", "policy", bv_sandbox_policy_name(b.policy), "runs",
                      (json_int_t)b.runs, "p50_ms", json_object_get(c, "p50_ms"), "p99_ms",
                      json_object_get(c, "p99_ms"), "by_language", ours, "peers", others));
    json_decref(ours);
    json_decref(others);
    bv_free(b.ms);
    return error;
}

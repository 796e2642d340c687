#include "arena/judge_code.h"

#include "arena/boxed.h"
#include "arena/language.h"
#include "base/json.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VERSION "1" /* of the way of judging: a new one where verdicts may differ */
#define TRIES 3     /* when the sandbox is at fault */
#define SECOND 1000000000ull
#define END_MARK "beaver: all tests passed"

static const char *const python_environment[] = {
    "PATH=/usr/bin:/bin",        "HOME=/work", "LANG=C.UTF-8",
    "PYTHONHASHSEED=0", /* equal sets, equal order */
    "PYTHONDONTWRITEBYTECODE=1", NULL};

static const char *const names[BV_CODE_VERDICT_COUNT] = {"passed", "failed", "limit", "set-fault"};

const char *bv_code_verdict_name(bv_code_verdict verdict) {
    BV_ASSERT((unsigned)verdict < BV_CODE_VERDICT_COUNT);
    return names[verdict];
}

bool bv_code_verdict_parse(const char *name, bv_code_verdict *out) {
    for (int i = 0; i < BV_CODE_VERDICT_COUNT; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (bv_code_verdict)i;
        return true;
    }
    return false;
}

void bv_code_options_default(bv_code_options *options) {
    *options = (bv_code_options){.cpu_ns = 5 * SECOND, .memory_bytes = 512000000};
}

/* ---- jobs ---- */

static bv_sandbox_job python_job(const bv_code_options *options, const char *const *argv,
                                 const bv_sandbox_file *files, size_t file_count) {
    bv_sandbox_job job = {
        .argv = argv, .env = python_environment, .files = files, .file_count = file_count};
    const bv_language *python = bv_language_find("python");
    BV_ASSERT(python);
    job.root = &python->run_root;
    bv_sandbox_limits_default(&job.limits);
    job.limits.cpu_ns = options->cpu_ns;
    job.limits.wall_ns = 4 * options->cpu_ns;
    job.limits.memory_bytes = options->memory_bytes;
    return job;
}

/* The checker outlives the candidate: it has to tell how that one ended. */
static void give_more(bv_sandbox_limits *limits) {
    limits->cpu_ns = 2 * limits->cpu_ns + 10 * SECOND;
    limits->wall_ns = 2 * limits->wall_ns + 10 * SECOND;
    limits->memory_bytes = 1000000000;
}

static void close_all(const int *fds, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

/* calls: from checker to candidate; answers: back. */
static bv_status start_connected(bv_sandbox_pool *pool, bv_sandbox_job *jobs,
                                 bv_sandbox_box **boxes) {
    int fds[4] = {-1, -1, -1, -1}, *calls = fds, *answers = fds + 2;
    if (pipe2(calls, O_CLOEXEC) || pipe2(answers, O_CLOEXEC)) {
        bv_error *error = bv_fail_errno("cannot make a pipe");
        close_all(fds, 4);
        return error;
    }
    bv_sandbox_job *candidate = &jobs[0], *checker = &jobs[1];
    candidate->input_connected = candidate->output_connected = true;
    candidate->input_fd = calls[0];
    candidate->output_fd = answers[1];
    checker->input_connected = checker->output_connected = true;
    checker->input_fd = answers[0];
    checker->output_fd = calls[1];
    bv_error *error = bv_sandbox_start(pool, jobs, 2, boxes);
    close_all(fds, 4);
    return error;
}

/* Runs jobs (1, or 2 connected ones) until the sandbox is at no fault. */
static bv_status run_once(bv_sandbox_pool *pool, bv_sandbox_job *jobs, size_t count,
                          bv_sandbox_result *results) {
    for (int i = 0; i < TRIES; i++) {
        bv_sandbox_box *boxes[2];
        if (count == 2)
            BV_TRY(start_connected(pool, jobs, boxes));
        else
            BV_TRY(bv_sandbox_start(pool, jobs, 1, boxes));
        BV_TRY(bv_sandbox_wait(boxes, count, results));
        bool fault = false;
        for (size_t n = 0; n < count; n++) fault = fault || results[n].verdict == BV_VERDICT_FAULT;
        if (!fault) return BV_OK;
        if (i + 1 == TRIES) break;
        for (size_t n = 0; n < count; n++) bv_sandbox_result_free(&results[n]);
    }
    const bool second = count == 2 && results[0].verdict != BV_VERDICT_FAULT;
    return bv_fail(BV_CODE_FAULT, "the sandbox failed %d times: %s", TRIES, results[second].reason);
}

/* A candidate that reached the wall time while it computed was kept waiting by the machine: it runs
 * again with much more, so that a busy machine gives the verdicts of an idle one. One that sleeps
 * does not. */
static bv_status run_jobs(bv_sandbox_pool *pool, bv_sandbox_job *jobs, size_t count,
                          bv_sandbox_result *results) {
    BV_TRY(run_once(pool, jobs, count, results));
    const bool computed = results[0].cpu_ns > jobs[0].limits.cpu_ns / 20;
    if (results[0].verdict != BV_VERDICT_WALL || !computed) return BV_OK;
    for (size_t n = 0; n < count; n++) {
        bv_sandbox_result_free(&results[n]);
        jobs[n].limits.wall_ns *= 10;
    }
    return run_once(pool, jobs, count, results);
}

/* ---- results ---- */

/* The last line of a text, as valid UTF-8. */
static void take_last_line(const bv_buffer *text, char *out, size_t size) {
    size_t end = text->size;
    while (end > 0 && (text->data[end - 1] == '\n' || text->data[end - 1] == '\r')) end--;
    size_t begin = end;
    while (begin > 0 && text->data[begin - 1] != '\n') begin--;
    snprintf(out, size, "%.*s", (int)(end - begin), text->size ? text->data + begin : "");
    out[bv_utf8_valid_prefix(out, strlen(out))] = 0;
}

static bool is_limit(const bv_sandbox_result *result) {
    return result->verdict != BV_VERDICT_OK && result->verdict != BV_VERDICT_FAILED;
}

static void tell_limit(const bv_sandbox_result *result, const char *who, bv_code_result *out) {
    out->verdict = BV_CODE_LIMIT;
    snprintf(out->message, sizeof out->message, "%s%s: %s", who,
             bv_sandbox_verdict_name(result->verdict), result->reason);
}

static void read_apart(const bv_sandbox_result *candidate, const bv_sandbox_result *checker,
                       bv_code_result *out) {
    take_last_line(&checker->error, out->message, sizeof out->message);
    out->verdict = BV_CODE_FAILED;
    if (checker->verdict == BV_VERDICT_OK)
        out->verdict = BV_CODE_PASSED;
    else if (is_limit(candidate))
        tell_limit(candidate, "", out);
    else if (is_limit(checker))
        tell_limit(checker, "in the checker: ", out);
    else if (checker->exit_code == 3)
        out->verdict = BV_CODE_SET_FAULT;
}

static void read_in_process(const bv_sandbox_result *result, bv_code_result *out) {
    out->forgeable = true;
    if (is_limit(result)) {
        tell_limit(result, "", out);
        return;
    }
    char last[sizeof END_MARK + 1];
    take_last_line(&result->output, last, sizeof last);
    const bool ended = result->verdict == BV_VERDICT_OK && !strcmp(last, END_MARK);
    out->verdict = ended ? BV_CODE_PASSED : BV_CODE_FAILED;
    take_last_line(&result->error, out->message, sizeof out->message);
    if (!ended && !*out->message) snprintf(out->message, sizeof out->message, "ended too early");
}

/* ---- the two ways ---- */

static bv_status put_solution(const bv_problem *problem, const char *completion, size_t size,
                              bv_buffer *out) {
    bv_buffer_text(out, problem->head);
    bv_buffer_append(out, completion, size);
    bv_buffer_text(out, "\n");
    return bv_buffer_error(out);
}

static bv_status put_task(const bv_problem *p, bv_buffer *out) {
    json_t *task = json_pack("{ss ss ss ss}", "context", p->context, "test", p->test, "entry",
                             p->entry, "call", p->call);
    bv_error *error = bv_json_text(task, 0, out);
    json_decref(task);
    return error;
}

static bv_status judge_apart(bv_sandbox_pool *pool, const bv_problem *problem,
                             const bv_buffer *solution, const bv_code_options *options,
                             bv_code_result *out) {
    static const char *const candidate_argv[] = {"/usr/bin/python3", "-S", "main.py", "solution.py",
                                                 NULL};
    static const char *const checker_argv[] = {"/usr/bin/python3", "-S", "main.py", "task.json",
                                               NULL};
    bv_buffer task = {0};
    bv_sandbox_result results[2] = {{0}};
    bv_error *error = put_task(problem, &task);
    const bv_sandbox_file candidate_files[] = {
        {.name = "main.py", .bytes = bv_boxed_candidate_py, .size = bv_boxed_candidate_py_size},
        {.name = "solution.py", .bytes = solution->data, .size = solution->size}};
    const bv_sandbox_file checker_files[] = {
        {.name = "main.py", .bytes = bv_boxed_checker_py, .size = bv_boxed_checker_py_size},
        {.name = "task.json", .bytes = task.data, .size = task.size}};
    bv_sandbox_job jobs[] = {python_job(options, candidate_argv, candidate_files, 2),
                             python_job(options, checker_argv, checker_files, 2)};
    give_more(&jobs[1].limits);
    if (!error) error = run_jobs(pool, jobs, 2, results);
    if (!error) read_apart(&results[0], &results[1], out);
    out->cpu_ns = results[0].cpu_ns + results[1].cpu_ns;
    bv_sandbox_result_free(&results[0]);
    bv_sandbox_result_free(&results[1]);
    bv_buffer_free(&task);
    return error;
}

static bv_status judge_in_process(bv_sandbox_pool *pool, const bv_problem *p,
                                  const bv_buffer *solution, const bv_code_options *options,
                                  bv_code_result *out) {
    static const char *const argv[] = {"/usr/bin/python3", "-S", "main.py", NULL};
    bv_buffer text = {0};
    bv_sandbox_result result = {0};
    bv_buffer_append(&text, solution->data, solution->size);
    if (!*p->call) bv_buffer_printf(&text, "%s\n", p->context);
    bv_buffer_printf(&text, "%s\n", p->test);
    if (*p->call) bv_buffer_printf(&text, "%s(%s)\n", p->call, p->entry);
    bv_buffer_text(&text, "__import__('builtins').print('\\n" END_MARK "')\n");
    bv_error *error = bv_buffer_error(&text);
    const bv_sandbox_file file = {.name = "main.py", .bytes = text.data, .size = text.size};
    bv_sandbox_job job = python_job(options, argv, &file, 1);
    if (!error) error = run_jobs(pool, &job, 1, &result);
    if (!error) read_in_process(&result, out);
    out->cpu_ns = result.cpu_ns;
    bv_sandbox_result_free(&result);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_judge_code(bv_sandbox_pool *pool, const bv_problem *problem, const char *completion,
                        size_t size, const bv_code_options *options, bv_code_result *out) {
    bv_buffer solution = {0};
    *out = (bv_code_result){0};
    bv_error *error = put_solution(problem, completion, size, &solution);
    if (!error && options->way == BV_CODE_APART)
        error = judge_apart(pool, problem, &solution, options, out);
    else if (!error)
        error = judge_in_process(pool, problem, &solution, options, out);
    bv_buffer_free(&solution);
    return bv_while(error, "judging a solution of %s", problem->id);
}

bv_status bv_code_result_reward(const bv_code_result *result, double *out) {
    if (result->forgeable)
        return bv_try(bv_fail(BV_CODE_USAGE, "a result that was judged in the candidate's own "
                                             "process can be forged: it is no reward"),
                      "judging apart (without --in-process)");
    *out = result->verdict == BV_CODE_PASSED;
    return BV_OK;
}

/* ---- keys ---- */

static void add(bv_sha256 *hash, const char *bytes, size_t size) {
    char length[32];
    const int n = snprintf(length, sizeof length, "%zu:", size);
    bv_sha256_add(hash, length, (size_t)n);
    bv_sha256_add(hash, size ? bytes : "", size);
}

bv_status bv_code_key(const bv_sandbox_pool *pool, const bv_problem *p, const char *completion,
                      size_t size, const bv_code_options *options, char key[BV_SHA256_TEXT_SIZE]) {
    char head[160];
    bv_sha256 *hash;
    BV_TRY(bv_sha256_begin(&hash));
    const int n = snprintf(head, sizeof head, "judge-code %s way %d cpu %llu memory %llu policy %s",
                           VERSION, (int)options->way, (unsigned long long)options->cpu_ns,
                           (unsigned long long)options->memory_bytes,
                           bv_sandbox_policy_name(bv_sandbox_pool_policy(pool)));
    add(hash, head, (size_t)n);
    bv_language_hash(bv_language_find("python"), hash);
    const char *const parts[] = {p->head, p->entry, p->context, p->test, p->call};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) add(hash, parts[i], strlen(parts[i]));
    add(hash, bv_boxed_candidate_py, bv_boxed_candidate_py_size);
    add(hash, bv_boxed_checker_py, bv_boxed_checker_py_size);
    add(hash, completion, size);
    bv_sha256_end(&hash, key);
    return BV_OK;
}

#include "arena/judge_samples.h"
#include "arena/sample_endpoint.h"
#include "arena/sample_model.h"
#include "arena/sandbox_selftest.h"
#include "base/cache_path.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/quantity.h"
#include "base/text.h"
#include "cli/arena.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/live_line.h"
#include "cli/machine_flags.h"
#include "cli/policy_flag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KS_MAX 16
#define FAILURES_SHOWN 20

static const bv_flag flag_table[] = {
    BV_REQUIRED_FLAG("set", "NAME", "humaneval or mbpp"),
    BV_STRING_FLAG("model", "RUN", NULL,
                   "write samples with this model: a run's folder, or a model file of llama2.c; "
                   "with --endpoint a name there"),
    BV_STRING_FLAG("endpoint", "URL", NULL,
                   "ask a model behind an OpenAI-compatible API, http://HOST:PORT/v1 (without "
                   "--model its first); a key is taken from OPENAI_API_KEY"),
    BV_STRING_FLAG("samples", "FILE", NULL,
                   "judge these samples: human-eval's format (task_id and completion, one JSON a "
                   "line); canonical: the set's own solutions"),
    BV_STRING_FLAG("data", "DIR", NULL,
                   "where the set's file is, or the file itself; otherwise $BEAVER_DATA"),
    BV_INT_FLAG("n", "N", 1, 1000, "1", "with --model and --endpoint: samples a problem"),
    BV_STRING_FLAG("k", "K,...", "1",
                   "which pass@k to estimate; each needs at least k samples of every problem"),
    BV_DOUBLE_FLAG("temperature", "T", 0, 100, "0.8", "0 always takes the likeliest token"),
    BV_DOUBLE_FLAG("top-p", "P", 0, 1, "0.95",
                   "draw from the likeliest tokens that together have probability P"),
    BV_INT_FLAG("tokens", "N", 1, 1e6, "512", "tokens of a sample at most"),
    BV_INT_FLAG("seed", "N", 0, 1e15, "0", "of the draws"),
    BV_STRING_FLAG("tokenizer", "FILE", NULL, "with --model: instead of the run's own"),
    BV_SWITCH_FLAG("truncate", "with --samples: cut them at the set's stop texts"),
    BV_SWITCH_FLAG("in-process",
                   "run the tests inside the candidate's process, as human-eval does: for "
                   "comparison only, since a candidate can forge such a result"),
    BV_STRING_FLAG("cpu", "TIME", "5s",
                   "CPU time of a candidate; its wall time is four times that"),
    BV_STRING_FLAG("memory", "SIZE", "512M", "memory of a candidate"),
    BV_STRING_FLAG("out", "FILE", NULL, "write all samples with their results, one JSON a line"),
    BV_STRING_FLAG("cache", "DIR", NULL,
                   "where samples and verdicts are kept, so that an evaluation that was "
                   "interrupted goes on; otherwise $XDG_CACHE_HOME/beaver/eval"),
    BV_SWITCH_FLAG("fresh", "without the cache"),
    BV_POLICY_FLAG,
};

static bv_status run(const bv_flags *flags);
const bv_command bv_arena_eval = {
    .name = "arena eval",
    .brief = "how many programming problems a model solves: pass@k",
    .summary = "Counts how many programming problems a model's samples solve, and estimates pass@k "
               "without bias, with a 95 % interval. Samples run in boxes; the tests run in other "
               "boxes and call them over pipes, so that no sample can forge its result.",
    .example = "beaver arena eval --set humaneval --samples canonical --data eval\n"
               "beaver arena eval --set mbpp --model run -n 20 --temperature 0.8 -k 1,10 --json",
    BV_FLAGS(flag_table),
    .threads = "threads to write and to judge samples with; 0: one for each usable core",
    .run = run,
};

typedef struct evaluation {
    const bv_flags *flags;
    const volatile sig_atomic_t *signal;
    bv_machine_use use;
    bv_sandbox_policy policy;
    bv_sandbox_pool *boxes;
    bv_record_cache *verdicts, *written;
    bv_problem_set set;
    bv_samples samples;
    bv_sample_counts counts;
    bv_code_options code;
    uint64_t ks[KS_MAX];
    size_t k_count, too_long;
    bv_live_line line;
    const char *doing; /* what it says */
    double seconds;
} evaluation;

/* ---- flags ---- */

static bv_status read_ks(evaluation *e) {
    char text[128], *save = NULL;
    if ((size_t)snprintf(text, sizeof text, "%s", bv_flags_string(e->flags, "k")) >= sizeof text)
        return bv_fail(BV_CODE_USAGE, "-k: the list is too long");
    for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        int64_t k;
        BV_TRY(bv_parse_int("-k", word, 1, 1000000, &k));
        if (e->k_count == KS_MAX) return bv_fail(BV_CODE_USAGE, "-k: more than %d", KS_MAX);
        e->ks[e->k_count++] = (uint64_t)k;
    }
    return e->k_count ? BV_OK : bv_try(bv_fail(BV_CODE_USAGE, "-k: no number"), "-k 1,10");
}

static bv_status read_options(evaluation *e) {
    const bv_flags *f = e->flags;
    bv_code_options_default(&e->code);
    BV_TRY(bv_policy_flag_read(f, &e->policy));
    if (bv_flags_bool(f, "in-process")) e->code.way = BV_CODE_IN_PROCESS;
    const bool writes = bv_flags_given(f, "model") || bv_flags_given(f, "endpoint");
    if (writes == bv_flags_given(f, "samples"))
        return bv_try(bv_fail(BV_CODE_USAGE, "one of --model, --endpoint and --samples is needed"),
                      "--samples canonical");
    if (bv_flags_given(f, "endpoint") && bv_flags_given(f, "tokenizer"))
        return bv_fail(BV_CODE_USAGE, "--tokenizer is for a model that runs here");
    static const char *const of_writing[] = {"n",      "temperature", "top-p",
                                             "tokens", "seed",        "tokenizer"};
    for (size_t i = 0; i < sizeof of_writing / sizeof *of_writing; i++)
        if (!writes && bv_flags_given(f, of_writing[i]))
            return bv_fail(BV_CODE_USAGE, "%s is for samples that are written, not for --samples",
                           bv_flag_spelled(of_writing[i]).text);
    if (!bv_flags_given(f, "samples") && bv_flags_given(f, "truncate"))
        return bv_fail(BV_CODE_USAGE, "--truncate is for --samples: others end at stop texts");
    if (bv_flags_given(f, "fresh") && bv_flags_given(f, "cache"))
        return bv_fail(BV_CODE_USAGE, "--fresh and --cache contradict each other");
    if (!bv_parse_duration(bv_flags_string(f, "cpu"), &e->code.cpu_ns) ||
        e->code.cpu_ns < 100000000 || e->code.cpu_ns > 600000000000)
        return bv_try(bv_fail(BV_CODE_USAGE, "--cpu: not a time of 100 ms to 10 minutes"), "5s");
    if (!bv_parse_bytes(bv_flags_string(f, "memory"), &e->code.memory_bytes) ||
        e->code.memory_bytes < 32000000 || e->code.memory_bytes > 64000000000)
        return bv_try(bv_fail(BV_CODE_USAGE, "--memory: not a size of 32M to 64G"), "512M");
    return read_ks(e);
}

static bv_status load_set(evaluation *e) {
    const char *data = bv_flags_string(e->flags, "data");
    if (!data) data = getenv("BEAVER_DATA");
    if (!data || !*data)
        return bv_try(bv_fail(BV_CODE_USAGE, "where is the set? Neither --data nor BEAVER_DATA is "
                                             "given"),
                      "--data FOLDER, where HumanEval.jsonl.gz or mbpp.jsonl is");
    return bv_problem_set_load(bv_flags_string(e->flags, "set"), data, &e->set);
}

static bv_status open_caches(evaluation *e) {
    const char *folder = bv_flags_string(e->flags, "cache");
    if (bv_flags_bool(e->flags, "fresh")) return BV_OK;
    char *own = folder ? bv_strdup(folder) : bv_cache_path("eval");
    if (!own)
        return bv_try(bv_fail(BV_CODE_USAGE, "no folder for the cache"), "--cache DIR, or --fresh");
    char path[4096];
    snprintf(path, sizeof path, "%s/verdicts.jsonl", own);
    bv_error *error = bv_record_cache_open(path, &e->verdicts);
    snprintf(path, sizeof path, "%s/samples.jsonl", own);
    if (!error) error = bv_record_cache_open(path, &e->written);
    bv_free(own);
    return error;
}

/* `least`: samples of the problem that has fewest. */
static bv_status check_ks(const evaluation *e, uint64_t least) {
    for (size_t i = 0; i < e->k_count; i++)
        if (e->ks[i] > least)
            return bv_try(bv_fail(BV_CODE_USAGE,
                                  "pass@%llu needs so many samples of each problem; one has %llu",
                                  (unsigned long long)e->ks[i], (unsigned long long)least),
                          bv_flags_given(e->flags, "samples")
                              ? "a file with %llu samples of each, or a smaller k"
                              : "-n %llu, or a smaller k",
                          (unsigned long long)e->ks[i]);
    return BV_OK;
}

/* ---- work ---- */

static int tell(void *context, size_t done, size_t count) {
    evaluation *e = context;
    if (bv_live_line_due(&e->line))
        bv_live_line_say(&e->line, "%s %zu of %zu", e->doing, done, count);
    return *e->signal;
}

static bv_sample_settings sample_settings(const bv_flags *f) {
    return (bv_sample_settings){.n = (size_t)bv_flags_int(f, "n"),
                                .temperature = bv_flags_double(f, "temperature"),
                                .top_p = bv_flags_double(f, "top-p"),
                                .tokens = (size_t)bv_flags_int(f, "tokens"),
                                .seed = (uint64_t)bv_flags_int(f, "seed")};
}

static bv_status ask_endpoint(evaluation *e) {
    const char *key = getenv("OPENAI_API_KEY");
    const bv_sample_endpoint_options options = {.url = bv_flags_string(e->flags, "endpoint"),
                                                .model = bv_flags_string(e->flags, "model"),
                                                .key = key && *key ? key : NULL,
                                                .settings = sample_settings(e->flags),
                                                .cache = e->written,
                                                .progress = tell,
                                                .context = e};
    e->doing = "got samples of problem";
    return bv_samples_from_endpoint(&e->set, &options, &e->samples);
}

static bv_status write_samples(evaluation *e) {
    const bv_flags *f = e->flags;
    const bv_sample_model_options options = {.model = bv_flags_string(f, "model"),
                                             .tokenizer = bv_flags_string(f, "tokenizer"),
                                             .settings = sample_settings(f),
                                             .kernels = e->use.kernels,
                                             .threads = e->use.pool,
                                             .cache = e->written,
                                             .progress = tell,
                                             .context = e};
    e->doing = "wrote samples of problem";
    return bv_samples_from_model(&e->set, &options, &e->samples, &e->too_long);
}

static bv_status get_samples(evaluation *e) {
    const char *path = bv_flags_string(e->flags, "samples");
    if (bv_flags_given(e->flags, "endpoint")) return ask_endpoint(e);
    if (!path) return write_samples(e);
    if (!strcmp(path, "canonical")) return bv_samples_canonical(&e->set, &e->samples);
    BV_TRY(bv_samples_read(&e->set, path, &e->samples));
    if (bv_flags_bool(e->flags, "truncate")) bv_samples_truncate(&e->samples, &e->set);
    return BV_OK;
}

/* Each thread judges one sample at a time, in two boxes. */
static bv_status judge(evaluation *e) {
    const bv_sandbox_options options = {.policy = e->policy,
                                        .boxes = 2 * (uint32_t)bv_pool_threads(e->use.pool)};
    BV_TRY(bv_sandbox_pool_create(&options, &e->boxes));
    const bv_judge_samples_options judging = {.code = e->code,
                                              .pool = e->boxes,
                                              .threads = e->use.pool,
                                              .cache = e->verdicts,
                                              .progress = tell,
                                              .context = e};
    e->doing = "judged sample";
    return bv_judge_samples(&e->samples, &judging);
}

static bv_status count(evaluation *e) {
    bv_sample_counts_free(&e->counts);
    return bv_sample_counts_make(&e->set, &e->samples, &e->counts);
}

/* ---- the report ---- */

static void say_failures(const evaluation *e) {
    size_t shown = 0, failed = e->samples.count - e->counts.passed;
    for (size_t i = 0; i < e->samples.count && shown < FAILURES_SHOWN; i++) {
        const bv_sample *s = &e->samples.list[i];
        if (s->result.verdict == BV_CODE_PASSED) continue;
        bv_cli_say("  %-16s %-9s %s\n", s->problem->id, bv_code_verdict_name(s->result.verdict),
                   s->result.message);
        shown++;
    }
    if (failed > shown) bv_cli_say("  and %zu more\n", failed - shown);
}

static void say_report(const evaluation *e, const bv_pass_estimate *estimates) {
    size_t cached = 0;
    for (size_t i = 0; i < e->samples.count; i++) cached += e->samples.list[i].cached;
    say_failures(e);
    bv_cli_say("%s: %zu of %zu samples of %zu problems pass", e->set.name, e->counts.passed,
               e->samples.count, e->counts.count);
    bv_cli_say(" (%zu known before, the rest in %.1f s)\n", cached, e->seconds);
    if (e->set.count > e->counts.count)
        bv_cli_say("%zu problems of the set have no sample, and do not count\n",
                   e->set.count - e->counts.count);
    if (e->too_long)
        bv_cli_say("%zu prompts are too long for the model's context: empty samples\n",
                   e->too_long);
    for (size_t i = 0; i < e->k_count; i++)
        bv_cli_say("pass@%llu  %.2f %%  (95 %%: %.2f to %.2f, bootstrap over problems)\n",
                   (unsigned long long)e->ks[i], 100 * estimates[i].mean, 100 * estimates[i].low,
                   100 * estimates[i].high);
    if (e->code.way == BV_CODE_IN_PROCESS)
        bv_cli_say("judged in the candidate's process: FORGEABLE, no reward\n");
}

/* Each problem with its samples, and why the first one failed that did. */
static json_t *problems_json(const evaluation *e) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < e->counts.count; i++) {
        const bv_code_result *failure = NULL;
        for (size_t s = 0; s < e->samples.count && !failure; s++)
            if (e->samples.list[s].problem == e->counts.problems[i] &&
                e->samples.list[s].result.verdict != BV_CODE_PASSED)
                failure = &e->samples.list[s].result;
        json_array_append_new(list,
                              json_pack("{ss sI sI ss? ss?}", "task_id", e->counts.problems[i]->id,
                                        "samples", (json_int_t)e->counts.counts[i].n, "passed",
                                        (json_int_t)e->counts.counts[i].c, "verdict",
                                        failure ? bv_code_verdict_name(failure->verdict) : NULL,
                                        "message", failure ? failure->message : NULL));
    }
    return list;
}

static json_t *report_json(const evaluation *e, const bv_pass_estimate *estimates) {
    json_t *values = json_object(), *intervals = json_object();
    for (size_t i = 0; values && intervals && i < e->k_count; i++) {
        char key[24];
        snprintf(key, sizeof key, "%llu", (unsigned long long)e->ks[i]);
        json_object_set_new(values, key, json_real(estimates[i].mean));
        json_object_set_new(intervals, key, json_pack("[ff]", estimates[i].low, estimates[i].high));
    }
    const bool apart = e->code.way == BV_CODE_APART;
    return json_pack("{ss ss sb sI sI sI sI so so ss sf so}", "set", e->set.name, "way",
                     apart ? "apart" : "in-process", "forgeable", !apart, "passed",
                     (json_int_t)e->counts.passed, "total", (json_int_t)e->samples.count,
                     "problem_count", (json_int_t)e->counts.count, "without_samples",
                     (json_int_t)(e->set.count - e->counts.count), "pass_at_k", values, "intervals",
                     intervals, "interval_kind", "95 %, bootstrap over problems, 10000 resamples",
                     "seconds", e->seconds, "problems", problems_json(e));
}

static bv_status report(evaluation *e) {
    bv_pass_estimate estimates[KS_MAX];
    const char *out = bv_flags_string(e->flags, "out");
    for (size_t i = 0; i < e->k_count; i++) {
        estimates[i] = bv_pass_at_k_estimate(e->counts.counts, e->counts.count, e->ks[i]);
        if (estimates[i].low > estimates[i].high) return bv_fail_memory("pass@k");
    }
    say_report(e, estimates);
    if (out) BV_TRY(bv_samples_write(&e->samples, out));
    return bv_flags_bool(e->flags, "json") ? bv_cli_json(report_json(e, estimates)) : BV_OK;
}

static bv_status evaluate(evaluation *e) {
    const double begin = bv_clock_seconds();
    const char *out = bv_flags_string(e->flags, "out");
    const char *samples = bv_flags_string(e->flags, "samples");
    BV_TRY(read_options(e));
    if (out && samples) BV_TRY(bv_file_check_apart(out, samples));
    if (out) BV_TRY(bv_file_check_writable(out));
    BV_TRY(load_set(e));
    BV_TRY(open_caches(e));
    BV_TRY(bv_machine_begin(e->flags, &e->use));
    e->signal = bv_interrupt_catch();
    e->line = bv_live_line_begin();
    if (!bv_flags_given(e->flags, "samples"))
        BV_TRY(check_ks(e, (uint64_t)bv_flags_int(e->flags, "n")));
    BV_TRY(bv_selftest_require(e->policy)); /* samples may take hours */
    BV_TRY(get_samples(e));
    BV_TRY(count(e));
    BV_TRY(check_ks(e, e->counts.n_min));
    BV_TRY(judge(e));
    BV_TRY(count(e));
    bv_live_line_end(&e->line);
    e->seconds = bv_clock_seconds() - begin;
    return report(e);
}

static bv_status run(const bv_flags *flags) {
    evaluation e = {0};
    e.flags = flags;
    bv_error *error = evaluate(&e);
    bv_live_line_end(&e.line);
    bv_sandbox_pool_destroy(&e.boxes);
    bv_sample_counts_free(&e.counts);
    bv_samples_free(&e.samples);
    bv_problem_set_free(&e.set);
    bv_record_cache_close(&e.verdicts);
    bv_record_cache_close(&e.written);
    bv_machine_end(&e.use);
    return error;
}

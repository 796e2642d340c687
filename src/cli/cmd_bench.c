#include "base/memory.h"
#include "base/order.h"
#include "cli/bench.h"
#include "cli/bench_kernels.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/machine_flags.h"
#include "cli/settings_flags.h"
#include "model/gpt.h"
#include "report/estimate.h"
#include "report/limits_cache.h"
#include "report/machine.h"
#include "report/units.h"
#include "train/presets.h"
#include "train/rehearsal.h"

#define LIMITS_SECONDS 1.5
#define WARM_UP_STEPS 2

/* ---- limits ---- */

static const bv_flag limits_flags[] = {
    BV_DOUBLE_FLAG("seconds", "S", 0.01, 60, NULL,
                   "how long to measure, each on one thread and on all; nothing is kept for "
                   "explain and train then (default: 1.5, kept)"),
    BV_SWITCH_FLAG(
        "peak",
        "only the f32 peak of all threads, as a look beside another timing; not kept either"),
};
static bv_status run_limits(const bv_flags *flags);
static const bv_command limits_command = {
    .name = "bench limits",
    .brief = "this machine's limits",
    .summary = "Measures this machine's limits: multiply-adds from registers alone, reads of "
               "memory, and what threads wait for each other, on one thread and on all.",
    .example = "beaver bench limits --json",
    BV_FLAGS(limits_flags),
    .threads = BV_THREADS_COMPUTE,
    .run = run_limits,
};

static bv_status measure(const bv_kernels *kernels, int threads, const bv_flags *flags,
                         json_t *list) {
    const bool brief = bv_flags_given(flags, "seconds");
    const double seconds = brief ? bv_flags_double(flags, "seconds") : LIMITS_SECONDS;
    bv_pool *pool;
    bv_limits l, best;
    BV_TRY(bv_pool_create(threads, &pool));
    threads = bv_pool_threads(pool);
    bv_error *error = bv_limits_measure(kernels, pool, seconds, &l);
    const double run_ns = bv_limits_run_ns(pool);
    bv_pool_destroy(&pool);
    if (error) return error;
    /* For explain and for training; without a folder to keep them they are only printed. */
    if (!brief) error = bv_limits_remember(threads, kernels->level, &l, &best);
    bv_error_free(&error);
    bv_cli_say("%-9s  %s, an empty run %.0f ns\n", bv_human_number((size_t)threads, "thread").text,
               bv_limits_text(&l).text, run_ns);
    json_array_append_new(list, json_pack("{si sf sf sf sf sf}", "threads", threads, "f32_gflops",
                                          l.f32_gflops, "bf16_gflops", l.bf16_gflops, "int8_gops",
                                          l.int8_gops, "read_gbps", l.read_gbps, "run_ns", run_ns));
    return BV_OK;
}

static bv_status look_at_peak(const bv_flags *flags, const bv_machine_use *use) {
    const bool brief = bv_flags_given(flags, "seconds");
    const double seconds = brief ? bv_flags_double(flags, "seconds") : 0.02;
    const double peak = bv_limits_peak_gflops(use->kernels, use->pool, BV_F32, seconds);
    const int threads = bv_pool_threads(use->pool);
    bv_cli_say("%s  f32 %.0f GFLOP/s\n", bv_human_number((size_t)threads, "thread").text, peak);
    if (!bv_flags_bool(flags, "json")) return BV_OK;
    return bv_cli_json(json_pack("{ss si sf}", "level", use->kernels->level, "threads", threads,
                                 "f32_gflops", peak));
}

static bv_status run_limits(const bv_flags *flags) {
    bv_machine_use use = {0};
    json_t *list = json_array();
    bv_error *error = bv_machine_begin(flags, &use);
    const int threads = bv_pool_threads(use.pool);
    const bool peak = bv_flags_bool(flags, "peak");
    if (!error && peak) error = look_at_peak(flags, &use);
    if (!error && !peak) error = measure(use.kernels, 1, flags, list);
    if (!error && !peak && threads > 1) error = measure(use.kernels, threads, flags, list);
    if (!error && !peak && bv_flags_bool(flags, "json"))
        error = bv_cli_json(json_pack("{ss sO}", "level", use.kernels->level, "limits", list));
    json_decref(list);
    bv_machine_end(&use);
    return error;
}

/* ---- kernels ---- */

static const bv_flag kernels_flags[] = {
    BV_STRING_FLAG("filter", "TEXT", NULL,
                   "only kernels whose line contains it: matmul, \"attention gpt2\", small, bf16"),
    BV_DOUBLE_FLAG("seconds", "S", 0.001, 60, "0.2", "how long to repeat each kernel"),
};
static bv_status run_kernels(const bv_flags *flags);
static const bv_command kernels_command = {
    .name = "bench kernels",
    .brief = "each kernel's share of the limit",
    .summary = "Measures each kernel in the shapes of GPT-2 124M (4 x 1024 tokens) and of a small "
               "model: medians, and shares of this machine's limit (arithmetic, or memory where "
               "that takes longer; more than 100% where the operands stay in the caches).",
    .example = "beaver bench kernels --threads 2\n"
               "beaver bench kernels --filter \"matmul up\" --json",
    BV_FLAGS(kernels_flags),
    .threads = BV_THREADS_COMPUTE,
    .run = run_kernels,
};

static bv_status run_kernels(const bv_flags *flags) {
    bv_machine_use use = {0};
    json_t *rows = json_array();
    bv_error *error = bv_machine_begin(flags, &use);
    const bv_bench_kernels_options options = {.filter = bv_flags_string(flags, "filter"),
                                              .seconds = bv_flags_double(flags, "seconds")};
    if (!error) error = bv_bench_kernels(&use, &options, rows);
    if (!error && json_array_size(rows) == 0)
        error = bv_try(bv_fail(BV_CODE_USAGE, "no kernel's line contains \"%s\"", options.filter),
                       "beaver bench kernels --seconds 0.001, which lists all");
    if (!error && bv_flags_bool(flags, "json"))
        error = bv_cli_json(json_pack("{ss si sO}", "level", use.kernels->level, "threads",
                                      bv_pool_threads(use.pool), "kernels", rows));
    json_decref(rows);
    bv_machine_end(&use);
    return error;
}

/* ---- train ---- */

static const bv_flag train_flags[] = {BV_PRESET_FLAGS, BV_SETTINGS_UNLISTED};
static bv_status run_train(const bv_flags *flags);
static const bv_command train_command = {
    .name = "bench train",
    .brief = "training steps of a preset",
    .summary =
        "Measures training on random tokens: --steps of them after two to warm up (default "
        "10); the median counts. A preset's batch of more than 64 sequences becomes 4. Nothing is "
        "saved.",
    .example = "beaver bench train --preset gpt2 --batch 4 --steps 5\n"
               "beaver bench train --preset nanogpt-char-cpu --steps 100 --json",
    BV_FLAGS(train_flags),
    .threads = BV_THREADS_COMPUTE,
    .run = run_train,
};

typedef struct train_bench {
    bv_settings settings;
    bv_machine_use use;
    bv_rehearsal *rehearsal;
    double *seconds;
    size_t steps;
} train_bench;

static bv_status choose_settings(const bv_flags *flags, train_bench *b) {
    bv_settings *s = &b->settings;
    bv_settings_default(s);
    BV_TRY(bv_settings_from_flags(flags, s));
    b->steps = bv_settings_flag_given(flags, "steps") ? s->steps : 10;
    if (!bv_settings_flag_given(flags, "batch")) bv_rehearsal_shorten(s);
    if (s->model.vocab_size == 0)
        s->model.vocab_size = bv_preset_vocab(bv_flags_string(flags, "preset"));
    return bv_settings_check(s);
}

/* A model that does not fit is refused before the machine begins to swap. */
static bv_status check_memory(const bv_flags *flags, const train_bench *b) {
    const char *preset = bv_flags_string(flags, "preset");
    bv_estimate estimate;
    BV_TRY(bv_estimate_memory(&b->settings, 0, b->use.kernels, b->use.pool, &estimate));
    return bv_estimate_fits(&estimate, preset ? preset : "this model");
}

static bv_status prepare(train_bench *b) {
    const bv_train_options options = {.settings = &b->settings,
                                      .end_of_text = UINT32_MAX,
                                      .kernels = b->use.kernels,
                                      .pool = b->use.pool};
    b->seconds = bv_calloc(b->steps, sizeof *b->seconds);
    if (!b->seconds) return bv_fail_memory("a benchmark");
    return bv_rehearsal_create(&options, &b->rehearsal);
}

static bv_status tell(const bv_flags *flags, train_bench *b) {
    const bv_settings *s = &b->settings;
    const double median = bv_median(b->seconds, b->steps),
                 tokens = (double)(s->batch * s->model.context);
    const bool half = s->numerics == BV_NUMERICS_BF16;
    const double peak = bv_limits_peak_gflops(b->use.kernels, b->use.pool, half ? BV_BF16 : BV_F32,
                                              LIMITS_SECONDS / 3);
    const double mfu = 3 * bv_gpt_forward_flops(&s->model) * tokens / median / (1e9 * peak);
    const int64_t memory = (int64_t)bv_machine_peak_memory();
    const char *preset = bv_flags_string(flags, "preset");
    const double fastest = b->seconds[0], slowest = b->seconds[b->steps - 1]; /* sorted */
    bv_cli_say("%s: %zu x %zu tokens in %.1f ms (median of %zu; %.1f to %.1f): %.0f tokens/s, %s "
               "of the limit (%.0f tokens/s at %s %.0f GFLOP/s), %s of memory\n",
               preset ? preset : "defaults", s->batch, s->model.context, median * 1e3, b->steps,
               fastest * 1e3, slowest * 1e3, tokens / median, bv_human_share(mfu).text,
               tokens / median / mfu, half ? "bf16" : "f32", peak,
               bv_human_bytes((double)memory).text);
    if (!bv_flags_bool(flags, "json")) return BV_OK;
    return bv_cli_json(json_pack(
        "{ss ss sI sI sI si ss sI sf sf sf sf sf sf sf sI}", "preset", preset ? preset : "",
        "dtype", half ? "bf16" : "f32", "parameters", (json_int_t)bv_gpt_parameter_count(&s->model),
        "batch", (json_int_t)s->batch, "context", (json_int_t)s->model.context, "threads",
        bv_pool_threads(b->use.pool), "level", b->use.kernels->level, "steps", (json_int_t)b->steps,
        "tokens_per_s", tokens / median, "ms_per_step", median * 1e3, "ms_fastest", fastest * 1e3,
        "ms_slowest", slowest * 1e3, "share_of_limit", mfu, "limit_tokens_per_s",
        tokens / median / mfu, "peak_gflops", peak, "peak_memory_bytes", (json_int_t)memory));
}

static bv_status run_train(const bv_flags *flags) {
    train_bench b = {0};
    bv_error *error = choose_settings(flags, &b);
    if (!error) error = bv_machine_begin(flags, &b.use);
    if (!error) error = check_memory(flags, &b);
    if (!error) error = prepare(&b);
    for (size_t i = 0; !error && i < WARM_UP_STEPS + b.steps; i++) {
        size_t tokens;
        const double seconds = bv_rehearsal_step(b.rehearsal, &tokens);
        if (i >= WARM_UP_STEPS) b.seconds[i - WARM_UP_STEPS] = seconds;
    }
    if (!error) error = tell(flags, &b);
    bv_rehearsal_destroy(&b.rehearsal);
    bv_free(b.seconds);
    bv_machine_end(&b.use);
    return error;
}

static const bv_command *const subcommands[] = {&limits_command,     &kernels_command,
                                                &train_command,      &bv_bench_generate,
                                                &bv_bench_tokenizer, &bv_bench_sandbox};

const bv_command bv_cmd_bench = {
    .name = "bench",
    .brief = "this machine's limits, and Beaver's share of them",
    .example = "beaver bench limits\n"
               "beaver bench train --preset gpt2 --batch 4 --steps 5",
    BV_SUBCOMMANDS(subcommands),
};

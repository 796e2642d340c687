#include "cli/bench.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/order.h"
#include "base/random.h"
#include "cli/cli.h"
#include "cli/machine_flags.h"
#include "cli/settings_flags.h"
#include "engine/engine.h"
#include "model/gpt_score.h"
#include "model/ngram.h"
#include "report/estimate.h"
#include "report/limits_cache.h"
#include "report/machine.h"
#include "report/units.h"
#include "train/presets.h"

#define PEAKS_SECONDS 0.45
#define LOOK_SECONDS 0.02 /* at the memory, between steps */
#define STEPS_TO_LOOK 8
#define CHUNK_ROWS 512 /* tokens of a prompt that go through the model together */

static const bv_flag flag_table[] = {
    BV_PRESET_FLAGS, BV_INT_FLAG("prompt", "N", 1, 1e7, "512", "tokens of the prompt"),
    BV_INT_FLAG("tokens", "N", 1, 1e7, "64", "tokens that each sequence writes"),
    BV_INT_FLAG("sequences", "N", 1, 1024, "16",
                "how many write together, after one has written alone"),
    BV_SETTINGS_UNLISTED};
static bv_status run(const bv_flags *flags);
const bv_command bv_bench_generate = {
    .name = "bench generate",
    .brief = "reading prompts and writing text",
    .summary =
        "Measures generation with random weights: reading a prompt (beside this machine's "
        "arithmetic, and beside training's forward pass over it), then writing with one "
        "sequence and with many, in turns (beside the time to read weights and KV cache once "
        "a step, with memory as it was between these steps). Medians.",
    .example = "beaver bench generate --preset gpt2 --dtype bf16 --threads 2\n"
               "beaver bench generate --preset gpt2 --context 256 --prompt 128 --json",
    BV_FLAGS(flag_table),
    .threads = BV_THREADS_COMPUTE,
    .run = run,
};

typedef struct figures {
    double seconds; /* of a prompt, or of a step */
    double tokens_per_s, share_of_limit;
} figures;

/* Sequences that write together. */
typedef struct writing {
    size_t first, count;
    double *seconds, *shares, *gbps; /* by step: its time, its share of the memory's limit, that */
    double read_gbps;                /* median */
    figures figures;
} writing;

typedef struct bench {
    bv_settings settings;
    bv_machine_use use;
    bv_limits limits;
    bv_weights *weights;
    bv_engine *engine;
    size_t prompt, tokens, sequences;
    uint64_t peak_memory; /* bytes, without the buffer */
    void *buffer;         /* that is read to measure memory */
    size_t buffer_bytes;
    uint32_t *text; /* random tokens: [prompt + tokens] */
    size_t *indices;
    uint32_t *next;
    figures reading, forward; /* the prompt; training's pass over it */
    writing one, many;
} bench;

static bv_status choose(const bv_flags *flags, bench *b) {
    bv_settings *s = &b->settings;
    bv_settings_default(s);
    BV_TRY(bv_settings_from_flags(flags, s));
    if (s->model.vocab_size == 0)
        s->model.vocab_size = bv_preset_vocab(bv_flags_string(flags, "preset"));
    BV_TRY(bv_settings_check(s));
    b->prompt = (size_t)bv_flags_int(flags, "prompt");
    b->tokens = (size_t)bv_flags_int(flags, "tokens");
    b->sequences = (size_t)bv_flags_int(flags, "sequences");
    if (b->prompt + b->tokens > s->model.context)
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "--prompt %zu and --tokens %zu do not fit the context of %zu",
                              b->prompt, b->tokens, s->model.context),
                      "a larger --context");
    return BV_OK;
}

/* A numerics class's element of weights and of the KV cache. */
static double element_bytes(const bench *b) {
    return b->settings.numerics == BV_NUMERICS_BF16 ? 2 : 4;
}

/* Keys and values of one sequence up to a position. */
static double cache_bytes(const bench *b, double position) {
    const bv_gpt_config *c = &b->settings.model;
    return 2 * element_bytes(b) * (double)(c->layers * c->kv_heads * c->d_head) * position;
}

/* Weights, their packed form and the caches; refused before the machine begins to swap. */
static bv_status check_memory(const bv_flags *flags, const bench *b) {
    const char *preset = bv_flags_string(flags, "preset");
    const double weights =
        (sizeof(float) + element_bytes(b)) * (double)bv_gpt_parameter_count(&b->settings.model);
    const double caches =
        (double)(b->sequences + 1) * cache_bytes(b, (double)b->prompt + (double)b->tokens);
    return bv_try(bv_memory_fits(weights + caches, preset ? preset : "this model"),
                  "a smaller model, or fewer --sequences");
}

static bv_status prepare_writing(const bench *b, writing *w, size_t first, size_t count) {
    *w = (writing){.first = first, .count = count};
    w->seconds = bv_calloc(b->tokens, sizeof *w->seconds);
    w->shares = bv_calloc(b->tokens, sizeof *w->shares);
    w->gbps = bv_calloc(b->tokens, sizeof *w->gbps);
    return w->seconds && w->shares && w->gbps ? BV_OK : bv_fail_memory("a benchmark");
}

static void end_writing(writing *w) {
    bv_free(w->seconds);
    bv_free(w->shares);
    bv_free(w->gbps);
}

static bv_status prepare(bench *b) {
    const bv_settings *s = &b->settings;
    const size_t count = b->prompt + b->tokens, sequences = b->sequences + 1;
    b->text = bv_calloc(count, sizeof *b->text);
    b->indices = bv_calloc(sequences, sizeof *b->indices);
    b->next = bv_calloc(sequences, sizeof *b->next);
    b->buffer_bytes = bv_limits_buffer_bytes();
    b->buffer = bv_limits_buffer(b->buffer_bytes);
    if (!b->text || !b->indices || !b->next || !b->buffer) return bv_fail_memory("a benchmark");
    BV_TRY(prepare_writing(b, &b->one, 0, 1));
    BV_TRY(prepare_writing(b, &b->many, 1, b->sequences));
    for (size_t i = 0; i < count; i++)
        b->text[i] = bv_random(s->seed, BV_RANDOM_TEST, 0, 0, (uint32_t)i, 0).v[0] %
                     (uint32_t)s->model.vocab_size;
    for (size_t i = 0; i < sequences; i++) b->indices[i] = i;
    BV_TRY(bv_gpt_weights_create(&s->model, b->use.kernels, b->use.pool, &b->weights));
    bv_weights_initialize(b->weights, s->seed);
    return bv_engine_create(
        &(bv_engine_options){.config = s->model,
                             .numerics = s->numerics,
                             .kernels = b->use.kernels,
                             .pool = b->use.pool,
                             .weights = b->weights,
                             .rows_max = CHUNK_ROWS > sequences ? CHUNK_ROWS : sequences,
                             .sequences_max = sequences},
        &b->engine);
}

/* The best of measurements around the work that is compared with them: the machine is shared, and a
 * limit that was taken in a bad moment would flatter. (Bandwidth is measured between steps of
 * writing: on shared machines it may double from one second to the next.) */
static void measure_peaks(bench *b) {
    bv_limits now;
    bv_limits_measure_peaks(b->use.kernels, b->use.pool, PEAKS_SECONDS, &now);
    b->limits = bv_limits_larger(&b->limits, &now);
}

/* ---- the work ---- */

#define PROMPTS 5

static bv_status run_prompt(bench *b) {
    double seconds[PROMPTS];
    bv_engine_reset(b->engine, 0);
    BV_TRY(bv_engine_feed(b->engine, 0, b->text, b->prompt)); /* packs the weights */
    for (int i = 0; i < PROMPTS; i++) {
        bv_engine_reset(b->engine, 0);
        const double begin = bv_clock_seconds();
        BV_TRY(bv_engine_feed(b->engine, 0, b->text, b->prompt));
        seconds[i] = bv_clock_seconds() - begin;
    }
    b->reading.seconds = bv_median(seconds, PROMPTS);
    return BV_OK;
}

/* The forward pass of training over the same tokens, with the loss of each. */
static bv_status run_forward(bench *b) {
    double seconds[PROMPTS];
    bv_gpt_scorer *scorer;
    float *losses = bv_calloc(b->prompt, sizeof *losses);
    if (!losses) return bv_fail_memory("losses");
    bv_error *error =
        bv_gpt_scorer_create(&(bv_gpt_scorer_options){.config = b->settings.model,
                                                      .numerics = b->settings.numerics,
                                                      .kernels = b->use.kernels,
                                                      .pool = b->use.pool,
                                                      .weights = b->weights,
                                                      .sequences_max = 1,
                                                      .context = b->prompt},
                             &scorer);
    for (int i = -1; !error && i < PROMPTS; i++) { /* the first packs the weights */
        const double begin = bv_clock_seconds();
        bv_gpt_scorer_losses(scorer, b->text, b->text + 1, NULL, 1, b->prompt, losses);
        if (i >= 0) seconds[i] = bv_clock_seconds() - begin;
    }
    bv_gpt_scorer_destroy(&scorer);
    bv_free(losses);
    if (!error) b->forward.seconds = bv_median(seconds, PROMPTS);
    return error;
}

/* ---- writing ---- */

/* Weights that a step reads whole: all but the tables of positions, of n-grams, and of an untied
 * embedding. */
static double step_weights(const bv_gpt_config *c) {
    size_t count = bv_gpt_parameter_count(c);
    if (c->position == BV_POSITION_LEARNED) count -= c->context * c->width;
    if (!c->tied) count -= c->vocab_size * c->width;
    for (size_t n = 2; n <= c->ngram; n++) count -= bv_ngram_table_rows(c, n) * c->width;
    return (double)count;
}

static bv_status step(bench *b, const writing *w, size_t k, double *seconds) {
    for (size_t i = 0; i < w->count; i++) b->next[i] = b->text[(b->prompt + k + i) % b->prompt];
    const double begin = bv_clock_seconds();
    BV_TRY(bv_engine_step(b->engine, b->indices + w->first, b->next, w->count));
    *seconds = bv_clock_seconds() - begin;
    return BV_OK;
}

/* Steps begin .. end - 1, and memory before and behind them: *gbps. */
static bv_status run_some(bench *b, writing *w, size_t begin, size_t end, double *gbps) {
    for (size_t k = begin; k < end; k++) BV_TRY(step(b, w, k, &w->seconds[k]));
    const double before = *gbps;
    *gbps = bv_limits_read_gbps(b->use.pool, b->buffer, b->buffer_bytes, LOOK_SECONDS);
    const double read = *gbps > before ? *gbps : before;
    const double weights = element_bytes(b) * step_weights(&b->settings.model);
    for (size_t k = begin; k < end; k++) {
        const double cache = (double)w->count * cache_bytes(b, (double)(b->prompt + k + 1));
        w->gbps[k] = read;
        w->shares[k] = (weights + cache) / (1e9 * read) / w->seconds[k];
    }
    return BV_OK;
}

static void summarize(const bench *b, writing *w) {
    figures *f = &w->figures;
    f->seconds = bv_median(w->seconds, b->tokens);
    f->tokens_per_s = (double)w->count / f->seconds;
    f->share_of_limit = bv_median(w->shares, b->tokens);
    w->read_gbps = bv_median(w->gbps, b->tokens);
}

/* One sequence and many in turns, all from the prompt's end on. */
static bv_status run_writing(bench *b) {
    bv_engine_reset(b->engine, 0);
    BV_TRY(bv_engine_feed(b->engine, 0, b->text, b->prompt));
    for (size_t i = 1; i <= b->sequences; i++) BV_TRY(bv_engine_copy(b->engine, 0, i));
    double gbps = bv_limits_read_gbps(b->use.pool, b->buffer, b->buffer_bytes, LOOK_SECONDS);
    for (size_t begin = 0, end; begin < b->tokens; begin = end) {
        end = begin + STEPS_TO_LOOK < b->tokens ? begin + STEPS_TO_LOOK : b->tokens;
        BV_TRY(run_some(b, &b->one, begin, end, &gbps));
        BV_TRY(run_some(b, &b->many, begin, end, &gbps));
    }
    summarize(b, &b->one);
    summarize(b, &b->many);
    return BV_OK;
}

/* ---- limits ---- */

/* Of the prompt: arithmetic. */
static void against_limits(bench *b) {
    const bool half = b->settings.numerics == BV_NUMERICS_BF16;
    const double peak = 1e9 * (half ? b->limits.bf16_gflops : b->limits.f32_gflops);
    bv_gpt_config c = b->settings.model;
    c.context = b->prompt;
    const double head = 2 * (double)(c.vocab_size * c.width);
    const double flops = (double)b->prompt * (bv_gpt_forward_flops(&c) - head) + head;
    b->reading.tokens_per_s = (double)b->prompt / b->reading.seconds;
    b->reading.share_of_limit = flops / peak / b->reading.seconds;
    b->forward.share_of_limit =
        (double)b->prompt * bv_gpt_forward_flops(&c) / peak / b->forward.seconds;
}

static bv_status tell(const bv_flags *flags, const bench *b) {
    const figures *prompt = &b->reading, *forward = &b->forward;
    const figures *one = &b->one.figures, *many = &b->many.figures;
    const bool half = b->settings.numerics == BV_NUMERICS_BF16;
    const char *preset = bv_flags_string(flags, "preset");
    bv_cli_say("prompt of %s: %.1f ms, %.0f tokens/s, %s of the arithmetic's limit\n",
               bv_human_number(b->prompt, "token").text, 1e3 * prompt->seconds,
               prompt->tokens_per_s, bv_human_share(prompt->share_of_limit).text);
    bv_cli_say("training's forward pass over it: %.1f ms, %s of the arithmetic's limit\n",
               1e3 * forward->seconds, bv_human_share(forward->share_of_limit).text);
    bv_cli_say("one sequence: %.2f ms a token, %.1f tokens/s, %s of the memory's limit\n",
               1e3 * one->seconds, one->tokens_per_s, bv_human_share(one->share_of_limit).text);
    bv_cli_say("%s: %.2f ms a step, %.1f tokens/s, %.1f times one, %s of the memory's "
               "limit\n",
               bv_human_number(b->sequences, "sequence").text, 1e3 * many->seconds,
               many->tokens_per_s, many->tokens_per_s / one->tokens_per_s,
               bv_human_share(many->share_of_limit).text);
    bv_cli_say("limits: %s; %s of memory\n", bv_limits_text(&b->limits).text,
               bv_human_bytes((double)b->peak_memory).text);
    if (!bv_flags_bool(flags, "json")) return BV_OK;
    return bv_cli_json(json_pack(
        "{ss ss si ss sI sI sI sf sf sf sf sf sf sf sf sf sf sI}", "preset", preset ? preset : "",
        "dtype", half ? "bf16" : "f32", "threads", bv_pool_threads(b->use.pool), "level",
        b->use.kernels->level, "prompt", (json_int_t)b->prompt, "tokens", (json_int_t)b->tokens,
        "sequences", (json_int_t)b->sequences, "prompt_tokens_per_s", prompt->tokens_per_s,
        "prompt_share_of_limit", prompt->share_of_limit, "forward_share_of_limit",
        forward->share_of_limit, "tokens_per_s", one->tokens_per_s, "share_of_limit",
        one->share_of_limit, "together_tokens_per_s", many->tokens_per_s, "together_share_of_limit",
        many->share_of_limit, "peak_gflops", half ? b->limits.bf16_gflops : b->limits.f32_gflops,
        "read_gbps", b->one.read_gbps, "together_read_gbps", b->many.read_gbps, "peak_memory_bytes",
        (json_int_t)b->peak_memory));
}

static bv_status measure(const bv_flags *flags, bench *b) {
    BV_TRY(choose(flags, b));
    BV_TRY(bv_machine_begin(flags, &b->use));
    BV_TRY(check_memory(flags, b));
    measure_peaks(b);
    BV_TRY(prepare(b));
    BV_TRY(run_prompt(b));
    BV_TRY(run_forward(b));
    BV_TRY(run_writing(b));
    b->peak_memory = bv_machine_peak_memory() - b->buffer_bytes;
    measure_peaks(b);
    measure_peaks(b);
    b->limits.read_gbps = b->one.read_gbps;
    against_limits(b);
    return tell(flags, b);
}

static bv_status run(const bv_flags *flags) {
    bench b = {0};
    bv_error *error = measure(flags, &b);
    bv_engine_destroy(&b.engine);
    bv_weights_destroy(&b.weights);
    end_writing(&b.one);
    end_writing(&b.many);
    bv_free_aligned(b.buffer);
    bv_free(b.text);
    bv_free(b.indices);
    bv_free(b.next);
    bv_machine_end(&b.use);
    return error;
}

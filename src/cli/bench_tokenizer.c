#include "cli/bench.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/order.h"
#include "base/random.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "kernel/kernel.h"
#include "kernel/limits.h"
#include "report/units.h"
#include "text/bpe_train.h"
#include "text/parallel_encode.h"

#define GENERATED_BYTES ((size_t)16 << 20)
#define REPEATS_MAX 1000

static const bv_flag flag_table[] = {
    BV_STRING_FLAG("tokenizer", "FILE", NULL,
                   "tokenizer.json; without it, byte pairs are learned, and that is measured too"),
    BV_INT_FLAG("vocab", "N", 257, 1e7, "32768", "tokens to learn"),
    BV_STRING_FLAG("pattern", "NAME", "gpt2",
                   "how text is cut into pieces for that: gpt2, cl100k or llama3"),
    BV_DOUBLE_FLAG("seconds", "S", 0.001, 600, "1",
                   "how long to repeat encoding and decoding, each on one thread and on all"),
};
static const bv_argument arguments[] = {
    {.name = "TEXT", .help = "a text file; without it, a text is generated", .optional = true}};
static bv_status run(const bv_flags *flags);
const bv_command bv_bench_tokenizer = {
    .name = "bench tokenizer",
    .brief = "text to tokens and back",
    .summary =
        "Measures encoding, decoding (medians, after a first run, one thread and all in turns) "
        "and learning byte pairs (once), in megabytes (10^6) of text a second. The peak of all "
        "threads is looked at before and after each of their runs, and those beside a fallen peak "
        "do not count; where it never held, \"steady\" is false.",
    .example = "beaver bench tokenizer book.txt --vocab 32768\n"
               "beaver bench tokenizer book.txt --tokenizer tokenizer.json --json",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(flag_table),
    .threads = BV_THREADS_COMPUTE,
    .run = run,
};

/* A run, and the lower of the peaks before and after it; 0 for one thread, which keeps its core. */
typedef struct timing {
    double seconds, peak;
} timing;

/* Encoding and decoding on some threads. */
typedef struct codec {
    bv_pool *pool;
    bv_parallel_encoder *encoder;
    bv_encoded encoded;
    bv_buffer *decoded; /* one a thread */
    timing timings[REPEATS_MAX];
    double best_peak; /* of all that were seen */
} codec;

typedef struct rate {
    double mbps;
    bool steady;
} rate;

typedef struct bench {
    const char *name;
    bv_buffer generated;
    bv_map map;
    const char *text;
    size_t size, tokens;
    double seconds; /* to repeat */
    bv_tokenizer *tokenizer;
    const bv_kernels *kernels; /* for the peak */
    codec codecs[2];           /* on one thread and on all */
    size_t codec_count;
} bench;

/* ---- the text ---- */

/* Words of which the short numbers come more often, as in a language. */
static bv_status generate(bv_buffer *out) {
    for (uint32_t i = 0; out->size < GENERATED_BYTES; i++) {
        const bv_random4 r = bv_random(1, BV_RANDOM_TEST, 0, 0, i, 0);
        uint32_t word = r.v[0] % (1u << (1 + r.v[1] % 16));
        word = (word + 1) * 2654435761u; /* its letters */
        for (uint32_t k = 0; k < 2 + (word >> 7) % 8; k++) {
            const char letter = "etaoinshrdlucmfw"[word >> (k % 8 * 4) & 15];
            bv_buffer_append(out, &letter, 1);
        }
        bv_buffer_text(out, r.v[2] % 12 ? " " : r.v[2] % 5 ? ", " : ".\n");
    }
    return bv_buffer_error(out);
}

static bv_status choose_text(const bv_flags *flags, bench *b) {
    const char *path = bv_flags_argument(flags, 0);
    b->name = path ? path : "generated";
    BV_TRY(path ? bv_map_open(path, &b->map) : generate(&b->generated));
    b->text = path ? (const char *)b->map.data : b->generated.data;
    b->size = path ? b->map.size : b->generated.size;
    if (b->size == 0) return bv_fail(BV_CODE_INPUT, "%s is empty", b->name);
    return BV_OK;
}

/* ---- measuring ---- */

typedef bv_status codec_task(const bench *b, codec *c);

static double look_at_peak(const bench *b, codec *c) {
    if (bv_pool_threads(c->pool) == 1) return 0;
    const double now = bv_limits_peak_gflops(b->kernels, c->pool, BV_F32, BV_PEAK_SECONDS);
    if (now > c->best_peak) c->best_peak = now;
    return now;
}

static bv_status time_once(const bench *b, codec_task *task, codec *c, timing *out) {
    const double before = look_at_peak(b, c), start = bv_clock_seconds();
    BV_TRY(task(b, c));
    out->seconds = bv_clock_seconds() - start;
    const double after = look_at_peak(b, c);
    out->peak = after < before ? after : before;
    return BV_OK;
}

/* Of the runs beside a peak that held; of all, if there was none. */
static rate rate_of(const codec *c, size_t count, size_t bytes) {
    double seconds[REPEATS_MAX];
    size_t held = 0;
    for (size_t i = 0; i < count; i++)
        if (c->timings[i].peak >= BV_PEAK_HELD * c->best_peak)
            seconds[held++] = c->timings[i].seconds;
    const bool steady = held > 0;
    for (size_t i = 0; !steady && i < count; i++) seconds[held++] = c->timings[i].seconds;
    return (rate){(double)bytes / 1e6 / bv_median(seconds, held), steady};
}

/* Medians of runs after one that is not counted; one thread and all take turns, so that what else
 * the machine does meets both. */
static bv_status repeat(bench *b, codec_task *task, rate rates[2]) {
    const double begin = bv_clock_seconds(), most = b->seconds * (double)b->codec_count;
    timing ignored;
    size_t count = 0;
    for (size_t i = 0; i < b->codec_count; i++) BV_TRY(time_once(b, task, &b->codecs[i], &ignored));
    for (; count < 3 || (count < REPEATS_MAX && bv_clock_seconds() - begin < most); count++)
        for (size_t i = 0; i < b->codec_count; i++)
            BV_TRY(time_once(b, task, &b->codecs[i], &b->codecs[i].timings[count]));
    for (size_t i = 0; i < b->codec_count; i++) rates[i] = rate_of(&b->codecs[i], count, b->size);
    return BV_OK;
}

/* By a new encoder, so that nothing is known yet about the text. */
static bv_status encode(const bench *b, codec *c) {
    bv_parallel_encoder_destroy(&c->encoder);
    BV_TRY(bv_parallel_encoder_create(b->tokenizer, c->pool, 4, &c->encoder));
    const bv_text text = {b->text, b->size};
    return bv_parallel_encode(c->encoder, &text, 1, NULL, &c->encoded);
}

typedef struct decoding_work {
    const bench *bench;
    codec *codec;
} decoding_work;

static void decode_part(void *context, int part, int parts) {
    const decoding_work *d = context;
    const bv_encoded *encoded = &d->codec->encoded;
    size_t begin, end;
    bv_pool_range(encoded->run_count, 1, part, parts, &begin, &end);
    bv_buffer *out = &d->codec->decoded[part];
    bv_buffer_clear(out);
    for (size_t i = begin; i < end; i++) {
        /* An error stays in the buffer, or the size is not that of the text. */
        bv_error *error = bv_tokenizer_decode(d->bench->tokenizer, encoded->runs[i].tokens,
                                              encoded->runs[i].count, out);
        bv_error_free(&error);
    }
}

static bv_status decode(const bench *b, codec *c) {
    decoding_work d = {b, c};
    bv_pool_run(c->pool, decode_part, &d);
    size_t size = 0;
    for (int i = 0; i < bv_pool_threads(c->pool); i++) size += c->decoded[i].size;
    if (size == b->size) return BV_OK;
    return bv_fail(BV_CODE_FAULT, "%zu bytes came back of %zu", size, b->size);
}

static bv_status begin_codec(bench *b, int threads) {
    codec *c = &b->codecs[b->codec_count++];
    BV_TRY(bv_pool_create(threads, &c->pool));
    c->decoded = bv_calloc((size_t)threads, sizeof *c->decoded);
    return c->decoded ? BV_OK : bv_fail_memory("decoded text");
}

static void end_codec(codec *c) {
    for (int i = 0; c->decoded && i < bv_pool_threads(c->pool); i++) bv_buffer_free(&c->decoded[i]);
    bv_free(c->decoded);
    bv_encoded_free(&c->encoded);
    bv_parallel_encoder_destroy(&c->encoder);
    bv_pool_destroy(&c->pool);
}

static bv_status measure_codecs(bench *b, int threads, json_t *rows) {
    rate encoding[2], decoding[2];
    BV_TRY(begin_codec(b, 1));
    if (threads > 1) BV_TRY(begin_codec(b, threads));
    BV_TRY(repeat(b, encode, encoding));
    BV_TRY(repeat(b, decode, decoding));
    for (size_t i = 0; i < b->codecs[0].encoded.run_count; i++)
        b->tokens += b->codecs[0].encoded.runs[i].count;
    for (size_t i = 0; i < b->codec_count; i++) {
        const int n = bv_pool_threads(b->codecs[i].pool);
        const bool steady = encoding[i].steady && decoding[i].steady;
        bv_cli_say("%-9s  encode %7.1f MB/s  decode %7.1f MB/s%s\n",
                   bv_human_number((size_t)n, "thread").text, encoding[i].mbps, decoding[i].mbps,
                   steady ? "" : "  (the peak fell)");
        json_array_append_new(rows, json_pack("{si sf sf sb}", "threads", n, "encode_mbps",
                                              encoding[i].mbps, "decode_mbps", decoding[i].mbps,
                                              "steady", steady));
    }
    return BV_OK;
}

static bv_status measure_training(const bv_flags *flags, bench *b, int threads, json_t *rows) {
    bv_bpe_trainer *trainer;
    bv_pool *pool;
    BV_TRY(bv_pool_create(threads, &pool));
    threads = bv_pool_threads(pool);
    const double begin = bv_clock_seconds();
    bv_error *error = bv_bpe_trainer_create(bv_flags_string(flags, "pattern"), pool, &trainer);
    if (!error) error = bv_bpe_trainer_add(trainer, b->text, b->size);
    const double counted = bv_clock_seconds();
    bv_tokenizer_destroy(&b->tokenizer);
    if (!error)
        error = bv_bpe_trainer_learn(trainer, (size_t)bv_flags_int(flags, "vocab"), &b->tokenizer);
    const double end = bv_clock_seconds();
    bv_bpe_trainer_destroy(&trainer);
    bv_pool_destroy(&pool);
    if (error) return error;
    bv_cli_say("%-9s  learn %zu tokens in %.2f s (%.2f s to count pieces)\n",
               bv_human_number((size_t)threads, "thread").text,
               bv_tokenizer_vocab_size(b->tokenizer), end - begin, counted - begin);
    json_array_append_new(rows, json_pack("{si sf sf sf}", "threads", threads, "seconds",
                                          end - begin, "count_seconds", counted - begin, "mbps",
                                          (double)b->size / 1e6 / (end - begin)));
    return BV_OK;
}

static bv_status measure(const bv_flags *flags, bench *b, json_t *rows, json_t *training) {
    const char *path = bv_flags_string(flags, "tokenizer");
    bv_pool *pool;
    if (path && (bv_flags_given(flags, "vocab") || bv_flags_given(flags, "pattern")))
        return bv_fail(BV_CODE_USAGE,
                       "--vocab and --pattern are for a tokenizer that is learned, not "
                       "for --tokenizer");
    BV_TRY(bv_pool_create((int)bv_flags_int(flags, "threads"), &pool));
    const int threads = bv_pool_threads(pool);
    bv_pool_destroy(&pool);
    BV_TRY(bv_kernels_pick(&b->kernels));
    BV_TRY(choose_text(flags, b));
    b->seconds = bv_flags_double(flags, "seconds");
    if (path) BV_TRY(bv_tokenizer_load(path, &b->tokenizer));
    if (!path) BV_TRY(measure_training(flags, b, 1, training));
    if (!path && threads > 1) BV_TRY(measure_training(flags, b, threads, training));
    return measure_codecs(b, threads, rows);
}

static bv_status run(const bv_flags *flags) {
    bench b = {0};
    json_t *rows = json_array(), *training = json_array();
    bv_error *error = measure(flags, &b, rows, training);
    if (!error) bv_cli_say("%s: %zu bytes, %zu tokens\n", b.name, b.size, b.tokens);
    if (!error && bv_flags_bool(flags, "json"))
        error = bv_cli_json(json_pack(
            "{so sI sI sI sO sO}", "text", bv_cli_path(b.name), "bytes", (json_int_t)b.size,
            "tokens", (json_int_t)b.tokens, "vocab_size",
            (json_int_t)bv_tokenizer_vocab_size(b.tokenizer), "codec", rows, "training", training));
    json_decref(rows);
    json_decref(training);
    for (size_t i = 0; i < b.codec_count; i++) end_codec(&b.codecs[i]);
    bv_tokenizer_destroy(&b.tokenizer);
    bv_buffer_free(&b.generated);
    if (b.map.size) bv_map_close(&b.map);
    return error;
}

/*
 * The kernels, each by itself, in the shapes that a GPT-2 124M and a small model give them. The
 * limit of a kernel is the longer of two times: its operations at the measured peak, its operands
 * (each once) at the measured bandwidth of memory; the share is that over the median of its runs.
 * Operands of small shapes stay in the caches, so a share of memory may exceed 100 %.
 *
 * On a shared machine two cores are sometimes one. So the peak is measured right before and after
 * what runs on several threads, and a timing beside a fallen peak is discarded and taken again; a
 * row for which it never held says so ("steady": false).
 */
#include "cli/bench_kernels.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/order.h"
#include "cli/cli.h"
#include "report/limits_cache.h"
#include "report/units.h"

#include <stdio.h>
#include <string.h>

typedef struct shapes {
    const char *name;
    size_t sequences, context, width, heads, vocab;
} shapes;

static const shapes models[] = {
    {"gpt2", 4, 1024, 768, 12, 50257}, /* a micro-batch of preset gpt2 */
    {"small", 12, 64, 128, 4, 65},     /* preset nanogpt-char-cpu     */
};

/* Models of nothing: products of square matrices, as other programs measure them. */
static const shapes squares[] = {{"1024", 1, 1024, 1024, 0, 0}, {"2048", 1, 2048, 2048, 0, 0}};

#define BUFFERS_MAX 8
#define RUNS_MAX 2000
#define ATTEMPTS 5

/* One kernel that is measured: what it is called and costs, and its operands. */
typedef struct job {
    const bv_machine_use *use;
    const shapes *model;
    const char *kernel;
    size_t shape[4], rank;
    bv_dtype type;
    double flops, bytes;
    void *buffers[BUFFERS_MAX];
    size_t buffer_count;
    bool failed;
    size_t rows; /* for kernels by ranges: how many, and borders are multiples of `unit` */
    size_t unit;
    size_t copies, copy_bytes; /* of the weights, where one run takes them all; 0: one */
    char *scratch;
    size_t scratch_bytes; /* of a thread */
    union {
        bv_matmul_args matmul;
        bv_matmul_int8_args int8;
        bv_attention_args attention;
        bv_norm_args norm;
        bv_activation_args activation;
        bv_add_args add;
        bv_embed_args embed;
        bv_loss_args loss;
        bv_adamw_args adamw;
        bv_dropout_args dropout;
        bv_heads_args heads;
        bv_bias_gradient_args bias;
        struct {
            void *m, *update, *parameter;
            const void *gradient;
            double *sums;
        } elements;
    } args;
    bv_attention_sequence sequences[16];
    const void *tiles[16][2][64];
} job;

typedef struct suite {
    const bv_machine_use *use;
    const bv_bench_kernels_options *options;
    bv_limits limits;
    json_t *rows;
    double *times;
} suite;

/* ---- operands ---- */

/* Zeroed memory that the job frees at its end. */
static void *take(job *j, size_t bytes) {
    BV_ASSERT(j->buffer_count < BUFFERS_MAX);
    void *memory = bv_malloc_aligned(bytes + 64);
    if (!memory) j->failed = true;
    j->buffers[j->buffer_count++] = memory;
    return memory;
}

/* Numbers of both signs around 0.1: no denormal, nothing that grows. */
static void *take_filled(job *j, bv_dtype type, size_t count) {
    char *memory = take(j, count * bv_dtype_size(type));
    for (size_t i = 0; memory && i < count; i++) {
        const uint32_t hash = (uint32_t)i * 2654435761u,
                       word = 0x3d800000u | (hash >> 7 & 0xffffffu);
        const uint32_t bits = word | (hash & 1) << 31;
        if (type == BV_BF16)
            ((uint16_t *)memory)[i] = (uint16_t)(bits >> 16);
        else
            ((uint32_t *)memory)[i] = bits;
    }
    return memory;
}

static uint32_t *take_indices(job *j, size_t count, size_t limit) {
    uint32_t *list = take(j, count * sizeof *list);
    for (size_t i = 0; list && i < count; i++) list[i] = (uint32_t)(i * 2654435761u % limit);
    return list;
}

/* ---- measuring ---- */

/* "4096 x 768 x 3072" */
static void shape_text(const job *j, char text[64]) {
    size_t used = 0;
    for (size_t i = 0; i < j->rank; i++)
        used += (size_t)snprintf(text + used, 64 - used, i ? " x %zu" : "%zu", j->shape[i]);
}

static const char *dtype_of(const job *j) {
    return j->type == BV_INT8 ? "int8" : j->type == BV_BF16 ? "bf16" : "f32";
}

static double *peak_of(suite *s, bv_dtype type) {
    return type == BV_INT8   ? &s->limits.int8_gops
           : type == BV_BF16 ? &s->limits.bf16_gflops
                             : &s->limits.f32_gflops;
}

static void record(suite *s, const job *j, double seconds, bool steady) {
    const double peak = *peak_of(s, j->type);
    const double compute = j->flops * 1e-9 / peak, memory = j->bytes * 1e-9 / s->limits.read_gbps;
    const char *limit = compute > memory ? "compute" : "memory";
    const double share = (compute > memory ? compute : memory) / seconds;
    const double gflops = j->flops * 1e-9 / seconds, gbps = j->bytes * 1e-9 / seconds;
    char shape[64];
    shape_text(j, shape);
    bv_cli_say("%-18s %-5s %-18s %-4s %9.3f ms  %7.1f %s  %4s of %s\n", j->kernel, j->model->name,
               shape, dtype_of(j), 1e3 * seconds, j->flops > 0 ? gflops : gbps,
               j->type == BV_INT8 ? "GOP/s  "
               : j->flops > 0     ? "GFLOP/s"
                                  : "GB/s   ",
               bv_human_share(share).text, limit);
    json_t *dims = json_array();
    for (size_t i = 0; i < j->rank; i++)
        json_array_append_new(dims, json_integer((json_int_t)j->shape[i]));
    json_t *row =
        json_pack("{ss ss ss si so sf sf sf ss sf sf sb}", "name", j->kernel, "model",
                  j->model->name, "dtype", dtype_of(j), "threads", bv_pool_threads(s->use->pool),
                  "shape", dims, "ms", 1e3 * seconds, "gflops", gflops, "gbps", gbps, "limit",
                  limit, "limit_gflops", gflops / share, "share_of_limit", share, "steady", steady);
    static const char *const sides[] = {"m", "n", "k"};
    for (size_t i = 0; i < 3 && strncmp(j->kernel, "matmul", 6) == 0; i++)
        json_object_set_new(row, sides[i], json_integer((json_int_t)j->shape[i]));
    json_array_append_new(s->rows, row);
}

static bool wanted(const suite *s, const job *j) {
    char line[160], shape[64];
    shape_text(j, shape);
    snprintf(line, sizeof line, "%s %s %s %s", j->kernel, j->model->name, shape, dtype_of(j));
    return !s->options->filter || strstr(line, s->options->filter);
}

/* Median of the seconds of a run. */
static double repeat(suite *s, job *j, void (*run)(job *)) {
    size_t count = 0;
    for (const double end = bv_clock_seconds() + s->options->seconds;
         count < 3 || (count < RUNS_MAX && bv_clock_seconds() < end); count++) {
        const double begin = bv_clock_seconds();
        run(j);
        s->times[count] = (bv_clock_seconds() - begin) / (double)(j->copies ? j->copies : 1);
    }
    return bv_median(s->times, count);
}

/* Whether the peak is there now. A better one than any before is the limit from now on. */
static bool peak_holds(suite *s, bv_dtype type) {
    if (bv_pool_threads(s->use->pool) == 1) return true;
    double *best = peak_of(s, type);
    const double now = bv_limits_peak_gflops(s->use->kernels, s->use->pool, type, BV_PEAK_SECONDS);
    if (now > *best) *best = now;
    return now >= BV_PEAK_HELD * *best;
}

/* Runs what was made, records it, frees its operands. */
static bv_status finish(suite *s, job *j, void (*run)(job *)) {
    bv_error *error = j->failed ? bv_fail_memory("a benchmark's operands") : BV_OK;
    if (!error) {
        const unsigned saved = bv_float_enter();
        run(j); /* warms up */
        double seconds = 0;
        bool steady = false;
        for (int i = 0; i < ATTEMPTS && !steady; i++) {
            const bool before = peak_holds(s, j->type);
            seconds = repeat(s, j, run);
            steady = before && peak_holds(s, j->type);
        }
        bv_float_leave(saved);
        record(s, j, seconds, steady);
    }
    for (size_t i = 0; i < j->buffer_count; i++) bv_free_aligned(j->buffers[i]);
    return error;
}

static job start(const suite *s, const shapes *model, const char *kernel, bv_dtype type) {
    return (job){.use = s->use, .model = model, .kernel = kernel, .type = type, .unit = 1};
}

static void set_shape(job *j, size_t rank, const size_t shape[4]) {
    j->rank = rank;
    memcpy(j->shape, shape, 4 * sizeof *shape);
}

/* ---- matmul ---- */

static void run_matmul(job *j) {
    bv_matmul_run(j->use->kernels, j->use->pool, &j->args.matmul, j->scratch);
}

static void cost_matmul(job *j, size_t m, size_t n, size_t k, size_t c_bytes) {
    const double size = (double)bv_dtype_size(j->type);
    set_shape(j, 3, (size_t[4]){m, n, k});
    j->flops = 2.0 * (double)m * (double)n * (double)k;
    j->bytes = size * (double)(m * k + k * n) + (double)(c_bytes * m * n);
}

static void take_matmul_scratch(job *j) {
    j->scratch = take(j, bv_matmul_scratch_bytes(j->use->kernels, bv_pool_threads(j->use->pool),
                                                 &j->args.matmul));
}

/* With few rows weights are those that no cache holds: copies of them take turns, as layers do. A
 * job runs every copy once. */
#define DECODE_ROWS 16
#define COLD_BYTES ((size_t)256 << 20)

static void run_int8(job *j) {
    bv_matmul_int8_args args = j->args.int8;
    for (size_t i = 0; i < j->copies; i++) {
        args.b = (const char *)j->args.int8.b + i * j->copy_bytes;
        bv_matmul_int8_run(j->use->kernels, j->use->pool, &args, j->scratch);
    }
}

/* y [m, n] = x [m, k], quantized on the way, times packed bytes; with few rows as bench_decode. */
static bv_status bench_int8(suite *s, const shapes *model, const char *kernel, size_t m, size_t n,
                            size_t k) {
    const bv_kernels *kernels = s->use->kernels;
    job j = start(s, model, kernel, BV_INT8);
    cost_matmul(&j, m, n, k, sizeof(float));
    j.bytes += (double)(m * k * (sizeof(float) - 1));
    if (!wanted(s, &j)) return BV_OK;
    j.copy_bytes = (bv_matmul_int8_packed_bytes(kernels, k, n) + 63) / 64 * 64;
    j.copies = m <= DECODE_ROWS ? COLD_BYTES / j.copy_bytes + 1 : 1;
    j.args.int8 = (bv_matmul_int8_args){.m = m,
                                        .n = n,
                                        .k = k,
                                        .a = take_filled(&j, BV_F32, m * k),
                                        .a_type = BV_F32,
                                        .lda = k,
                                        .c = take(&j, m * n * sizeof(float)),
                                        .c_type = BV_F32,
                                        .ldc = n};
    j.scratch = take(
        &j, bv_matmul_int8_scratch_bytes(kernels, bv_pool_threads(s->use->pool), &j.args.int8));
    const bv_matmul_source source = {take_filled(&j, BV_F32, n * k), BV_F32, 1, k, k, n};
    char *packed = take(&j, j.copies * j.copy_bytes);
    j.args.int8.b = packed;
    if (!j.failed) /* no k here is too long */
        BV_ASSERT(!bv_matmul_int8_pack(kernels, s->use->pool, &source, packed));
    for (size_t i = 1; !j.failed && i < j.copies; i++)
        memcpy(packed + i * j.copy_bytes, packed, j.copy_bytes);
    return finish(s, &j, run_int8);
}

/* y [m, n] = x [m, k] times packed weights. */
static bv_status bench_linear(suite *s, const shapes *model, bv_dtype type, const char *kernel,
                              size_t m, size_t n, size_t k) {
    if (type == BV_INT8) return bench_int8(s, model, kernel, m, n, k);
    job j = start(s, model, kernel, type);
    cost_matmul(&j, m, n, k, bv_dtype_size(type));
    if (!wanted(s, &j)) return BV_OK;
    void *weights = take_filled(&j, BV_F32, n * k);
    void *packed = take(&j, bv_matmul_packed_bytes(s->use->kernels, type, k, n));
    const bv_matmul_source source = {weights, BV_F32, 1, k, k, n};
    if (!j.failed) bv_matmul_pack(s->use->kernels, s->use->pool, type, &source, packed);
    j.args.matmul = (bv_matmul_args){.m = m,
                                     .n = n,
                                     .k = k,
                                     .type = type,
                                     .a = take_filled(&j, type, m * k),
                                     .lda = k,
                                     .b = packed,
                                     .c = take(&j, m * n * bv_dtype_size(type)),
                                     .ldc = n,
                                     .c_type = type};
    take_matmul_scratch(&j);
    return finish(s, &j, run_matmul);
}

static void run_cold(job *j) {
    bv_matmul_args args = j->args.matmul;
    for (size_t i = 0; i < j->copies; i++) {
        args.b = (const char *)j->args.matmul.b + i * j->copy_bytes;
        bv_matmul_run(j->use->kernels, j->use->pool, &args, j->scratch);
    }
}

static bv_status bench_decode(suite *s, const shapes *model, bv_dtype type, size_t m) {
    const size_t k = model->width, n = 4 * k;
    if (type == BV_INT8) return bench_int8(s, model, "matmul decode", m, n, k);
    job j = start(s, model, "matmul decode", type);
    cost_matmul(&j, m, n, k, bv_dtype_size(type));
    if (!wanted(s, &j)) return BV_OK;
    j.copy_bytes = (bv_matmul_packed_bytes(s->use->kernels, type, k, n) + 63) / 64 * 64;
    j.copies = COLD_BYTES / j.copy_bytes + 1;
    j.args.matmul = (bv_matmul_args){.m = m,
                                     .n = n,
                                     .k = k,
                                     .type = type,
                                     .a = take_filled(&j, type, m * k),
                                     .lda = k,
                                     .b = take_filled(&j, BV_F32, j.copies * j.copy_bytes / 4),
                                     .c = take(&j, m * n * bv_dtype_size(type)),
                                     .ldc = n,
                                     .c_type = type};
    take_matmul_scratch(&j);
    return finish(s, &j, run_cold);
}

/* dW [out, in] += dy^T [out, rows] x [rows, in]. */
static bv_status bench_weight_gradient(suite *s, const shapes *model, bv_dtype type, size_t rows,
                                       size_t out, size_t in) {
    job j = start(s, model, "matmul gradient", type);
    cost_matmul(&j, out, in, rows, 2 * sizeof(float));
    if (!wanted(s, &j)) return BV_OK;
    const void *x = take_filled(&j, type, rows * in);
    j.args.matmul = (bv_matmul_args){.m = out,
                                     .n = in,
                                     .k = rows,
                                     .type = type,
                                     .a = take_filled(&j, type, rows * out),
                                     .lda = out,
                                     .a_transposed = true,
                                     .b_source = {x, type, in, 1, rows, in},
                                     .c = take(&j, out * in * sizeof(float)),
                                     .ldc = in,
                                     .c_type = BV_F32,
                                     .accumulate = true};
    take_matmul_scratch(&j);
    return finish(s, &j, run_matmul);
}

static bv_status bench_matmuls(suite *s, const shapes *model, bv_dtype type) {
    const size_t rows = model->sequences * model->context, w = model->width;
    BV_TRY(bench_linear(s, model, type, "matmul qkv", rows, 3 * w, w));
    BV_TRY(bench_linear(s, model, type, "matmul out", rows, w, w));
    BV_TRY(bench_linear(s, model, type, "matmul up", rows, 4 * w, w));
    BV_TRY(bench_linear(s, model, type, "matmul down", rows, w, 4 * w));
    BV_TRY(bench_linear(s, model, type, "matmul head", 256, model->vocab, w));
    for (size_t few = 1; few <= DECODE_ROWS && w > 512; few *= 2)
        BV_TRY(bench_decode(s, model, type, few));
    if (type == BV_INT8) return BV_OK;
    BV_TRY(bench_weight_gradient(s, model, type, rows, 4 * w, w));
    return bench_weight_gradient(s, model, type, rows, w, 4 * w);
}

static bv_status bench_squares(suite *s, bv_dtype type) {
    for (size_t i = 0; i < sizeof squares / sizeof *squares; i++) {
        const size_t n = squares[i].width;
        BV_TRY(bench_linear(s, &squares[i], type, "matmul square", n, n, n));
    }
    return BV_OK;
}

/* ---- attention ---- */

static void attention_part(void *context, int part, int parts) {
    (void)parts;
    const job *j = context;
    const bv_attention_kernels *kernels = j->use->kernels->attention;
    const bv_attention_args *args = &j->args.attention;
    void *scratch = j->scratch + (size_t)part * j->scratch_bytes;
    for (size_t item; (item = bv_pool_next(j->use->pool)) < j->rows;)
        if (args->dq)
            kernels->backward(args, item, scratch);
        else
            kernels->forward(args, item, scratch);
}

static void run_attention(job *j) {
    bv_pool_run(j->use->pool, attention_part, j);
}

static void lay_out_attention(job *j, const char *qkv, size_t stride) {
    const shapes *m = j->model;
    const size_t size = bv_dtype_size(j->type);
    for (size_t i = 0; i < m->sequences; i++) {
        for (size_t t = 0; t < (m->context + 63) / 64; t++)
            for (size_t v = 0; v < 2; v++)
                j->tiles[i][v][t] =
                    qkv + ((i * m->context + 64 * t) * stride + (1 + v) * m->width) * size;
        j->sequences[i] = (bv_attention_sequence){.row = i * m->context,
                                                  .rows = m->context,
                                                  .k_tiles = j->tiles[i][0],
                                                  .v_tiles = j->tiles[i][1],
                                                  .sample = (uint32_t)i};
    }
}

static void make_attention(job *j) {
    const shapes *m = j->model;
    const size_t rows = m->sequences * m->context, stride = 3 * m->width;
    const char *qkv = take_filled(j, j->type, rows * stride);
    lay_out_attention(j, qkv, stride);
    j->args.attention = (bv_attention_args){.heads = m->heads,
                                            .kv_heads = m->heads,
                                            .d_head = m->width / m->heads,
                                            .scale = 0.125,
                                            .type = j->type,
                                            .sequences = j->sequences,
                                            .sequence_count = m->sequences,
                                            .q = qkv,
                                            .q_stride = stride,
                                            .kv_stride = stride,
                                            .out = take_filled(j, j->type, rows * m->width),
                                            .out_stride = m->width,
                                            .lse = take(j, rows * m->heads * sizeof(float))};
}

static void take_attention_scratch(job *j, bool backward) {
    const bv_attention_kernels *kernels = j->use->kernels->attention;
    const size_t bytes = kernels->scratch_bytes(&j->args.attention, backward);
    j->scratch_bytes = (bytes + 63) / 64 * 64;
    j->scratch = take(j, j->scratch_bytes * (size_t)bv_pool_threads(j->use->pool));
    j->rows = backward ? kernels->backward_items(&j->args.attention)
                       : kernels->forward_items(&j->args.attention);
}

static bv_status bench_attention(suite *s, const shapes *model, bv_dtype type, bool backward) {
    job j = start(s, model, backward ? "attention backward" : "attention", type);
    const size_t rows = model->sequences * model->context, size = bv_dtype_size(type);
    set_shape(
        &j, 4,
        (size_t[4]){model->sequences, model->context, model->heads, model->width / model->heads});
    /* Half of context x context, two products forward and five backward. */
    j.flops = (backward ? 5.0 : 2.0) * (double)(rows * model->context * model->width);
    j.bytes = (double)(rows * model->width * size * (backward ? 8 : 4));
    if (!wanted(s, &j)) return BV_OK;
    make_attention(&j);
    take_attention_scratch(&j, false);
    if (!j.failed && backward) {
        run_attention(&j); /* backward reads what forward wrote */
        char *gradient = take(&j, rows * 3 * model->width * size);
        j.args.attention.dout = take_filled(&j, type, rows * model->width);
        j.args.attention.dq = gradient;
        j.args.attention.dk = gradient + model->width * size;
        j.args.attention.dv = gradient + 2 * model->width * size;
        take_attention_scratch(&j, true);
    }
    return finish(s, &j, run_attention);
}

/* ---- kernels by ranges of rows or elements ---- */

#define BY_RANGES(NAME, CALL)                                                                      \
    static void NAME##_part(void *context, int part, int parts) {                                  \
        const job *j = context;                                                                    \
        const bv_kernels *kernels = j->use->kernels;                                               \
        size_t begin, end;                                                                         \
        bv_pool_range(j->rows, j->unit, part, parts, &begin, &end);                                \
        if (begin < end) CALL;                                                                     \
    }                                                                                              \
    static void NAME(job *j) {                                                                     \
        bv_pool_run(j->use->pool, NAME##_part, j);                                                 \
    }
BY_RANGES(run_norm, kernels->norm->forward(&j->args.norm, begin, end))
BY_RANGES(run_norm_backward, kernels->norm->backward_input(&j->args.norm, begin, end))
BY_RANGES(run_gelu, kernels->activation->forward(&j->args.activation, begin, end))
BY_RANGES(run_gelu_backward, kernels->activation->backward(&j->args.activation, begin, end))
BY_RANGES(run_add, kernels->elementwise->add(&j->args.add, begin, end))
BY_RANGES(run_embed, kernels->embedding->forward(&j->args.embed, begin, end))
BY_RANGES(run_loss, kernels->loss->cross_entropy(&j->args.loss, begin, end))
BY_RANGES(run_adamw, kernels->optimizer->adamw(&j->args.adamw, begin, end))
BY_RANGES(run_dropout, kernels->elementwise->dropout(&j->args.dropout, begin, end))
BY_RANGES(run_heads, kernels->heads->forward(&j->args.heads, begin, end))
BY_RANGES(run_heads_backward, kernels->heads->backward(&j->args.heads, begin, end))
/* These divide columns; all rows are one chain. */
BY_RANGES(run_norm_params, kernels->norm->backward_params(&j->args.norm, j->shape[0], begin, end))
BY_RANGES(run_bias, kernels->elementwise->bias_gradient(&j->args.bias, j->shape[0], begin, end))
BY_RANGES(run_embed_backward, kernels->embedding->backward(&j->args.embed, j->shape[0], begin, end))
/* Sums divide chunks. */
BY_RANGES(run_square_sums, kernels->optimizer->square_sums(j->args.elements.gradient, j->shape[1],
                                                           j->args.elements.sums, begin, end))
BY_RANGES(run_sums, kernels->optimizer->sums(j->args.elements.gradient, j->shape[1],
                                             j->args.elements.sums, begin, end))
BY_RANGES(run_momentum,
          kernels->optimizer->momentum(j->args.elements.m, j->args.elements.gradient,
                                       j->args.elements.update, 0.95, 1, 1, begin, end))
BY_RANGES(run_descend,
          kernels->optimizer->descend(j->args.elements.parameter, j->args.elements.update, 1e-6,
                                      0.1, NULL, begin, end))

/* Rows x cols, and how many bytes an element costs. */
static void cost_rows(job *j, size_t rows, size_t cols, size_t element_bytes) {
    set_shape(j, 2, (size_t[4]){rows, cols});
    j->rows = rows;
    j->bytes = (double)(rows * cols * element_bytes);
}

static bv_status bench_norm(suite *s, const shapes *model, bv_dtype type, bool backward) {
    job j = start(s, model, backward ? "norm backward" : "norm", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, (backward ? 8 : 4) + bv_dtype_size(type));
    if (!wanted(s, &j)) return BV_OK;
    j.args.norm = (bv_norm_args){.cols = cols,
                                 .eps = 1e-5,
                                 .x = take_filled(&j, BV_F32, rows * cols),
                                 .gain = take_filled(&j, BV_F32, cols),
                                 .y = take(&j, rows * cols * bv_dtype_size(type)),
                                 .y_type = type,
                                 .mean = take(&j, rows * sizeof(float)),
                                 .rstd = take_filled(&j, BV_F32, rows)};
    if (backward) {
        j.args.norm.dy = take_filled(&j, type, rows * cols);
        j.args.norm.dx = take(&j, rows * cols * sizeof(float));
    }
    return finish(s, &j, backward ? run_norm_backward : run_norm);
}

static bv_status bench_gelu(suite *s, const shapes *model, bv_dtype type, bool backward) {
    job j = start(s, model, backward ? "gelu backward" : "gelu", type);
    const size_t rows = model->sequences * model->context, cols = 4 * model->width;
    const size_t size = bv_dtype_size(type);
    cost_rows(&j, rows, cols, (backward ? 3 : 2) * size);
    if (!wanted(s, &j)) return BV_OK;
    j.args.activation = (bv_activation_args){.kind = BV_GELU_TANH,
                                             .cols = cols,
                                             .x = take_filled(&j, type, rows * cols),
                                             .y = take(&j, rows * cols * size),
                                             .x_type = type,
                                             .y_type = type};
    if (backward) {
        j.args.activation.dy = take_filled(&j, type, rows * cols);
        j.args.activation.dx = take(&j, rows * cols * size);
    }
    return finish(s, &j, backward ? run_gelu_backward : run_gelu);
}

static bv_status bench_embed(suite *s, const shapes *model, bv_dtype type) {
    job j = start(s, model, "embed", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, 4 + bv_dtype_size(type));
    if (!wanted(s, &j)) return BV_OK;
    j.args.embed = (bv_embed_args){.cols = cols,
                                   .ids = take_indices(&j, rows, model->vocab),
                                   .table = take_filled(&j, type, model->vocab * cols),
                                   .table_type = type,
                                   .y = take(&j, rows * cols * sizeof(float))};
    return finish(s, &j, run_embed);
}

static bv_status bench_loss(suite *s, const shapes *model, bv_dtype type) {
    job j = start(s, model, "cross-entropy", type);
    const size_t rows = 256, cols = (model->vocab + 15) / 16 * 16;
    cost_rows(&j, rows, model->vocab, 8 + bv_dtype_size(type));
    if (!wanted(s, &j)) return BV_OK;
    void *logits = take_filled(&j, BV_F32, rows * cols);
    j.args.loss = (bv_loss_args){
        .classes = model->vocab,
        .stride = cols,
        .logits = logits,
        .targets = take_indices(&j, rows, model->vocab),
        .losses = take(&j, rows * sizeof(float)),
        .scale = 1.0 / (double)rows,
        .dlogits = type == BV_BF16 ? take(&j, rows * cols * sizeof(uint16_t)) : logits,
        .dlogits_type = type};
    return finish(s, &j, run_loss);
}

static bv_status bench_add(suite *s, const shapes *model, bv_dtype type) {
    job j = start(s, model, "add", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, 8 + bv_dtype_size(type));
    if (!wanted(s, &j)) return BV_OK;
    j.rows = rows * cols;
    j.unit = 64;
    j.args.add = (bv_add_args){.a = take_filled(&j, BV_F32, rows * cols),
                               .b = take_filled(&j, type, rows * cols),
                               .y = take(&j, rows * cols * sizeof(float)),
                               .b_type = type,
                               .scale = 1};
    return finish(s, &j, run_add);
}

static bv_status bench_adamw(suite *s, const shapes *model) {
    job j = start(s, model, "adamw", BV_F32);
    const size_t count = 12 * model->width * model->width; /* the matrices of a layer */
    cost_rows(&j, 1, count, 28);
    if (!wanted(s, &j)) return BV_OK;
    j.rows = count;
    j.unit = 64;
    j.args.adamw = (bv_adamw_args){.parameter = take_filled(&j, BV_F32, count),
                                   .m = take(&j, count * sizeof(float)),
                                   .v = take(&j, count * sizeof(float)),
                                   .gradient = take_filled(&j, BV_F32, count),
                                   .gradient_scale = 1,
                                   .lr = 1e-6,
                                   .beta1 = 0.9,
                                   .beta2 = 0.95,
                                   .eps = 1e-8,
                                   .correction1 = 0.1,
                                   .correction2 = 0.05};
    return finish(s, &j, run_adamw);
}

static bv_status bench_dropout(suite *s, const shapes *model, bv_dtype type) {
    job j = start(s, model, "dropout", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    const size_t size = bv_dtype_size(type);
    cost_rows(&j, rows, cols, 2 * size);
    if (!wanted(s, &j)) return BV_OK;
    j.args.dropout = (bv_dropout_args){.cols = cols,
                                       .x = take_filled(&j, type, rows * cols),
                                       .y = take(&j, rows * cols * size),
                                       .x_type = type,
                                       .y_type = type,
                                       .p = 0.1,
                                       .row_ids = take_indices(&j, rows, rows)};
    return finish(s, &j, run_dropout);
}

/* QK-norm and rotary embedding. */
static bv_status bench_heads(suite *s, const shapes *model, bv_dtype type, bool backward) {
    job j = start(s, model, backward ? "heads backward" : "heads", type);
    const size_t rows = model->sequences * model->context, cols = 3 * model->width;
    const size_t size = bv_dtype_size(type), d = model->width / model->heads;
    cost_rows(&j, rows, cols, (backward ? 3 : 2) * size);
    if (!wanted(s, &j)) return BV_OK;
    j.args.heads = (bv_heads_args){.heads = model->heads,
                                   .kv_heads = model->heads,
                                   .d_head = d,
                                   .qk_norm = true,
                                   .eps = 1e-5,
                                   .cos = take_filled(&j, BV_F32, model->context * d / 2),
                                   .sin = take_filled(&j, BV_F32, model->context * d / 2),
                                   .positions = take_indices(&j, rows, model->context),
                                   .x = take_filled(&j, type, rows * cols),
                                   .y = take(&j, rows * cols * size),
                                   .dy = take_filled(&j, type, rows * cols),
                                   .dx = take(&j, rows * cols * size),
                                   .type = type};
    return finish(s, &j, backward ? run_heads_backward : run_heads);
}

/* Gradients of gains, biases and tables: a thread takes columns. */
static bv_status bench_norm_params(suite *s, const shapes *model, bv_dtype type) {
    job j = start(s, model, "norm parameters", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, 4 + bv_dtype_size(type));
    if (!wanted(s, &j)) return BV_OK;
    j.rows = cols;
    j.unit = 16;
    j.args.norm = (bv_norm_args){.cols = cols,
                                 .eps = 1e-5,
                                 .x = take_filled(&j, BV_F32, rows * cols),
                                 .y_type = type,
                                 .mean = take(&j, rows * sizeof(float)),
                                 .rstd = take_filled(&j, BV_F32, rows),
                                 .dy = take_filled(&j, type, rows * cols),
                                 .dgain = take(&j, cols * sizeof(float)),
                                 .dbias = take(&j, cols * sizeof(float))};
    return finish(s, &j, run_norm_params);
}

static bv_status bench_bias(suite *s, const shapes *model, bv_dtype type) {
    job j = start(s, model, "bias gradient", type);
    const size_t rows = model->sequences * model->context, cols = 3 * model->width;
    cost_rows(&j, rows, cols, bv_dtype_size(type));
    if (!wanted(s, &j)) return BV_OK;
    j.rows = cols;
    j.unit = 16;
    j.args.bias = (bv_bias_gradient_args){.cols = cols,
                                          .dy = take_filled(&j, type, rows * cols),
                                          .dy_type = type,
                                          .dbias = take(&j, cols * sizeof(float))};
    return finish(s, &j, run_bias);
}

static bv_status bench_embed_backward(suite *s, const shapes *model) {
    job j = start(s, model, "embed backward", BV_F32);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, 12);
    if (!wanted(s, &j)) return BV_OK;
    j.rows = cols;
    j.unit = 16;
    j.args.embed = (bv_embed_args){.cols = cols,
                                   .ids = take_indices(&j, rows, model->vocab),
                                   .dy = take_filled(&j, BV_F32, rows * cols),
                                   .dtable = take(&j, model->vocab * cols * sizeof(float))};
    return finish(s, &j, run_embed_backward);
}

/* Sums over gradients, and Muon's elementwise steps. */
static bv_status bench_elements(suite *s, const shapes *model, const char *kernel,
                                size_t element_bytes, void (*run)(job *), bool chunks) {
    job j = start(s, model, kernel, BV_F32);
    const size_t count = 12 * model->width * model->width; /* the matrices of a layer */
    cost_rows(&j, 1, count, element_bytes);
    if (!wanted(s, &j)) return BV_OK;
    j.rows = chunks ? (count + BV_SUM_CHUNK - 1) / BV_SUM_CHUNK : count;
    j.unit = chunks ? 1 : 64;
    j.args.elements.gradient = take_filled(&j, BV_F32, count);
    j.args.elements.parameter = take_filled(&j, BV_F32, count);
    j.args.elements.update = take(&j, count * sizeof(float));
    j.args.elements.m = take(&j, count * sizeof(float));
    j.args.elements.sums = take(&j, (count / BV_SUM_CHUNK + 1) * sizeof(double));
    return finish(s, &j, run);
}

static bv_status bench_optimizers(suite *s, const shapes *model) {
    BV_TRY(bench_adamw(s, model));
    BV_TRY(bench_elements(s, model, "square sums", 4, run_square_sums, true));
    BV_TRY(bench_elements(s, model, "sums", 4, run_sums, true));
    BV_TRY(bench_elements(s, model, "momentum", 16, run_momentum, false));
    return bench_elements(s, model, "descend", 12, run_descend, false);
}

/* ---- all of them ---- */

static bv_status bench_model(suite *s, const shapes *model, bv_dtype type) {
    BV_TRY(bench_matmuls(s, model, type));
    if (type == BV_INT8) return BV_OK;
    BV_TRY(bench_attention(s, model, type, false));
    BV_TRY(bench_attention(s, model, type, true));
    BV_TRY(bench_norm(s, model, type, false));
    BV_TRY(bench_norm(s, model, type, true));
    BV_TRY(bench_gelu(s, model, type, false));
    BV_TRY(bench_gelu(s, model, type, true));
    BV_TRY(bench_add(s, model, type));
    BV_TRY(bench_embed(s, model, type));
    BV_TRY(bench_loss(s, model, type));
    BV_TRY(bench_dropout(s, model, type));
    BV_TRY(bench_heads(s, model, type, false));
    BV_TRY(bench_heads(s, model, type, true));
    BV_TRY(bench_norm_params(s, model, type));
    BV_TRY(bench_bias(s, model, type));
    if (type == BV_BF16) return BV_OK;
    BV_TRY(bench_embed_backward(s, model));
    return bench_optimizers(s, model);
}

bv_status bv_bench_kernels(const bv_machine_use *use, const bv_bench_kernels_options *options,
                           json_t *rows) {
    static const bv_dtype types[] = {BV_F32, BV_BF16, BV_INT8};
    suite s = {.use = use, .options = options, .rows = rows};
    BV_TRY(bv_limits_measure(use->kernels, use->pool, 1, &s.limits));
    bv_cli_say("limits of %d thread%s: %s\n", bv_pool_threads(use->pool),
               bv_pool_threads(use->pool) == 1 ? "" : "s", bv_limits_text(&s.limits).text);
    s.times = bv_calloc(RUNS_MAX, sizeof *s.times);
    bv_error *error = s.times ? BV_OK : bv_fail_memory("a benchmark");
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        if (!error) error = bench_squares(&s, types[t]);
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            if (!error) error = bench_model(&s, &models[m], types[t]);
    bv_free(s.times);
    return error;
}

#include "cli/bench_kernels.h"

#include "base/clock.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "report/limits_cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CASE_SECONDS 0.3
#define RUNS_MAX 200

typedef enum family {
    MATMUL,    /* [rows, inner] x [inner, cols], weights packed before */
    MATMUL_DW, /* both operands are activations                        */
    NORM,
    ACTIVATION,
    CROSS_ENTROPY,
    ADAMW,
    ATTENTION,
    ATTENTION_BACKWARD,
} family;

/* Of GPT-2 124M with 4 x 1024 tokens, and of a model of width 128 with 12 x 64. For attention rows
 * is a sequence, cols heads, inner sequences; d_head is 64 or 32. */
static const struct {
    const char *name;
    family family;
    bv_dtype type;
    size_t rows, cols, inner;
} cases[] = {
    {"matmul qkv", MATMUL, BV_F32, 4096, 2304, 768},
    {"matmul qkv", MATMUL, BV_BF16, 4096, 2304, 768},
    {"matmul mlp up", MATMUL, BV_BF16, 4096, 3072, 768},
    {"matmul mlp down", MATMUL, BV_BF16, 4096, 768, 3072},
    {"matmul dW mlp up", MATMUL_DW, BV_BF16, 3072, 768, 4096},
    {"matmul small up", MATMUL, BV_F32, 768, 512, 128},
    {"matmul small up", MATMUL, BV_BF16, 768, 512, 128},
    {"matmul small dW", MATMUL_DW, BV_F32, 512, 128, 768},
    {"matmul small dW", MATMUL_DW, BV_BF16, 512, 128, 768},
    {"layer norm", NORM, BV_F32, 4096, 768, 0},
    {"gelu", ACTIVATION, BV_F32, 4096, 3072, 0},
    {"cross-entropy", CROSS_ENTROPY, BV_F32, 256, 50257, 0},
    {"adamw", ADAMW, BV_F32, 768, 3072, 0},
    {"attention", ATTENTION, BV_F32, 1024, 12, 4},
    {"attention", ATTENTION, BV_BF16, 1024, 12, 4},
    {"attention backward", ATTENTION_BACKWARD, BV_F32, 1024, 12, 4},
    {"attention backward", ATTENTION_BACKWARD, BV_BF16, 1024, 12, 4},
    {"attention small", ATTENTION, BV_F32, 64, 4, 12},
    {"attention small backward", ATTENTION_BACKWARD, BV_F32, 64, 4, 12},
};
#define COUNT (sizeof cases / sizeof *cases)

/* One case, with memory for its operands. */
typedef struct bench {
    const bv_kernels *kernels;
    bv_pool *pool;
    size_t index;
    char *arena, *at;
    bv_matmul_args matmul;
    bv_norm_args norm;
    bv_activation_args activation;
    bv_loss_args loss;
    bv_adamw_args adamw;
    bv_attention_args attention;
    bv_attention_sequence sequences[16];
    const void *tiles[16][2][16];
    void *scratch;
    size_t scratch_bytes; /* of one thread */
    double flops, bytes;  /* of one run; the limit is the larger of both times */
} bench;

#define ARENA_BYTES ((size_t)512 << 20)

static void *take(bench *b, size_t bytes) {
    char *p = b->at;
    b->at += (bytes + 63) / 64 * 64;
    BV_ASSERT((size_t)(b->at - b->arena) <= ARENA_BYTES);
    return p;
}

/* ---- preparing ---- */

static void prepare_matmul(bench *b) {
    const size_t m = cases[b->index].rows, n = cases[b->index].cols, k = cases[b->index].inner;
    const bv_dtype type = cases[b->index].type;
    const size_t element = bv_dtype_size(type);
    const bool dw = cases[b->index].family == MATMUL_DW;
    b->matmul = (bv_matmul_args){.m = m,
                                 .n = n,
                                 .k = k,
                                 .type = type,
                                 .a = take(b, m * k * element),
                                 .lda = dw ? m : k,
                                 .a_transposed = dw,
                                 .c = take(b, m * n * 4),
                                 .ldc = n,
                                 .c_type = BV_F32,
                                 .accumulate = dw};
    b->matmul.b_source =
        (bv_matmul_source){take(b, k * n * 4), dw ? type : BV_F32, dw ? n : 1, dw ? 1 : k, k, n};
    if (!dw) {
        void *packed = take(b, bv_matmul_packed_bytes(b->kernels, type, k, n));
        bv_matmul_pack(b->kernels, b->pool, type, &b->matmul.b_source, packed);
        b->matmul.b = packed;
    }
    b->scratch =
        take(b, bv_matmul_scratch_bytes(b->kernels, bv_pool_threads(b->pool), &b->matmul) + 64);
    b->flops = 2 * (double)m * (double)n * (double)k;
}

static void prepare_attention(bench *b) {
    const size_t rows = cases[b->index].rows, heads = cases[b->index].cols;
    const size_t count = cases[b->index].inner, d = rows > 64 ? 64 : 32, width = heads * d;
    const bv_dtype type = cases[b->index].type;
    const size_t element = bv_dtype_size(type), all = count * rows;
    const bool backward = cases[b->index].family == ATTENTION_BACKWARD;
    char *qkv = take(b, all * 3 * width * element), *dqkv = take(b, all * 3 * width * element);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j * BV_ATTENTION_TILE < rows; j++) {
            char *k = qkv + ((i * rows + j * BV_ATTENTION_TILE) * 3 + 1) * width * element;
            b->tiles[i][0][j] = k;
            b->tiles[i][1][j] = k + width * element;
        }
        b->sequences[i] =
            (bv_attention_sequence){i * rows, rows, 0, b->tiles[i][0], b->tiles[i][1], (uint32_t)i};
    }
    b->attention = (bv_attention_args){.heads = heads,
                                       .kv_heads = heads,
                                       .d_head = d,
                                       .scale = 1 / sqrt((double)d),
                                       .type = type,
                                       .sequences = b->sequences,
                                       .sequence_count = count,
                                       .q = qkv,
                                       .q_stride = 3 * width,
                                       .kv_stride = 3 * width,
                                       .out = take(b, all * width * element),
                                       .out_stride = width,
                                       .lse = take(b, all * heads * 4),
                                       .dout = take(b, all * width * element),
                                       .dq = dqkv,
                                       .dk = dqkv + width * element,
                                       .dv = dqkv + 2 * width * element};
    b->scratch_bytes = (b->kernels->attention->scratch_bytes(&b->attention, backward) + 63) & ~63u;
    b->scratch = take(b, b->scratch_bytes * (size_t)bv_pool_threads(b->pool));
    const double keys = (double)rows / 2;
    b->flops = (backward ? 10 : 4) * (double)all * keys * (double)width;
}

static void prepare_rows(bench *b) {
    const size_t rows = cases[b->index].rows, cols = cases[b->index].cols, n = rows * cols;
    void *x = take(b, n * 4), *y = take(b, n * 4);
    b->norm = (bv_norm_args){.cols = cols, .eps = 1e-5, .x = x, .y = y};
    b->norm.mean = take(b, rows * 4);
    b->norm.rstd = take(b, rows * 4);
    b->activation = (bv_activation_args){.kind = BV_GELU_TANH, .cols = cols, .x = x, .y = y};
    b->loss = (bv_loss_args){.classes = cols,
                             .stride = cols,
                             .logits = x,
                             .targets = take(b, rows * 4),
                             .losses = take(b, rows * 4),
                             .scale = 1,
                             .dlogits = x};
    b->adamw = (bv_adamw_args){.parameter = x,
                               .m = y,
                               .v = take(b, n * 4),
                               .gradient = take(b, n * 4),
                               .gradient_scale = 1,
                               .lr = 1e-4,
                               .beta1 = 0.9,
                               .beta2 = 0.95,
                               .eps = 1e-8,
                               .correction1 = 1,
                               .correction2 = 1};
    b->bytes = (double)n * (cases[b->index].family == ADAMW ? 28 : 8);
}

/* ---- running ---- */

static void part(void *context, int index, int parts) {
    bench *b = context;
    size_t begin, end;
    const family f = cases[b->index].family;
    const size_t n = cases[b->index].rows * (f == ADAMW ? cases[b->index].cols : 1);
    bv_pool_range(n, f == ADAMW ? 64 : 1, index, parts, &begin, &end);
    const bv_kernels *k = b->kernels;
    if (f == NORM)
        k->norm->forward(&b->norm, begin, end);
    else if (f == ACTIVATION)
        k->elementwise->activation(&b->activation, begin, end);
    else if (f == CROSS_ENTROPY)
        k->loss->cross_entropy(&b->loss, begin, end);
    else
        k->optimizer->adamw(&b->adamw, begin, end);
}

static void attention_part(void *context, int index, int parts) {
    bench *b = context;
    (void)parts;
    const bv_attention_kernels *k = b->kernels->attention;
    const bool backward = cases[b->index].family == ATTENTION_BACKWARD;
    const size_t items =
        backward ? k->backward_items(&b->attention) : k->forward_items(&b->attention);
    void *scratch = (char *)b->scratch + (size_t)index * b->scratch_bytes;
    for (size_t item; (item = bv_pool_next(b->pool)) < items;)
        if (backward)
            k->backward(&b->attention, item, scratch);
        else
            k->forward(&b->attention, item, scratch);
}

static bool is_matmul(const bench *b) {
    return cases[b->index].family == MATMUL || cases[b->index].family == MATMUL_DW;
}

static bool is_attention(const bench *b) {
    return cases[b->index].family == ATTENTION || cases[b->index].family == ATTENTION_BACKWARD;
}

static void run(bench *b) {
    if (is_matmul(b))
        bv_matmul_run(b->kernels, b->pool, &b->matmul, b->scratch);
    else
        bv_pool_run(b->pool, is_attention(b) ? attention_part : part, b);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_seconds(bench *b) {
    double times[RUNS_MAX];
    size_t count = 0;
    run(b); /* warms up */
    const double until = bv_clock_seconds() + CASE_SECONDS;
    do {
        const double begin = bv_clock_seconds();
        run(b);
        times[count++] = bv_clock_seconds() - begin;
    } while (count < RUNS_MAX && (count < 3 || bv_clock_seconds() < until));
    qsort(times, count, sizeof *times, ascending);
    return times[count / 2];
}

static void tell(const bench *b, double seconds, const bv_limits *l, json_t *rows) {
    const bool half = cases[b->index].type == BV_BF16;
    const double peak = 1e9 * (half ? l->bf16_gflops : l->f32_gflops);
    const double least = fmax(b->flops / peak, b->bytes / (1e9 * l->read_gbps));
    const double rate = (b->flops > 0 ? b->flops : b->bytes) / seconds / 1e9;
    bv_cli_say("%-26s %-4s %5zu x %5zu x %4zu  %9.3f ms  %7.1f %s  %3.0f%% of the limit\n",
               cases[b->index].name, half ? "bf16" : "f32", cases[b->index].rows,
               cases[b->index].cols, cases[b->index].inner, seconds * 1e3, rate,
               b->flops > 0 ? "GFLOP/s" : "GB/s   ", 100 * least / seconds);
    json_array_append_new(
        rows, json_pack("{ss ss s[III] sf sf sf sf}", "kernel", cases[b->index].name, "dtype",
                        half ? "bf16" : "f32", "shape", (json_int_t)cases[b->index].rows,
                        (json_int_t)cases[b->index].cols, (json_int_t)cases[b->index].inner, "ms",
                        seconds * 1e3, "gflops", b->flops / seconds / 1e9, "gbps",
                        b->bytes / seconds / 1e9, "share", least / seconds));
}

bv_status bv_bench_kernels(const bv_kernels *kernels, bv_pool *pool, json_t *rows) {
    bv_limits limits;
    BV_TRY(bv_limits_measure(kernels, pool, 1, &limits));
    bench *b = bv_calloc(1, sizeof *b);
    char *arena = bv_malloc_aligned(ARENA_BYTES);
    bv_error *error = b && arena ? BV_OK : bv_fail_memory("operands");
    for (size_t i = 0; !error && i < COUNT; i++) {
        *b = (bench){.kernels = kernels, .pool = pool, .index = i, .arena = arena, .at = arena};
        if (is_matmul(b))
            prepare_matmul(b);
        else if (is_attention(b))
            prepare_attention(b);
        else
            prepare_rows(b);
        tell(b, median_seconds(b), &limits, rows);
    }
    bv_free_aligned(arena);
    bv_free(b);
    return error;
}

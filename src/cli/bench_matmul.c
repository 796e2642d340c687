/* Products: packed weights by many rows and by few, gradients of weights, bytes. */
#include "cli/bench_job.h"

/* With few rows weights are those that no cache holds: copies of them take turns, as layers do. A
 * job runs every copy once. */
#define DECODE_ROWS 16
#define COLD_BYTES ((size_t)256 << 20)

/* Room for packed weights of a product of `rows` rows, and for their copies. */
static char *take_packed(bv_bench_job *j, size_t rows, size_t bytes) {
    j->copy_bytes = (bytes + 63) / 64 * 64;
    j->copies = rows <= DECODE_ROWS ? COLD_BYTES / j->copy_bytes + 1 : 1;
    return bv_bench_take(j, j->copies * j->copy_bytes);
}

static void copy_packed(const bv_bench_job *j, char *packed) {
    for (size_t i = 1; !j->failed && i < j->copies; i++)
        memcpy(packed + i * j->copy_bytes, packed, j->copy_bytes);
}

static void run_matmul(bv_bench_job *j) {
    bv_matmul_args args = j->args.matmul;
    for (size_t i = 0; i < j->copies; i++) {
        if (i) args.b = (const char *)args.b + j->copy_bytes;
        bv_matmul_run(j->use->kernels, j->use->pool, &args, j->scratch);
    }
}

static void cost_matmul(bv_bench_job *j, size_t m, size_t n, size_t k, size_t c_bytes) {
    const double size = (double)bv_dtype_size(j->type);
    bv_bench_set_shape(j, 3, (size_t[4]){m, n, k});
    j->flops = 2.0 * (double)m * (double)n * (double)k;
    j->bytes = size * (double)(m * k + k * n) + (double)(c_bytes * m * n);
}

static void take_matmul_scratch(bv_bench_job *j) {
    j->scratch =
        bv_bench_take(j, bv_matmul_scratch_bytes(j->use->kernels, bv_pool_threads(j->use->pool),
                                                 &j->args.matmul));
}

static void run_int8(bv_bench_job *j) {
    bv_matmul_int8_args args = j->args.int8;
    for (size_t i = 0; i < j->copies; i++) {
        if (i) args.b = (const char *)args.b + j->copy_bytes;
        bv_matmul_int8_run(j->use->kernels, j->use->pool, &args, j->scratch);
    }
}

/* y [m, n] = x [m, k], quantized on the way, times packed bytes. */
static bv_status bench_int8(bv_bench_suite *s, const bv_bench_shapes *model, const char *kernel,
                            size_t m, size_t n, size_t k) {
    const bv_kernels *kernels = s->use->kernels;
    bv_bench_job j = bv_bench_start(s, model, kernel, BV_INT8);
    cost_matmul(&j, m, n, k, sizeof(float));
    j.bytes += (double)(m * k * (sizeof(float) - 1));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.args.int8 = (bv_matmul_int8_args){.m = m,
                                        .n = n,
                                        .k = k,
                                        .a = bv_bench_filled(&j, BV_F32, m * k),
                                        .a_type = BV_F32,
                                        .lda = k,
                                        .c = bv_bench_take(&j, m * n * sizeof(float)),
                                        .c_type = BV_F32,
                                        .ldc = n};
    j.scratch = bv_bench_take(
        &j, bv_matmul_int8_scratch_bytes(kernels, bv_pool_threads(s->use->pool), &j.args.int8));
    const bv_matmul_source source = {bv_bench_filled(&j, BV_F32, n * k), BV_F32, 1, k, k, n};
    char *packed = take_packed(&j, m, bv_matmul_int8_packed_bytes(kernels, k, n));
    j.args.int8.b = packed;
    if (!j.failed) /* no k here is too long */
        BV_ASSERT(!bv_matmul_int8_pack(kernels, s->use->pool, &source, packed));
    copy_packed(&j, packed);
    return bv_bench_finish(s, &j, run_int8);
}

/* y [m, n] = x [m, k] times packed weights. */
static bv_status bench_linear(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type,
                              const char *kernel, size_t m, size_t n, size_t k) {
    if (type == BV_INT8) return bench_int8(s, model, kernel, m, n, k);
    bv_bench_job j = bv_bench_start(s, model, kernel, type);
    cost_matmul(&j, m, n, k, bv_dtype_size(type));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    const bv_matmul_source source = {bv_bench_filled(&j, BV_F32, n * k), BV_F32, 1, k, k, n};
    char *packed = take_packed(&j, m, bv_matmul_packed_bytes(s->use->kernels, type, k, n));
    if (!j.failed) bv_matmul_pack(s->use->kernels, s->use->pool, type, &source, packed);
    copy_packed(&j, packed);
    j.args.matmul = (bv_matmul_args){.m = m,
                                     .n = n,
                                     .k = k,
                                     .type = type,
                                     .a = bv_bench_filled(&j, type, m * k),
                                     .lda = k,
                                     .b = packed,
                                     .c = bv_bench_take(&j, m * n * bv_dtype_size(type)),
                                     .ldc = n,
                                     .c_type = type};
    take_matmul_scratch(&j);
    return bv_bench_finish(s, &j, run_matmul);
}

/* dW [out, in] += dy^T [out, rows] x [rows, in]. */
static bv_status bench_weight_gradient(bv_bench_suite *s, const bv_bench_shapes *model,
                                       bv_dtype type, size_t rows, size_t out, size_t in) {
    bv_bench_job j = bv_bench_start(s, model, "matmul gradient", type);
    cost_matmul(&j, out, in, rows, 2 * sizeof(float));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    const void *x = bv_bench_filled(&j, type, rows * in);
    j.args.matmul = (bv_matmul_args){.m = out,
                                     .n = in,
                                     .k = rows,
                                     .type = type,
                                     .a = bv_bench_filled(&j, type, rows * out),
                                     .lda = out,
                                     .a_transposed = true,
                                     .b_source = {x, type, in, 1, rows, in},
                                     .c = bv_bench_take(&j, out * in * sizeof(float)),
                                     .ldc = in,
                                     .c_type = BV_F32,
                                     .accumulate = true};
    take_matmul_scratch(&j);
    return bv_bench_finish(s, &j, run_matmul);
}

bv_status bv_bench_matmuls(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    const size_t rows = model->sequences * model->context, w = model->width;
    BV_TRY(bench_linear(s, model, type, "matmul qkv", rows, 3 * w, w));
    BV_TRY(bench_linear(s, model, type, "matmul out", rows, w, w));
    BV_TRY(bench_linear(s, model, type, "matmul up", rows, 4 * w, w));
    BV_TRY(bench_linear(s, model, type, "matmul down", rows, w, 4 * w));
    BV_TRY(bench_linear(s, model, type, "matmul head", 256, model->vocab, w));
    for (size_t few = 1; few <= DECODE_ROWS && w > 512; few *= 2)
        BV_TRY(bench_linear(s, model, type, "matmul decode", few, 4 * w, w));
    if (type == BV_INT8) return BV_OK;
    BV_TRY(bench_weight_gradient(s, model, type, rows, 4 * w, w));
    return bench_weight_gradient(s, model, type, rows, w, 4 * w);
}

bv_status bv_bench_square(bv_bench_suite *s, const bv_bench_shapes *square, bv_dtype type) {
    return bench_linear(s, square, type, "matmul square", square->width, square->width,
                        square->width);
}

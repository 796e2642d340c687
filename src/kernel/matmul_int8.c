#include "kernel/matmul_int8.h"

#include "kernel/blocks.h"
#include "kernel/kernel.h"
#include <float.h>
#include <math.h>
#include <string.h>

/*
 * A thread owns a rectangle of C and takes its rows in blocks: it quantizes them, all of k, into
 * what its second-level cache holds, and multiplies them with one panel of B after another, each a
 * single stream. Packed B: scales of all columns, what their sums begin with, panels.
 */

#define ROWS_BYTES ((size_t)256 << 10) /* of quantized rows, in the second-level cache */
#define ALONE 65536                    /* multiply-adds that are not worth waking a thread */

/* ---- packing B ---- */

typedef struct packed {
    char *scales;    /* [n up to 16] real */
    int32_t *starts; /* [n up to 16] */
    int8_t *panels;
} packed;

static packed locate(const bv_kernels *kernels, size_t n, void *at) {
    const size_t cols = up(n, BV_INT8_COLS);
    packed p = {.scales = at};
    p.starts = (int32_t *)(void *)(p.scales + cols * bv_dtype_size(kernels->real));
    p.panels = (int8_t *)(p.starts + cols);
    return p;
}

size_t bv_matmul_int8_packed_bytes(const bv_kernels *kernels, size_t k, size_t n) {
    return up(n, BV_INT8_COLS) * (bv_dtype_size(kernels->real) + sizeof(int32_t) + up(k, 16));
}

typedef struct pack_task {
    const bv_kernels *kernels;
    const bv_matmul_source *source;
    packed packed;
} pack_task;

static double source_value(const bv_matmul_source *s, size_t p, size_t column) {
    const size_t at = p * s->row_stride + column * s->col_stride;
    if (s->type == BV_F64) return ((const double *)s->data)[at];
    if (s->type == BV_F32) return (double)((const float *)s->data)[at];
    const uint32_t bits = (uint32_t)((const uint16_t *)s->data)[at] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* The largest size of a column, or a NaN if there is a NaN or an infinity in it. */
static double largest_size(const bv_matmul_source *s, size_t column) {
    double most = 0;
    for (size_t p = 0; p < s->k; p++) {
        const double size = fabs(source_value(s, p, column));
        if (!(size <= DBL_MAX)) return (double)NAN;
        if (size > most) most = size;
    }
    return most;
}

/* bytes: where the column begins in its panel, step: bytes from group to group. Returns what sums
 * begin with, modulo 2^32: without what the products of the level have too much. */
static uint32_t pack_column(const pack_task *task, size_t column, double factor, int8_t *bytes,
                            size_t step) {
    const bv_matmul_source *s = task->source;
    const bv_matmul_int8_kernels *kernels = task->kernels->matmul_int8;
    const size_t group = kernels->group;
    int32_t sum = 0, cross = 0, last[4] = {0};
    for (size_t p = 0; p < s->k; p++) {
        const int8_t q = (int8_t)rint(source_value(s, p, column) * factor);
        bytes[p / group * step + p % group] = q;
        sum += q;
        last[p % 4] = q;
        if (p % 4 >= 2) cross += last[p % 4 - 2] * q;
    }
    return 0u - kernels->row_zero * (uint32_t)sum - (kernels->crosses ? (uint32_t)cross : 0u);
}

static void pack_panel(const pack_task *task, size_t begin, size_t width) {
    const bv_kernels *kernels = task->kernels;
    const size_t k = up(task->source->k, 16), group = kernels->matmul_int8->group;
    int8_t *panel = task->packed.panels + begin * k;
    memset(panel, 0, width * k);
    for (size_t j = 0; j < width; j++) {
        const size_t column = begin + j;
        const double most = column < task->source->n ? largest_size(task->source, column) : 0;
        uint32_t start = 0;
        if (most > 0)
            start = pack_column(task, column, 127 / most, panel + j * group, width * group);
        memcpy(task->packed.starts + column, &start, sizeof start);
        if (kernels->real == BV_F64)
            ((double *)(void *)task->packed.scales)[column] = most / 127;
        else
            ((float *)(void *)task->packed.scales)[column] = (float)(most / 127);
    }
}

static void pack_part(void *context, int part, int parts) {
    const pack_task *task = context;
    const size_t cols = task->kernels->matmul_int8->cols;
    size_t begin, end;
    bv_pool_range(task->source->n, cols, part, parts, &begin, &end);
    for (; begin < end; begin += cols)
        pack_panel(task, begin, least(cols, up(end - begin, BV_INT8_COLS)));
}

bv_status bv_matmul_int8_pack(const bv_kernels *kernels, bv_pool *pool,
                              const bv_matmul_source *source, void *packed) {
    if (source->k > BV_INT8_K_MAX)
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "sums of %zu products of bytes may leave 32 bits (at most %d)",
                              source->k, BV_INT8_K_MAX),
                      "f32 or bf16 for this matrix");
    pack_task task = {kernels, source, locate(kernels, source->n, packed)};
    bv_pool_run(source->k * source->n < ALONE ? NULL : pool, pack_part, &task);
    return BV_OK;
}

/* ---- who computes what ---- */

typedef struct blocking {
    division parts;
    size_t rows;                     /* that are quantized at once */
    size_t row_bytes, scratch_bytes; /* of a thread: row scales, quantized rows */
    size_t scales_bytes;
} blocking;

static blocking plan_blocks(const bv_kernels *kernels, const bv_matmul_int8_args *args,
                            size_t threads) {
    const bv_matmul_int8_kernels *k = kernels->matmul_int8;
    if (args->m * args->n * args->k < ALONE) threads = 1;
    blocking b = {.parts = divide(args->m, args->n, k->rows, k->cols, 32, 4, threads)};
    /* A cache line more than needed: rows are read together, and a power of two between them would
     * put them into the same few places of the cache. */
    b.row_bytes = up(up(args->k, 16) * k->element_bytes, 64) + 64;
    const size_t most = ROWS_BYTES / b.row_bytes / k->rows * k->rows;
    b.rows = piece(share(args->m, k->rows, b.parts.m), most ? most : k->rows, k->rows);
    b.scales_bytes = up(b.rows * bv_dtype_size(kernels->real), 64);
    b.scratch_bytes = b.scales_bytes + b.rows * b.row_bytes;
    return b;
}

size_t bv_matmul_int8_scratch_bytes(const bv_kernels *kernels, int threads,
                                    const bv_matmul_int8_args *args) {
    const blocking b = plan_blocks(kernels, args, (size_t)threads);
    return b.parts.m * b.parts.n * b.scratch_bytes;
}

/* ---- the loops ---- */

typedef struct matmul_task {
    const bv_kernels *kernels;
    const bv_matmul_int8_args *args;
    blocking blocking;
    packed packed;
    char *scratch;
} matmul_task;

/* Quantized rows times the panels of columns begin .. end. */
static void run_panels(const matmul_task *task, size_t row, size_t rows, const char *scratch,
                       size_t begin, size_t end) {
    const bv_matmul_int8_args *args = task->args;
    const size_t real = bv_dtype_size(task->kernels->real), k = up(args->k, 16);
    bv_matmul_int8_panel panel = {.m = rows,
                                  .k = args->k,
                                  .rows = scratch + task->blocking.scales_bytes,
                                  .row_bytes = task->blocking.row_bytes,
                                  .row_scales = scratch,
                                  .out_stride = args->ldc,
                                  .out_type = args->c_type};
    const size_t cols = task->kernels->matmul_int8->cols;
    for (size_t col = begin; col < end; col += cols) {
        panel.n = least(cols, end - col);
        panel.panel = task->packed.panels + col * k;
        panel.next = col + cols < end ? panel.panel + cols * k : NULL;
        panel.starts = task->packed.starts + col;
        panel.col_scales = task->packed.scales + col * real;
        panel.bias = args->bias ? (const char *)args->bias + col * real : NULL;
        panel.out = (char *)args->c + (row * args->ldc + col) * bv_dtype_size(args->c_type);
        task->kernels->matmul_int8->panel(&panel);
    }
}

static void run_part(void *context, int part, int parts) {
    (void)parts;
    const matmul_task *task = context;
    const bv_matmul_int8_args *args = task->args;
    const bv_matmul_int8_kernels *kernels = task->kernels->matmul_int8;
    const blocking *b = &task->blocking;
    const int down = (int)b->parts.m, across = (int)b->parts.n;
    if (part >= down * across) return;
    size_t row, row_end, begin, end;
    bv_pool_range(args->m, kernels->rows, part / across, down, &row, &row_end);
    bv_pool_range(args->n, kernels->cols, part % across, across, &begin, &end);
    char *scratch = task->scratch + (size_t)part * b->scratch_bytes;
    for (; row < row_end && begin < end; row += b->rows) {
        const size_t rows = least(b->rows, row_end - row);
        const char *a = (const char *)args->a + row * args->lda * bv_dtype_size(args->a_type);
        kernels->quantize(a, args->a_type, args->lda, rows, args->k, scratch + b->scales_bytes,
                          b->row_bytes, scratch);
        run_panels(task, row, rows, scratch, begin, end);
    }
}

void bv_matmul_int8_run(const bv_kernels *kernels, bv_pool *pool, const bv_matmul_int8_args *args,
                        void *scratch) {
    BV_ASSERT(args->k <= BV_INT8_K_MAX);
    matmul_task task = {.kernels = kernels, .args = args, .scratch = scratch};
    task.blocking = plan_blocks(kernels, args, (size_t)bv_pool_threads(pool));
    task.packed = locate(kernels, args->n, (void *)(uintptr_t)args->b);
    const bool alone = task.blocking.parts.m * task.blocking.parts.n == 1;
    bv_pool_run(alone ? NULL : pool, run_part, &task);
}

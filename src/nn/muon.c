#include "nn/muon.h"

#include "base/memory.h"
#include "base/order.h"
#include <math.h>
#include <string.h>

/* ---- the products: A [m, k] times B [k, n], of the matrix and the squares that it makes ---- */

static bv_matmul_args product(bv_dtype type, bv_dtype real, size_t m, size_t n, size_t k) {
    return (bv_matmul_args){.m = m,
                            .n = n,
                            .k = k,
                            .type = type,
                            .lda = k,
                            .b_source = {NULL, real, n, 1, k, n},
                            .ldc = n,
                            .c_type = real};
}

/* X X^T, of the shorter side of x; of a tall one that is X^T X, the same sums. */
static bv_matmul_args gram_of(bv_dtype type, bv_dtype real, size_t rows, size_t cols) {
    const bool tall = rows > cols;
    bv_matmul_args a =
        tall ? product(type, real, cols, cols, rows) : product(type, real, rows, rows, cols);
    a.lda = cols;
    a.a_transposed = tall;
    a.b_source.row_stride = tall ? cols : 1;
    a.b_source.col_stride = tall ? 1 : cols;
    return a;
}

/* A square that is symmetric, bit by bit, times X; or X times it where x is tall. */
static bv_matmul_args next_of(bv_dtype type, bv_dtype real, size_t rows, size_t cols) {
    return product(type, real, rows, cols, rows > cols ? cols : rows);
}

/* ---- memory ---- */

void bv_muon_fit(bv_muon_sizes *sizes, const bv_kernels *kernels, int threads, bv_dtype type,
                 size_t rows, size_t cols) {
    const size_t r = rows < cols ? rows : cols;
    const bv_matmul_args all[] = {gram_of(type, kernels->real, rows, cols),
                                  product(type, kernels->real, r, r, r),
                                  next_of(type, kernels->real, rows, cols)};
    sizes->matrix = bv_larger(sizes->matrix, rows * cols);
    sizes->square = bv_larger(sizes->square, r * r);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sizes->scratch =
            bv_larger(sizes->scratch, bv_matmul_scratch_bytes(kernels, threads, &all[i]));
}

size_t bv_muon_bytes(const bv_muon_sizes *sizes, const bv_kernels *kernels) {
    return 2 * (sizes->matrix + sizes->square) * bv_dtype_size(kernels->real) + 2 * sizes->matrix +
           sizes->scratch;
}

bool bv_muon_allocate(bv_muon *muon, const bv_muon_sizes *sizes) {
    const size_t element = bv_dtype_size(muon->kernels->real);
    muon->x = bv_malloc_aligned(sizes->matrix * element);
    muon->next = bv_malloc_aligned(sizes->matrix * element);
    muon->gram = bv_malloc_aligned(sizes->square * element);
    muon->poly = bv_malloc_aligned(sizes->square * element);
    muon->half = bv_malloc_aligned(sizes->matrix * 2);
    muon->scratch = bv_malloc_aligned(sizes->scratch);
    if (muon->x && muon->next && muon->gram && muon->poly && muon->half && muon->scratch)
        return true;
    bv_muon_free(muon);
    return false;
}

void bv_muon_free(bv_muon *muon) {
    bv_free_aligned(muon->x);
    bv_free_aligned(muon->next);
    bv_free_aligned(muon->gram);
    bv_free_aligned(muon->poly);
    bv_free_aligned(muon->half);
    bv_free_aligned(muon->scratch);
    muon->x = muon->next = muon->gram = muon->poly = muon->half = muon->scratch = NULL;
}

/* ---- arithmetic ---- */

typedef struct range_task {
    const bv_kernels *kernels;
    const bv_muon_step *step;
    void *x;
    double lr, weight_decay;
} range_task;

static void momentum_part(void *context, size_t begin, size_t end) {
    const range_task *task = context;
    const bv_muon_step *step = task->step;
    task->kernels->optimizer->momentum(step->momentum, step->gradient, task->x, step->beta,
                                       step->gradient_scale, begin, end);
}

static void descend_part(void *context, size_t begin, size_t end) {
    const range_task *task = context;
    task->kernels->optimizer->descend(task->step->parameter, task->x, task->lr, task->weight_decay,
                                      begin, end);
}

typedef struct add_task {
    const bv_kernels *kernels;
    bv_add_args args;
} add_task;

static void add_part(void *context, size_t begin, size_t end) {
    const add_task *task = context;
    task->kernels->elementwise->add(&task->args, begin, end);
}

/* y = (a + b) * scale over n elements of real; b may be NULL. */
static void add(const bv_muon *w, const void *a, const void *b, double scale, void *y,
                bv_dtype y_type, size_t n) {
    const bv_dtype real = w->kernels->real;
    add_task task = {
        w->kernels,
        {.a = a, .b = b, .y = y, .a_type = real, .b_type = real, .y_type = y_type, .scale = scale}};
    bv_pool_run_ranges(w->pool, n, 64, add_part, &task);
}

/* y = (a * (s / t) + b) * t, rounded after each operation as written; y may be a, not b. */
static void combine(const bv_muon *w, const void *a, double s, const void *b, double t, void *y,
                    size_t n) {
    add(w, a, NULL, s / t, y, w->kernels->real, n);
    add(w, y, b, t, y, w->kernels->real, n);
}

/* c = a b, canonical matrices. At bf16 a is rounded here, b by packing. */
static void multiply(const bv_muon *w, bv_matmul_args args, const void *a, const void *b, void *c) {
    if (w->type == BV_BF16) add(w, a, NULL, 1, w->half, BV_BF16, args.m * args.k);
    args.a = w->type == BV_BF16 ? w->half : a;
    args.b_source.data = b;
    args.c = c;
    bv_matmul_run(w->kernels, w->pool, &args, w->scratch);
}

#define TILE 16 /* of a transposition: its rows and columns stay in the first-level cache */

static inline void transpose_of(const char *from, char *to, size_t rows, size_t cols,
                                size_t element) {
    for (size_t row = 0; row < rows; row += TILE)
        for (size_t col = 0; col < cols; col++)
            for (size_t i = row; i < rows && i < row + TILE; i++)
                memcpy(to + (col * rows + i) * element, from + (i * cols + col) * element, element);
}

/* The Frobenius norm. Its sums go along the shorter side's rows, whichever that is, in chunks. One
 * thread: a matrix is small beside the products that follow. */
static double norm(const bv_muon *w, size_t rows, size_t cols) {
    const size_t count = rows * cols, element = bv_dtype_size(w->kernels->real);
    const bool tall = rows > cols;
    if (tall && w->kernels->real == BV_F32) transpose_of(w->x, w->next, rows, cols, 4);
    if (tall && w->kernels->real == BV_F64) transpose_of(w->x, w->next, rows, cols, 8);
    const char *x = tall ? w->next : w->x;
    double total = 0, sum;
    for (size_t begin = 0; begin < count; begin += BV_SUM_CHUNK) {
        const size_t n = count - begin < BV_SUM_CHUNK ? count - begin : BV_SUM_CHUNK;
        w->kernels->optimizer->square_sums(x + begin * element, n, &sum, 0, 1);
        total += sum;
    }
    return sqrt(total);
}

/* x: [rows, cols], in place; a 3.4445, b -4.7750, c 2.0315. */
static void orthogonalize(const bv_muon *w, size_t rows, size_t cols) {
    const bv_dtype real = w->kernels->real;
    const size_t n = rows * cols, r = rows < cols ? rows : cols;
    const bv_matmul_args gram = gram_of(w->type, real, rows, cols);
    const bv_matmul_args square = product(w->type, real, r, r, r);
    const bv_matmul_args next = next_of(w->type, real, rows, cols);
    add(w, w->x, NULL, 1 / (norm(w, rows, cols) + 1e-7), w->x, real, n);
    for (int i = 0; i < 5; i++) {
        multiply(w, gram, w->x, w->x, w->gram); /* A = X X^T */
        multiply(w, square, w->gram, w->gram, w->poly);
        combine(w, w->poly, 2.0315, w->gram, -4.7750, w->poly, r * r); /* B = bA + cA^2 */
        if (rows > cols)
            multiply(w, next, w->x, w->poly, w->next);
        else
            multiply(w, next, w->poly, w->x, w->next);
        combine(w, w->x, 3.4445, w->next, 1, w->x, n); /* X = aX + BX */
    }
}

void bv_muon_apply(const bv_muon *w, const bv_muon_step *step) {
    const size_t n = step->rows * step->cols;
    const double aspect = (double)step->rows / (double)step->cols;
    const double scale = aspect > 1 ? sqrt(aspect) : 1;
    range_task task = {.kernels = w->kernels,
                       .step = step,
                       .x = w->x,
                       .lr = step->lr * scale,
                       .weight_decay = step->weight_decay / scale}; /* not scaled itself */
    bv_pool_run_ranges(w->pool, n, 64, momentum_part, &task);
    orthogonalize(w, step->rows, step->cols);
    bv_pool_run_ranges(w->pool, n, 64, descend_part, &task);
}

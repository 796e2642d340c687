/*
 * Matrix products of bytes, for weights that are kept as such. C[m, n] = A[m, k] * B[k, n] where
 * both are quantized: class `int8/1`.
 *
 * - A column of B (an output channel) has one scale, its largest size / 127, computed in double and
 *   rounded to a real; an element is rint(b * (127 / largest)) in double, -127 .. 127.
 * - A row of A has one scale, its largest size / 127, and elements rint(a * (127 / largest)), all
 *   in reals, made while the product runs. A row whose largest size is below 2^-119 (its scale
 *   would be denormal) counts as zeros.
 * - Sums over k are exact, in 32 bits: that is why k is at most BV_INT8_K_MAX.
 * - C = (sum * scale of the column) * scale of the row (+ bias), each step rounded to a real.
 *
 * A NaN or an infinity makes a NaN of its row's or column's scale, and so of that row or column of
 * C. Levels, tiles and threads never change a bit. All is reentrant; nothing is allocated.
 */
#ifndef BV_KERNEL_MATMUL_INT8_H
#define BV_KERNEL_MATMUL_INT8_H

#include "base/status.h"
#include "kernel/matmul.h"
#include <stdint.h>

/* 127 * 127 * k < 2^31 */
#define BV_INT8_K_MAX 133144

typedef struct bv_matmul_int8_args {
    size_t m, n, k;
    const void *a; /* [m, lda] of a_type: the level's real, or BV_BF16 */
    bv_dtype a_type;
    size_t lda;
    const void *b; /* packed by bv_matmul_int8_pack */
    void *c;       /* [m, ldc] of c_type: real or BV_BF16 */
    bv_dtype c_type;
    size_t ldc;
    const void *bias; /* [n] real, or NULL */
} bv_matmul_int8_args;

/* Bytes of the packed form of a [k, n] matrix. */
size_t bv_matmul_int8_packed_bytes(const struct bv_kernels *kernels, size_t k, size_t n);
/* Quantizes and packs, divided over the pool. packed: 64-byte aligned. BV_CODE_USAGE for a k above
 * BV_INT8_K_MAX; nothing is written then. */
bv_status bv_matmul_int8_pack(const struct bv_kernels *kernels, bv_pool *pool,
                              const bv_matmul_source *source, void *packed);

/* Scratch that bv_matmul_int8_run needs for such arguments (pointers are ignored), 64-byte aligned.
 */
size_t bv_matmul_int8_scratch_bytes(const struct bv_kernels *kernels, int threads,
                                    const bv_matmul_int8_args *args);
void bv_matmul_int8_run(const struct bv_kernels *kernels, bv_pool *pool,
                        const bv_matmul_int8_args *args, void *scratch);

#define BV_INT8_COLS 16 /* the columns of a panel are a multiple of it */

/* A panel of C: m rows and n columns, up to the level's. A panel of B is [k / group][width][group]
 * bytes, width being n up to a multiple of 16; columns beyond n and elements beyond k, up to a
 * multiple of 16, are zeros. */
typedef struct bv_matmul_int8_panel {
    size_t m, n, k;
    const void *rows; /* quantized, row_bytes apart */
    size_t row_bytes;
    const void *row_scales; /* [m] real */
    const int8_t *panel;
    const int8_t *next;     /* the panel that follows, as wide, or NULL */
    const void *col_scales; /* [width] real */
    const int32_t *starts;  /* [width]: what sums begin with, see pack_panel() */
    const void *bias;       /* [n] real, or NULL */
    void *out;              /* [m, out_stride] of out_type */
    size_t out_stride;
    bv_dtype out_type;
} bv_matmul_int8_panel;

/* What a level supplies; the loops around it are written once. */
typedef struct bv_matmul_int8_kernels {
    size_t rows, cols;    /* of a tile; cols: of a panel */
    size_t group;         /* elements of k that one step of a sum takes: 2 or 4 */
    size_t element_bytes; /* of a quantized row */
    uint32_t row_zero;    /* what is added to the elements of a quantized row: 0, or 128 */
    bool crosses; /* products hold those of elements of a row, or a column, with each other */
    void (*panel)(const bv_matmul_int8_panel *panel);
    /* m rows of k elements; a row is padded with quantized zeros to a multiple of 16, and has four
     * bytes more at the end of row_bytes, which are the level's own. */
    void (*quantize)(const void *a, bv_dtype type, size_t lda, size_t m, size_t k, void *rows,
                     size_t row_bytes, void *row_scales);
} bv_matmul_int8_kernels;

#endif

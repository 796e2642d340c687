/*
 * Matrix products. C[m, n] = A[m, k] * B[k, n] (+ C), each element one ascending chain of fused
 * multiply-adds over k, continued from C when `accumulate` (bf16: pairs 2p, 2p+1, odd first, f32
 * accumulator; an odd k is padded with zeros). Tiles, blocks, threads and packing never change a
 * bit.
 *
 * B is packed once into panels (weights: once a version; gradients of weights: once a call). A is
 * read in place from row-major memory (forward, dX), or packed by the driver when `a_transposed`
 * (dW = dY^T X, where both operands are activations), when the level splits pairs, or for as many
 * columns as make up for it.
 */
#ifndef BV_KERNEL_MATMUL_H
#define BV_KERNEL_MATMUL_H

#include "base/pool.h"
#include "kernel/dtype.h"
#include <stdbool.h>

struct bv_kernels;

/* The source of a packed B: element (p, j) at data[p * row_stride + j * col_stride]. */
typedef struct bv_matmul_source {
    const void *data;
    bv_dtype type; /* real or BV_BF16; real is rounded to bf16 when packing for bf16 */
    size_t row_stride, col_stride;
    size_t k, n;
} bv_matmul_source;

typedef struct bv_matmul_args {
    size_t m, n, k;
    bv_dtype type; /* of the products: the level's real, or BV_BF16 */
    const void *a; /* of `type`; element (i, p) at a[i * lda + p], transposed: a[p * lda + i] */
    size_t lda;
    bool a_transposed;
    const void *b; /* packed by bv_matmul_pack for `type`; NULL: b_source is packed on the way */
    bv_matmul_source b_source; /* used when b is NULL */
    void *c;                   /* [m, ldc] of c_type; real when accumulate */
    size_t ldc;
    bv_dtype c_type;
    bool accumulate;
    const void *bias; /* [n] real added after the chain, or NULL */
    /* [m, ldc] real, to which what the product is in `type` is added, or NULL; for a real c. */
    const void *addend;
} bv_matmul_args;

/* Bytes of the packed form of a [k, n] matrix. */
size_t bv_matmul_packed_bytes(const struct bv_kernels *kernels, bv_dtype type, size_t k, size_t n);
/* Packs, divided over the pool. packed: 64-byte aligned. */
void bv_matmul_pack(const struct bv_kernels *kernels, bv_pool *pool, bv_dtype type,
                    const bv_matmul_source *source, void *packed);
/* Of that, elements k_begin .. k_end - 1 of columns col_begin .. col_end - 1, for who packs many
 * matrices, or parts of one, in one run of a pool. Ranges begin at multiples of the unit. */
void bv_matmul_pack_range(const struct bv_kernels *kernels, bv_dtype type,
                          const bv_matmul_source *source, void *packed, size_t k_begin,
                          size_t k_end, size_t col_begin, size_t col_end);
size_t bv_matmul_pack_unit(const struct bv_kernels *kernels);

/* Scratch that bv_matmul_run needs for such arguments, 64-byte aligned; enough also for fewer rows
 * of the matrix that A is in memory (m, transposed: k), and for a packed B. Of pointers only counts
 * whether there is a packed B. */
size_t bv_matmul_scratch_bytes(const struct bv_kernels *kernels, int threads,
                               const bv_matmul_args *args);
void bv_matmul_run(const struct bv_kernels *kernels, bv_pool *pool, const bv_matmul_args *args,
                   void *scratch);

/* A panel of C: m rows and n <= cols columns, continued over k elements; or row_panels / m whole
 * panels, whose first columns are `apart` from each other. Widths of panels are n rounded up to 16.
 * A step is an element of k, at bf16 a pair; a word is what a step takes of a row or column: a
 * real, at bf16 32 bits. */
typedef struct bv_matmul_block {
    size_t m, n, k;
    size_t apart;         /* columns from panel to panel, when n > cols */
    const void *a;        /* the first word of row 0 */
    size_t a_row, a_step; /* bytes to the next row of a tile, and to the next step */
    size_t a_tile; /* bytes from tile to tile of packed rows; 0: tiles are rows of A in place */
    bool a_padded; /* bf16: an odd k is followed by a zero (packed rows) */
    void *panel;   /* [steps, width] words */
    /* Rows of B, source_row bytes apart, of which the first tile makes the panel while it uses it;
     * NULL: the panel is packed, and only read. */
    const void *source;
    size_t source_row;
    const void *start; /* [m, start_stride] real: what C begins with; NULL: zeros */
    size_t start_stride;
    void *out; /* [m, out_stride] of out_type */
    size_t out_stride;
    bv_dtype out_type;
    const void *bias;   /* [n] real, or NULL */
    const void *addend; /* [m, out_stride] real, or NULL */
    bool follows;       /* a whole panel of the same rows comes next */
    /* To be fetched into the cache meanwhile, or NULL: next_bytes, or of a source so many lines as
     * this one has; or what is packed next, next_rows rows of next_bytes each, next_row bytes apart
     * (0 of the others, and at a level that takes sources). */
    const void *next;
    size_t next_row, next_rows, next_bytes;
} bv_matmul_block;

/* What a level supplies; the loops around it are written once. */
typedef struct bv_matmul_kernels {
    size_t rows, cols; /* of a tile */
    /* Panels that a block of one row takes at once; of m rows 1 / m of them. Memory gives
     * several streams faster than one, and sums of few rows would wait for their products. */
    size_t row_panels;
    /* A level without an instruction for pairs may split them: block_bf16 then takes packed rows
     * only, and a step of these is as many odd elements as the tile has rows, then the even ones,
     * as reals; 16 words of a panel are 16 odd elements and 16 even ones, in an order of the
     * level's own. */
    bool splits_pairs;
    /* Rows of reals that lie along k are packed, unless they are few, for so many columns; 0:
     * never. Packed, a tile of them is one stream, where rows a power of two apart share few places
     * of the caches. */
    size_t packs_reals;
    /* Blocks of packed rows, one panel each, take a `source` (at bf16 for an even k). */
    bool takes_source;
    void (*block)(const bv_matmul_block *block);
    void (*block_bf16)(const bv_matmul_block *block);
    /* A panel of B, n <= cols columns from col on: [steps, width] words; columns beyond n and what
     * an odd last k lacks are zeros. */
    void (*pack_panel)(const bv_matmul_source *source, size_t k_begin, size_t k_end, size_t col,
                       size_t n, void *panel);
    void (*pack_panel_bf16)(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                            size_t col, size_t n, void *panel);
    /* m rows of A, k long, a at the first element: tiles of [steps, rows] words that begin
     * tile_bytes apart. A that is not transposed only where packs_reals says so. */
    void (*pack_rows)(const void *a, size_t lda, bool transposed, size_t m, size_t k, void *packed,
                      size_t tile_bytes);
    /* The same at bf16; where pairs are split, of an A that is not transposed too. */
    void (*pack_rows_bf16)(const void *a, size_t lda, bool transposed, size_t m, size_t k,
                           void *packed, size_t tile_bytes);
} bv_matmul_kernels;

#endif

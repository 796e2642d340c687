/*
 * Sums, casts, dropout, and gradients of biases. Every value is computed in real and rounded once
 * to the output's type. Ranges are rows unless said otherwise.
 */
#ifndef BV_KERNEL_ELEMENTWISE_H
#define BV_KERNEL_ELEMENTWISE_H

#include "kernel/dtype.h"
#include <stdint.h>

/* y = a + b, a copy (b NULL) or a scaled copy; n elements starting at `begin`. y may be a or b. */
typedef struct bv_add_args {
    const void *a, *b;
    void *y;
    bv_dtype a_type, b_type, y_type;
    double scale; /* y = (a + b) * scale; the multiplication is skipped at 1 */
} bv_add_args;

/* Dropout (Srivastava et al. 2014), inverted: y = keep ? x / (1 - p) : 0. keep is a function of
 * (seed, site, step, row id, column): words of bv_random(seed, BV_RANDOM_DROPOUT, site, step,
 * row id, column / 4). Backward is the same call on dy. */
typedef struct bv_dropout_args {
    size_t cols;
    const void *x;
    void *y;
    bv_dtype x_type, y_type;
    double p;
    uint64_t seed;
    uint32_t site, step;
    const uint32_t *row_ids; /* [rows]: sample * context + position in the global batch */
} bv_dropout_args;

/* Gradient of a bias: dbias[c] += sum over ascending rows of dy[r, c], one chain a column,
 * continued from memory; a thread takes columns. */
typedef struct bv_bias_gradient_args {
    size_t cols;
    const void *dy; /* [rows, cols] */
    bv_dtype dy_type;
    void *dbias; /* [cols] real */
} bv_bias_gradient_args;

typedef struct bv_elementwise_kernels {
    void (*add)(const bv_add_args *args, size_t begin, size_t end); /* elements */
    void (*dropout)(const bv_dropout_args *args, size_t row_begin, size_t row_end);
    void (*bias_gradient)(const bv_bias_gradient_args *args, size_t rows, size_t col_begin,
                          size_t col_end);
} bv_elementwise_kernels;

#endif

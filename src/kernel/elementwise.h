/*
 * Elementwise families on rows: activations, sums, casts, dropout, biases. Every value is computed
 * in real and rounded once to the output's type. Ranges are rows unless said otherwise.
 */
#ifndef BV_KERNEL_ELEMENTWISE_H
#define BV_KERNEL_ELEMENTWISE_H

#include "kernel/dtype.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum bv_activation {
    BV_GELU_TANH, /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), GPT-2's */
    BV_RELU2,     /* max(x, 0)^2 (So et al. 2021)                             */
    BV_SILU,      /* x / (1 + exp(-x))                                        */
    BV_SWIGLU,    /* input [rows, 2 cols] = gate | up: silu(gate) * up        */
} bv_activation;

typedef struct bv_activation_args {
    bv_activation kind;
    size_t cols;   /* of y */
    const void *x; /* [rows, cols] (SWIGLU: [rows, 2 cols]) */
    void *y;       /* [rows, cols] */
    const void *dy;
    void *dx; /* shaped and typed as x, overwritten */
    bv_dtype x_type, y_type;
} bv_activation_args;

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

/* Rows of a table. forward: y[r] = table[ids[r]]. backward: dtable[ids[r], c] += dy[r, c], rows
 * ascending; a thread takes columns, so that no two threads meet. */
typedef struct bv_embed_args {
    size_t cols;
    const uint32_t *ids; /* [rows] */
    const void *table;   /* [entries, cols] of table_type */
    bv_dtype table_type;
    void *y; /* [rows, cols] of y_type */
    bv_dtype y_type;
    const void *dy; /* [rows, cols] of y_type */
    void *dtable;   /* [entries, cols] real */
} bv_embed_args;

/* Queries and keys before attention: optional RMS norm of each head without gain (QK-norm), then
 * optional rotary embedding (Su et al. 2021; halves convention: element i pairs with i + d/2).
 * x and y: [rows, (heads + 2 kv_heads) * d_head]; values are copied. */
typedef struct bv_heads_args {
    size_t heads, kv_heads, d_head;
    bool qk_norm;
    double eps;
    const void *cos, *sin;     /* [positions, d_head / 2] real, or NULL: no rotation */
    const uint32_t *positions; /* [rows] */
    const void *x;
    void *y;
    const void *dy;
    void *dx;
    bv_dtype type; /* of x, y, dx, dy */
} bv_heads_args;

typedef struct bv_elementwise_kernels {
    void (*activation)(const bv_activation_args *args, size_t row_begin, size_t row_end);
    void (*activation_backward)(const bv_activation_args *args, size_t row_begin, size_t row_end);
    void (*add)(const bv_add_args *args, size_t begin, size_t end); /* elements */
    void (*dropout)(const bv_dropout_args *args, size_t row_begin, size_t row_end);
    void (*bias_gradient)(const bv_bias_gradient_args *args, size_t rows, size_t col_begin,
                          size_t col_end);
    void (*embed)(const bv_embed_args *args, size_t row_begin, size_t row_end);
    void (*embed_backward)(const bv_embed_args *args, size_t rows, size_t col_begin,
                           size_t col_end);
    void (*heads)(const bv_heads_args *args, size_t row_begin, size_t row_end);
    void (*heads_backward)(const bv_heads_args *args, size_t row_begin, size_t row_end);
} bv_elementwise_kernels;

#endif

/*
 * Queries and keys before attention: optional RMS norm of each head without gain (QK-norm), then
 * optional rotary embedding (Su et al. 2021; halves convention: element i pairs with i + d/2).
 * Values are copied. Ranges are rows.
 */
#ifndef BV_KERNEL_HEADS_H
#define BV_KERNEL_HEADS_H

#include "kernel/dtype.h"
#include <stdbool.h>
#include <stdint.h>

/* x and y: [rows, (heads + 2 kv_heads) * d_head]. */
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

typedef struct bv_heads_kernels {
    void (*forward)(const bv_heads_args *args, size_t row_begin, size_t row_end);
    void (*backward)(const bv_heads_args *args, size_t row_begin, size_t row_end);
} bv_heads_kernels;

#endif

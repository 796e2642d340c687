/*
 * Activations of feed-forward layers, and their gradients. Every value is computed in real and
 * rounded once to the output's type. Ranges are rows.
 */
#ifndef BV_KERNEL_ACTIVATION_H
#define BV_KERNEL_ACTIVATION_H

#include "kernel/dtype.h"

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

typedef struct bv_activation_kernels {
    void (*forward)(const bv_activation_args *args, size_t row_begin, size_t row_end);
    void (*backward)(const bv_activation_args *args, size_t row_begin, size_t row_end);
} bv_activation_kernels;

#endif

/*
 * Layer norm (Ba et al. 2016) and RMS norm (Zhang & Sennrich 2019) over the columns of rows.
 *
 *   layer: y = (x - mean) * rstd * gain + bias      rms: y = x * rstd * gain
 *
 * Reductions use 16 virtual lanes (element i in lane i % 16, ascending), then a fixed tree
 * (lane i + lane i+8, then +4, +2, +1). "real" is float, or double at the f64 level. Ranges are
 * what a thread does; results do not depend on how ranges are cut.
 */
#ifndef BV_KERNEL_NORM_H
#define BV_KERNEL_NORM_H

#include "kernel/dtype.h"
#include <stdbool.h>

typedef struct bv_norm_args {
    size_t cols;
    bool rms;
    double eps;
    const void *x; /* [rows, cols] of x_type */
    bv_dtype x_type;
    const void *gain, *bias; /* [cols] real; NULL: 1 and 0 */
    void *y;                 /* [rows, cols] of y_type (forward) */
    bv_dtype y_type;
    void *mean, *rstd; /* [rows] real: written by forward, read by backward; mean NULL for rms */
    /* backward */
    const void *dy;      /* [rows, cols] of y_type */
    const void *addend;  /* [rows, cols] of x_type, to which dx is added, or NULL */
    void *dx;            /* [rows, cols] of x_type, overwritten */
    void *dx_rounded;    /* the same of y_type, or NULL */
    void *dgain, *dbias; /* [cols] real, one chain over ascending rows continued from memory */
} bv_norm_args;

typedef struct bv_norm_kernels {
    void (*forward)(const bv_norm_args *args, size_t row_begin, size_t row_end);
    void (*backward_input)(const bv_norm_args *args, size_t row_begin, size_t row_end);
    /* Gains and biases for columns col_begin..col_end over all rows 0..rows. */
    void (*backward_params)(const bv_norm_args *args, size_t rows, size_t col_begin,
                            size_t col_end);
} bv_norm_kernels;

#endif

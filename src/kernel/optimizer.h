/*
 * Optimizer arithmetic on ranges of one parameter, by absolute element index.
 * AdamW: Loshchilov & Hutter 2019. Muon: Jordan et al. 2024 (the orthogonalization is made of
 * matmuls by src/nn). Sums are over fixed chunks of 4,096 elements in double.
 */
#ifndef BV_KERNEL_OPTIMIZER_H
#define BV_KERNEL_OPTIMIZER_H

#include "kernel/dtype.h"

#define BV_SUM_CHUNK 4096

typedef struct bv_adamw_args {
    void *parameter, *m, *v; /* real, updated in place */
    const void *gradient;    /* real */
    double gradient_scale;   /* clip factor: g = gradient * scale */
    double lr, beta1, beta2, eps, weight_decay;
    double correction1, correction2; /* 1 - beta^t */
} bv_adamw_args;
/* p -= lr * (m/correction1 / (sqrt(v/correction2) + eps) + weight_decay * p), each step in real in
 * the order: p = p - lr*wd*p (fma), then p = p - lr/correction1 * (m / (sqrt(v) *
 * 1/sqrt(correction2) + eps)), the factors of scalars in double. */

typedef struct bv_optimizer_kernels {
    void (*adamw)(const bv_adamw_args *args, size_t begin, size_t end);
    /* sums[c] = sum of squares of chunk c (elements c*4096 .. ) in double: lanes of 16, fixed tree.
     */
    void (*square_sums)(const void *x, size_t count, double *sums, size_t chunk_begin,
                        size_t chunk_end);
    /* sums[c] = plain sum of chunk c in double, as above. */
    void (*sums)(const void *x, size_t count, double *sums, size_t chunk_begin, size_t chunk_end);
    /* Nesterov's: m = beta * m + (1 - beta) * g * scale; out = lerp(g * scale, m, beta) */
    void (*momentum)(void *m, const void *gradient, void *out, double beta, double scale,
                     size_t begin, size_t end);
    /* p = p * (1 - lr * wd) - lr * update */
    void (*descend)(void *parameter, const void *update, double lr, double weight_decay,
                    size_t begin, size_t end);
} bv_optimizer_kernels;

/* Pairwise tree over `count` doubles in a fixed order (0+1, 2+3, ...); sums is overwritten. */
double bv_tree_sum(double *sums, size_t count);

#endif

/*
 * Muon's step on one matrix (Jordan et al. 2024): its momentum, made orthogonal by five steps of a
 * quintic Newton-Schulz iteration. A bv_muon is memory for one matrix after another; threads that
 * take a matrix each have one each.
 */
#ifndef BV_NN_MUON_H
#define BV_NN_MUON_H

#include "base/pool.h"
#include "kernel/kernel.h"

/* What is large enough for all matrices that were told to bv_muon_fit. */
typedef struct bv_muon_sizes {
    size_t matrix, square; /* elements: [rows, cols], and [r, r] of the shorter side */
    size_t scratch;        /* bytes, of the products */
} bv_muon_sizes;

/* type: of the products, the level's real or BV_BF16. threads: that share a product. */
void bv_muon_fit(bv_muon_sizes *sizes, const bv_kernels *kernels, int threads, bv_dtype type,
                 size_t rows, size_t cols);
size_t bv_muon_bytes(const bv_muon_sizes *sizes, const bv_kernels *kernels);

typedef struct bv_muon {
    const bv_kernels *kernels;
    bv_pool *pool; /* that products are divided over; NULL: this thread alone */
    bv_dtype type;
    void *x, *next, *gram, *poly; /* real */
    void *half;                   /* a left operand in bf16 */
    void *scratch;
} bv_muon;

/* Sets the memory; false, and nothing to free, without it. */
bool bv_muon_allocate(bv_muon *muon, const bv_muon_sizes *sizes);
void bv_muon_free(bv_muon *muon);

typedef struct bv_muon_step {
    size_t rows, cols;
    void *parameter, *momentum; /* [rows, cols] real */
    const void *gradient;       /* the same */
    double lr, beta, weight_decay, gradient_scale;
} bv_muon_step;

/* The update is scaled by sqrt(max(1, rows / cols)). */
void bv_muon_apply(const bv_muon *muon, const bv_muon_step *step);

#endif

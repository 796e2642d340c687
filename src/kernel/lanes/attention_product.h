/*
 * The product of tiles in scratch, of which attention is made.
 *
 * All products have the form C[m, n] (+)= A[m, k] B[k, n] with n in lanes and A broadcast, one
 * ascending chain over k an element. Scores are S^T = K Q^T (queries in lanes), outputs and
 * gradients have channels in lanes, so no sum ever runs across lanes. At bf16 a step of k is a word
 * of two elements: rows that are multiplied along their columns are read as they are, rows that are
 * summed are packed in pairs.
 */
#ifndef BV_KERNEL_LANES_ATTENTION_PRODUCT_H
#define BV_KERNEL_LANES_ATTENTION_PRODUCT_H

#include "kernel/lanes/attention.h"

typedef struct tile_product {
    size_t m, n, k;       /* n: a multiple of 16; k in steps */
    const void *a;        /* reals, or words of two bf16 */
    size_t a_row, a_step; /* in bytes */
    const void *b;        /* 16 columns of a step stand together */
    size_t b_row, b_col;  /* reals or words from step to step, and from 16 columns to the next */
    real *c;
    size_t c_row;
    bool add; /* C += A B; otherwise C = scale (A B) */
    real scale;
    const real *factor; /* with add: row i of C is multiplied by factor[i] before */
    /* Elements of A that are 0 and left out, since many a tile lies on the diagonal: */
    size_t lower; /* unless 0: of row i all behind the first lower + i */
    bool upper;   /* of row i the first i */
} tile_product;

/* Where the 16 columns from j on begin in B. */
BV_INLINE size_t columns_at(const tile_product *t, size_t j) {
    return j / BV_LANES * t->b_col;
}

/* Steps of `rows` rows from i on. */
typedef struct step_range {
    size_t begin, end;
} step_range;

BV_INLINE step_range steps_of_rows(const tile_product *t, size_t i, size_t rows, bool pairs) {
    const size_t end = t->lower ? least(steps(t->lower + i + rows - 1, pairs), t->k) : t->k;
    return (step_range){t->upper ? least(i / (pairs ? 2 : 1), end) : 0, end};
}

void BV_NAME(bv_attention_product_real)(const tile_product *t);
void BV_NAME(bv_attention_product_bf16)(const tile_product *t);

BV_INLINE void product(const tile_product *t, bool pairs) {
    if (pairs)
        BV_NAME(bv_attention_product_bf16)(t);
    else
        BV_NAME(bv_attention_product_real)(t);
}

#endif

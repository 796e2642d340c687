/*
 * Cross-entropy of rows of logits, with its gradient, the optional soft cap of logits
 * (cap * tanh(x / cap), Gemma 2), and the optional prior, log-probabilities of another model that
 * logits correct: x + (1 + gate) prior (Li et al. 2022, with a weight for each row). All reductions
 * over a row use 16 virtual lanes and the fixed tree.
 */
#ifndef BV_KERNEL_LOSS_H
#define BV_KERNEL_LOSS_H

#include "kernel/dtype.h"
#include <stdint.h>

typedef struct bv_loss_args {
    size_t classes;          /* real classes: columns beyond are padding (their gradient is 0) */
    size_t stride;           /* columns of a row in memory, of logits and dlogits: at least
                                classes, and one more with a prior */
    void *logits;            /* [rows, stride] real; overwritten with what softmax is taken of */
    double soft_cap;         /* 0: none */
    const void *prior;       /* [rows, classes] real, or NULL: none; not with a soft cap. Column
                                `classes` of the logits is then its gate */
    const uint32_t *targets; /* [rows]; a target >= classes means: no loss, no gradient */
    void *losses;            /* [rows] real: -log p(target), 0 where there is no target */
    const void *weights;     /* [rows] real weight of each row in the gradient, or NULL: 1 */
    double scale;  /* d(total loss)/d(row loss), usually 1 / targets in the global batch */
    void *dlogits; /* [rows, stride] of dlogits_type, or NULL: no gradient. May be logits */
    bv_dtype dlogits_type;
} bv_loss_args;

typedef struct bv_loss_kernels {
    void (*cross_entropy)(const bv_loss_args *args, size_t row_begin, size_t row_end);
    /* log_p[i] = log p[i], [n] real: in double (real_log.h), then rounded. For priors. */
    void (*logs)(const double *p, void *log_p, size_t n);
} bv_loss_kernels;

#endif

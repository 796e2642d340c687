/*
 * How much memory a training needs, without allocating it: from the graph of the model, what its
 * ops ask for and the lifetimes of its tensors, as plans lay them out. Weights, gradients and
 * optimizer are exact; activations are the least that any layout needs (a plan's may be some per
 * cent larger, for the holes between tensors). Thread-safe.
 */
#ifndef BV_REPORT_ESTIMATE_H
#define BV_REPORT_ESTIMATE_H

#include "base/pool.h"
#include "kernel/kernel.h"
#include "train/settings.h"

typedef struct bv_estimate {
    size_t weights;     /* canonical, and packed for the kernels */
    size_t gradients;   /* of all grains that are held at once   */
    size_t optimizer;   /* state and workspace                   */
    size_t activations; /* and scratch, of training and scoring  */
    size_t total;
} bv_estimate;

/* settings: checked. The pool's threads decide scratch. */
bv_status bv_estimate_memory(const bv_settings *settings, const bv_kernels *kernels, bv_pool *pool,
                             bv_estimate *out);

#endif

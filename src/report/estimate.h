/*
 * How much memory a training needs, to the byte and without allocating it: plans without weights
 * tell their own size and which packed forms they would read; the rest follows from the list of
 * parameters. Only what counted n-grams take depends on the text: told is what counting them needs
 * beside them, which covers what stays of ordinary text. Thread-safe.
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
    size_t counts;      /* of n-grams (kneser_ney); 0 without a text */
    size_t total;
} bv_estimate;

/* settings: checked. The pool's threads decide scratch. text_tokens: of the text that n-grams are
 * counted of, 0 where it is not known. BV_CODE_USAGE for sizes that cannot be counted. */
bv_status bv_estimate_memory(const bv_settings *settings, uint64_t text_tokens,
                             const bv_kernels *kernels, bv_pool *pool, bv_estimate *out);
/* BV_CODE_MEMORY when that is more than this machine has available: to be asked before allocating,
 * since the kernel hands out more than there is. `what` names the work. */
bv_status bv_memory_fits(double bytes, const char *what);
/* The same for a training, with a remedy. */
bv_status bv_estimate_fits(const bv_estimate *estimate, const char *what);

#endif

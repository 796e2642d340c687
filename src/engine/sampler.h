/*
 * Sampler: one token from a row of logits. Greedy at temperature 0; else softmax with temperature,
 * cut by top-k, top-p (Holtzman et al. 2020) and min-p, in this order, and drawn with a
 * counter-based random number: the choice is a function of (seed, sequence, position, logits).
 */
#ifndef BV_ENGINE_SAMPLER_H
#define BV_ENGINE_SAMPLER_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct bv_sampler_options {
    double temperature; /* >= 0; 0 is greedy, the lowest index wins a tie */
    size_t top_k;       /* 0: all                                         */
    double top_p;       /* 0: the likeliest alone; 1: all                 */
    double min_p;       /* 0: all; else drop what is below min_p * the largest probability */
    uint64_t seed;
} bv_sampler_options;

typedef struct bv_sampler bv_sampler;
bv_status bv_sampler_create(const bv_sampler_options *options, size_t vocab_size, bv_sampler **out);
void bv_sampler_destroy(bv_sampler **sampler);
/* logits: [vocab_size], unchanged. A NaN is never chosen. */
uint32_t bv_sampler_pick(bv_sampler *sampler, const float *logits, uint32_t sequence,
                         uint32_t position);

#endif

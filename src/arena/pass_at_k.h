/*
 * pass@k: the probability that at least one of k samples passes (Chen et al. 2021, "Evaluating
 * Large Language Models Trained on Code", section 2.1), estimated without bias from n >= k samples
 * of which c passed: 1 - C(n-c, k) / C(n, k). Pure functions.
 */
#ifndef BV_ARENA_PASS_AT_K_H
#define BV_ARENA_PASS_AT_K_H

#include <stddef.h>
#include <stdint.h>

/* 0 <= c <= n, 1 <= k <= n. A product of n - (n-c) factors below 1: no overflow, and the error is
 * at most some ulp a factor. */
double bv_pass_at_k(uint64_t n, uint64_t c, uint64_t k);

typedef struct bv_pass_counts {
    uint64_t n, c;
} bv_pass_counts;

typedef struct bv_pass_estimate {
    double mean;      /* over problems */
    double low, high; /* 95 % */
} bv_pass_estimate;

/* Mean over problems and its interval: the 2.5 and 97.5 percentiles of the means of 10,000
 * resamples of the problems with replacement (bootstrap; Efron 1979), drawn by Philox from a fixed
 * seed, so that equal counts give equal bits. It says how much the choice of problems matters.
 * Every n >= k. NULL without memory is told by low > high. */
bv_pass_estimate bv_pass_at_k_estimate(const bv_pass_counts *counts, size_t problems, uint64_t k);

#endif

#include "arena/pass_at_k.h"

#include "base/memory.h"
#include "base/order.h"
#include "base/random.h"
#include "base/status.h"

#define RESAMPLES 10000
#define SEED 20210707 /* fixed: an interval is a function of the counts */

double bv_pass_at_k(uint64_t n, uint64_t c, uint64_t k) {
    BV_ASSERT(c <= n && k >= 1 && k <= n);
    if (n - c < k) return 1;
    double missed = 1; /* C(n-c, k) / C(n, k) = product of (1 - k / i) over i = n-c+1 .. n */
    for (uint64_t i = n - c + 1; i <= n; i++) missed *= 1 - (double)k / (double)i;
    return 1 - missed;
}

/* The mean of one resample. */
static double resample(const double *values, size_t problems, uint32_t number) {
    double sum = 0;
    bv_random4 words = {{0}};
    for (size_t i = 0; i < problems; i++) {
        if (i % 4 == 0) words = bv_random(SEED, BV_RANDOM_SAMPLE, 0, number, (uint32_t)(i / 4), 0);
        sum += values[(uint64_t)words.v[i % 4] * problems >> 32];
    }
    return sum / (double)problems;
}

bv_pass_estimate bv_pass_at_k_estimate(const bv_pass_counts *counts, size_t problems, uint64_t k) {
    bv_pass_estimate out = {0, 1, 0};
    double *values = bv_calloc(problems + 1, sizeof *values);
    double *means = bv_calloc(RESAMPLES, sizeof *means);
    if (values && means && problems) {
        for (size_t i = 0; i < problems; i++) {
            values[i] = bv_pass_at_k(counts[i].n, counts[i].c, k);
            out.mean += values[i];
        }
        out.mean /= (double)problems;
        for (uint32_t i = 0; i < RESAMPLES; i++) means[i] = resample(values, problems, i);
        bv_sort(means, RESAMPLES);
        out.low = means[RESAMPLES / 40];
        out.high = means[RESAMPLES - 1 - RESAMPLES / 40];
    }
    bv_free(values);
    bv_free(means);
    return out;
}

/* Judges many samples at once, each in boxes of its own, and counts. Verdicts are kept in a cache
 * as they come; results do not depend on threads, order or the cache. */
#ifndef BV_ARENA_JUDGE_SAMPLES_H
#define BV_ARENA_JUDGE_SAMPLES_H

#include "arena/pass_at_k.h"
#include "arena/record_cache.h"
#include "arena/samples.h"
#include "base/pool.h"

typedef struct bv_judge_samples_options {
    bv_code_options code;
    bv_sandbox_pool *pool;
    bv_pool *threads;       /* each judges one sample at a time */
    bv_record_cache *cache; /* NULL: none */
    /* Told after each sample, by one thread at a time; not 0 asks to stop (BV_CODE_INTERRUPTED with
     * that signal). */
    int (*progress)(void *context, size_t done, size_t count);
    void *context;
} bv_judge_samples_options;

bv_status bv_judge_samples(bv_samples *samples, const bv_judge_samples_options *options);

/* Samples and passes of each problem of the set that has samples; free it whatever is returned. */
typedef struct bv_sample_counts {
    bv_pass_counts *counts;
    const bv_problem **problems;
    size_t count;
    uint64_t n_min; /* samples of the problem that has fewest */
    size_t passed;  /* of all samples */
} bv_sample_counts;

bv_status bv_sample_counts_make(const bv_problem_set *set, const bv_samples *samples,
                                bv_sample_counts *out);
void bv_sample_counts_free(bv_sample_counts *counts);

#endif

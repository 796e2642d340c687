/*
 * How samples of a set are drawn, whoever writes them, and the cache that keeps them: by the hash
 * of the source (which model), the settings but n, the prompt, the stop texts and the number of the
 * sample among its problem's. So a larger n only adds samples to those that are known.
 */
#ifndef BV_ARENA_SAMPLE_CACHE_H
#define BV_ARENA_SAMPLE_CACHE_H

#include "arena/record_cache.h"
#include "arena/samples.h"

typedef struct bv_sample_settings {
    size_t n;           /* samples a problem */
    double temperature; /* 0: greedy */
    double top_p;
    size_t tokens; /* of a completion at most */
    uint64_t seed;
} bv_sample_settings;

typedef struct bv_sample_cache {
    bv_record_cache *records; /* NULL: nothing is kept */
    const char *source;       /* all that tells the writer from another, and its version */
    const bv_problem_set *set;
    const bv_sample_settings *settings;
} bv_sample_cache; /* all borrowed */

/* Adds the samples of a problem that are known, from the first one on and n at most; *count says
 * how many. */
bv_status bv_sample_cache_recall(const bv_sample_cache *cache, const bv_problem *problem,
                                 bv_samples *out, size_t *count);
/* Adds a problem's sample of this number (from 0) and keeps it: up to the first zero byte, whole
 * characters, and BV_COMPLETION_BYTES_MAX. */
bv_status bv_sample_cache_keep(const bv_sample_cache *cache, const bv_problem *problem,
                               size_t number, const char *bytes, size_t size, bv_samples *out);

/* Which draws a problem's first sample is made with; those of the next ones follow. A function of
 * seed and prompt alone: neither n nor the set's other problems make other samples. Below 2^31. */
bv_status bv_sample_cache_sequence(const bv_sample_cache *cache, const bv_problem *problem,
                                   uint32_t *out);

#endif

/*
 * How samples of a set are drawn, whoever writes them, and the cache that keeps them: by the hash
 * of the source (which model), the settings, the prompt, the stop texts and the number of the
 * sample.
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

/* Adds all n samples of a problem, if all are known; the first has the number `first`. */
bv_status bv_sample_cache_recall(const bv_sample_cache *cache, const bv_problem *problem,
                                 size_t first, bv_samples *out, bool *found);
/* Adds a sample (up to the first zero byte, whole characters) and keeps it. */
bv_status bv_sample_cache_keep(const bv_sample_cache *cache, const bv_problem *problem,
                               size_t number, const char *bytes, size_t size, bv_samples *out);

#endif

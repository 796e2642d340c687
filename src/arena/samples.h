/*
 * Samples: completions of a set's problems, as human-eval keeps them: JSON, one a line, with the
 * members task_id and completion (others are allowed and ignored). A problem may have any number of
 * samples, none included.
 */
#ifndef BV_ARENA_SAMPLES_H
#define BV_ARENA_SAMPLES_H

#include "arena/judge_code.h"

#define BV_COMPLETION_BYTES_MAX (1u << 20)

typedef struct bv_sample {
    const bv_problem *problem; /* borrowed from the set */
    char *completion;
    size_t size;
    bv_code_result result; /* after bv_judge_samples */
    bool cached;           /* the result was known */
} bv_sample;

typedef struct bv_samples {
    bv_sample *list;
    size_t count, capacity;
} bv_samples; /* {0} is empty */

/* The set's own solutions, one a problem. */
bv_status bv_samples_canonical(const bv_problem_set *set, bv_samples *out);
/* A file of human-eval's format; may be packed by gzip. An unknown task_id is BV_CODE_INPUT. */
bv_status bv_samples_read(const bv_problem_set *set, const char *path, bv_samples *out);
/* Copies. */
bv_status bv_samples_add(bv_samples *samples, const bv_problem *problem, const char *completion,
                         size_t size);
void bv_samples_truncate(bv_samples *samples, const bv_problem_set *set);
/* Writes human-eval's format with the results: passed, result, and verdict,
 * forgeable, reward (null where it would be forgeable). */
bv_status bv_samples_write(const bv_samples *samples, const char *path);
void bv_samples_free(bv_samples *samples);

#endif

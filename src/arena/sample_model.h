/*
 * Completions of a set's prompts by a model of ours, in this process: for each problem the prompt
 * is read once and its n samples are written side by side. A completion ends at a stop text of the
 * set, at the model's end of text, or after a number of tokens. It is a function of (weights,
 * tokenizer, prompt, settings, seed, problem, sample), and is kept in a cache by the hash of these.
 * One thread at a time; the model's own threads compute.
 */
#ifndef BV_ARENA_SAMPLE_MODEL_H
#define BV_ARENA_SAMPLE_MODEL_H

#include "arena/sample_cache.h"
#include "base/pool.h"
#include "kernel/kernel.h"

typedef struct bv_sample_model_options {
    const char *model;     /* as saved_model.h opens it */
    const char *tokenizer; /* NULL: the model's own */
    bv_sample_settings settings;
    const bv_kernels *kernels;
    bv_pool *threads;
    bv_record_cache *cache;                                    /* NULL: none */
    int (*progress)(void *context, size_t done, size_t count); /* as in judge_samples.h */
    void *context;
} bv_sample_model_options;

/* A prompt that leaves no room in the model's context gets empty completions; *too_long counts
 * them. */
bv_status bv_samples_from_model(const bv_problem_set *set, const bv_sample_model_options *options,
                                bv_samples *out, size_t *too_long);

#endif

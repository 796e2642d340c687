/*
 * Completions of a set's prompts by a model behind an OpenAI-compatible endpoint: POST
 * /v1/completions, n samples a problem, asked for again while the server gives fewer. Completions
 * are cut at the set's stop texts here, since servers take only some of them. Those that are known
 * are not asked for; that the server has another model under an old name is not seen. Plain http: a
 * model on this machine, or behind a proxy that speaks TLS. One thread at a time.
 */
#ifndef BV_ARENA_SAMPLE_ENDPOINT_H
#define BV_ARENA_SAMPLE_ENDPOINT_H

#include "arena/sample_cache.h"

typedef struct bv_sample_endpoint_options {
    const char *url;   /* http://host[:port][/prefix]; without a prefix /v1 is meant */
    const char *model; /* NULL: the first that the server lists */
    const char *key;   /* sent as a bearer token; NULL: none */
    bv_sample_settings settings;
    bv_record_cache *cache;                                    /* NULL: none */
    int (*progress)(void *context, size_t done, size_t count); /* as in judge_samples.h */
    void *context;
} bv_sample_endpoint_options;

/* BV_CODE_IO: the server cannot be reached; BV_CODE_INPUT: it refuses, or answers with something
 * else. A server that is busy, away or not itself for a moment is asked again, five times in all.
 * What it gave before is in the cache. An interruption also ends a wait for an answer. */
bv_status bv_samples_from_endpoint(const bv_problem_set *set,
                                   const bv_sample_endpoint_options *options, bv_samples *out);

#endif

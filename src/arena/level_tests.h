/*
 * Completes a level: runs its generator and its first reference solution in boxes, so that each
 * test has an input and an answer. A level's tests are a function of its folder: equal on every
 * judge; so they are made once and kept (level_cache.h). Call once after bv_level_load and before
 * judging, from one thread.
 */
#ifndef BV_ARENA_LEVEL_TESTS_H
#define BV_ARENA_LEVEL_TESTS_H

#include "arena/level.h"
#include "base/pool.h"

/* All borrowed. */
typedef struct bv_level_maker {
    bv_sandbox_pool *pool;
    bv_pool *threads;  /* each makes one test at a time; NULL: the caller's alone */
    const char *cache; /* a folder; NULL: nothing is kept */
    void (*log)(void *context, const char *text); /* trouble that stops nothing; NULL: none */
    void *context;
} bv_level_maker;

/* BV_CODE_INPUT when a program of the author fails, or a generator writes another input when it
 * runs again; BV_CODE_FAULT when the sandbox does. */
bv_status bv_level_complete(bv_level *level, const bv_level_maker *maker);

#endif

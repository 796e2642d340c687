/*
 * Completes a level: runs its generator and its first reference solution in boxes, so that each
 * test has an input and an answer. A level's tests are a function of its folder: equal on every
 * judge. Call once after bv_level_load and before judging, from one thread.
 */
#ifndef BV_ARENA_LEVEL_TESTS_H
#define BV_ARENA_LEVEL_TESTS_H

#include "arena/level.h"

/* BV_CODE_INPUT when a program of the author fails; BV_CODE_FAULT when the sandbox does. */
bv_status bv_level_complete(bv_level *level, bv_sandbox_pool *pool);

#endif

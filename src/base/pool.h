/*
 * Thread pool: fork-join over parts. The caller is part 0. Workers spin briefly, then sleep on a
 * futex. Nothing that is computed may depend on who runs or finishes first: callers divide output
 * tiles, never sums. A pool serves one caller at a time.
 */
#ifndef BV_BASE_POOL_H
#define BV_BASE_POOL_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bv_pool bv_pool;

int bv_usable_cores(void); /* that this process may run on */
/* One for each of them, or for each that its control groups give the time of, rounded up. */
int bv_default_threads(void);

/* threads >= 1, never clamped (4 on 2 cores is legal); 0 means bv_default_threads. */
bv_status bv_pool_create(int threads, bv_pool **out);
void bv_pool_destroy(bv_pool **pool);
int bv_pool_threads(const bv_pool *pool); /* NULL pool: 1 */

/* Calls task(context, part, parts) once for each part in 0..parts-1, parts = the pool's threads,
 * each on its own thread, and returns when all have returned. NULL pool: part 0 of 1. */
typedef void bv_pool_task(void *context, int part, int parts);
void bv_pool_run(bv_pool *pool, bv_pool_task *task, void *context);

/* Told after each part of each run when it computed (bv_clock_ns), on the thread of the part: for
 * traces. NULL switches it off. Set while nothing runs. */
typedef void bv_pool_watch(void *context, int part, uint64_t begin, uint64_t end);
void bv_pool_watch_set(bv_pool *pool, bv_pool_watch *watch, void *context);

/* The part-th of `parts` nearly equal ranges of 0..count, its borders multiples of `unit`. */
void bv_pool_range(size_t count, size_t unit, int part, int parts, size_t *begin, size_t *end);

/* Even work over 0..count-1: calls task(context, begin, end) once for each thread's range that is
 * not empty, its borders multiples of `unit`. */
typedef void bv_range_task(void *context, size_t begin, size_t end);
void bv_pool_run_ranges(bv_pool *pool, size_t count, size_t unit, bv_range_task *task,
                        void *context);

/* Uneven work, or cores of uneven speed, where what is computed does not depend on who does it:
 * before a run `share` gives each part one of nearly equal ranges of 0..count-1, count < 2^32.
 * Within the run `take` gives a part the next index of its own range, which it finds in its cache
 * if it always has that range, and then the last ones of others'. False: nothing is left. Not of a
 * NULL pool. */
void bv_pool_share(bv_pool *pool, size_t count);
bool bv_pool_take(bv_pool *pool, int part, size_t *index);
/* The same of several at once, `begin` .. `end` - 1: `most` at first and fewer towards the end,
 * half of what a range has left, so that nobody waits long for the last. */
bool bv_pool_take_some(bv_pool *pool, int part, size_t most, size_t *begin, size_t *end);

#endif

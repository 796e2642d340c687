/*
 * Many tasks that may fail, run on a pool's threads, in any order: for work that waits for others
 * (boxes, files), where threads are not the cores' but the waiting's.
 */
#ifndef BV_BASE_TASKS_H
#define BV_BASE_TASKS_H

#include "base/pool.h"
#include "base/status.h"
#include <stddef.h>

/* Does the index-th task; on any thread of the pool, several at once. */
typedef bv_status bv_task(void *context, size_t index);

/* Runs task(context, 0 .. count - 1), and returns when all have ended. After an error no further
 * one begins; the first error is returned. NULL pool: on the caller's thread, in order. */
bv_status bv_tasks_run(bv_pool *pool, size_t count, bv_task *task, void *context);

#endif

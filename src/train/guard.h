/*
 * The guard: judges each step before it is applied, by its loss and gradient norm. A step is bad
 * when one of them is not finite, or stands further from its mean over the last accepted steps than
 * `limit` standard deviations, upwards (the norm by its logarithm). Plain data: it is part of a
 * checkpoint, so that a resumed run judges alike.
 */
#ifndef BV_TRAIN_GUARD_H
#define BV_TRAIN_GUARD_H

#include "base/json.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

#define BV_GUARD_WINDOW 64
#define BV_GUARD_PATIENCE 3 /* bad steps in a row before the last is replayed */
#define BV_GUARD_RETURNS 3  /* returns to a checkpoint before the run stops   */

typedef struct bv_guard {
    double loss[BV_GUARD_WINDOW], norm[BV_GUARD_WINDOW]; /* norm: its natural logarithm */
    size_t accepted;                                     /* steps; the window is a ring */
    size_t in_a_row;                                     /* bad steps just now          */
    size_t skipped, returns;                             /* of the whole run            */
} bv_guard;

typedef struct bv_verdict {
    bool bad;
    char why[160]; /* one sentence when bad */
} bv_verdict;

/* limit: standard deviations; 0 judges only whether the numbers are finite. */
bv_verdict bv_guard_judge(const bv_guard *guard, double limit, double loss, double norm);
void bv_guard_accept(bv_guard *guard, double loss, double norm);

json_t *bv_guard_json(const bv_guard *guard); /* NULL without memory */
bv_status bv_guard_parse(bv_guard *guard, const json_t *value);

#endif

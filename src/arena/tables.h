/*
 * The arena's tables: users, submissions, verdicts, scores. Laws that the code below relies on:
 *
 *  1. A submission is a row from the moment it is acknowledged, and its row is never removed.
 *  2. `state` goes waiting, running, done; back from running only by a lease that ran out.
 *  3. `fence` grows by one whenever a judge takes the submission. Only who holds the present fence
 *     may renew, give back, or record: one who was paused finds another's fence and is refused.
 *  4. verdicts has the submission as its key, and is written in the transaction that makes the
 *     submission done: one verdict each, or none.
 */
#ifndef BV_ARENA_TABLES_H
#define BV_ARENA_TABLES_H

#include "store/store.h"

/* Makes them, or brings those of an older program up to date. */
bv_status bv_arena_tables_prepare(bv_store *store);

typedef enum bv_submission_state {
    BV_SUBMISSION_WAITING = 0,
    BV_SUBMISSION_RUNNING = 1,
    BV_SUBMISSION_DONE = 2,
} bv_submission_state;
const char *bv_submission_state_name(bv_submission_state state); /* "waiting", ... */

#endif

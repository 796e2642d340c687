/*
 * Judges: threads that take submissions from the queue, judge them, and record verdicts. Stateless:
 * any number of processes on any machines may judge for one store, and each may be killed at any
 * time. How a submission is judged is the caller's function; here is only that it is judged at
 * least once and that one verdict is recorded:
 *
 *     take (lease) ──▶ judge, while a heartbeat renews the lease ──▶ record (if still held)
 *                        │ our fault
 *                        └──▶ postpone, for another try, by whoever comes
 *
 * A submission over which BV_QUEUE_TRIES_MAX judges failed or died gets the verdict "not-judged".
 * A judge that fails pauses, longer each time until it judges something, and leaves the queue to
 * others: a machine on which nothing works would otherwise take, and fail over, everything.
 * While the store cannot be reached, judges wait and try again.
 */
#ifndef BV_ARENA_JUDGES_H
#define BV_ARENA_JUDGES_H

#include "arena/queue.h"

typedef struct bv_judged {
    char verdict[32];
    int64_t score, points;
    bv_buffer detail;   /* a JSON object */
    bv_judge_cost cost; /* but for waited_us */
} bv_judged;

/* Judges one submission, on any of the threads. An error is our fault and says nothing about the
 * submission. *out is {0}; its detail is freed by the caller. */
typedef bv_status bv_judge_call(void *context, const bv_lease *lease, bv_judged *out);

#define BV_JUDGES_MAX 60 /* threads */

typedef struct bv_judges_options {
    const char *store;  /* as for bv_store_open; borrowed while they start */
    const char *name;   /* of this process, for people: "host:pid" */
    const char *levels; /* as in bv_queue_take; borrowed */
    int threads;
    int64_t lease_ms; /* a judge that is silent for so long has lost its submission; 0: 15 s */
    int64_t poll_ms;  /* between looks at an empty queue, unless bv_judges_wake calls; 0: 25 ms */
    bv_judge_call *judge;
    void *context; /* of judge, changed and log */
    /* A submission was taken, or has its verdict. NULL: nobody wants to know. Any thread */
    void (*changed)(void *context, int64_t submission_id);
    void (*log)(void *context, const char *text); /* trouble, one line; NULL: none. Any thread */
} bv_judges_options;

typedef struct bv_judges bv_judges;
bv_status bv_judges_start(const bv_judges_options *options, bv_judges **out);
/* Something was handed in: a judge that waits looks at once. Thread-safe, does not wait. */
void bv_judges_wake(bv_judges *judges);
/* What is being judged is judged to its end. NULL is legal. */
void bv_judges_stop(bv_judges **judges);

#endif

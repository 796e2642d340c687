/*
 * The queue of submissions, as judges see it: take one under a lease, renew it, record the verdict.
 *
 * Fairness: each submission has a turn, and the lowest waits shortest. A user's submissions have
 * rising turns, beginning near the turn that the queue has reached: so users take turns, however
 * many submissions each has waiting. Who let turns go by begins up to BV_QUEUE_CREDIT turns before
 * the others, and passes those who flood; new users have let none go by, so signing up again gains
 * nothing.
 *
 * Leases: a judge that dies or is paused loses its submission to another when its lease runs out;
 * the fence (tables.h, law 3) keeps what it then says from being recorded. Times are the
 * database's.
 */
#ifndef BV_ARENA_QUEUE_H
#define BV_ARENA_QUEUE_H

#include "base/buffer.h"
#include "store/store.h"

#define BV_QUEUE_CREDIT 5
#define BV_QUEUE_TRIES_MAX 5 /* of judges that died or failed over one submission */

/* The turn that the queue has reached. */
bv_status bv_queue_now(bv_store *store, int64_t *turn);
/* The turn of a user's next submission, whose last one had `last` (0: none). Pure. */
int64_t bv_queue_turn(int64_t now, int64_t last);

typedef struct bv_lease {
    int64_t submission_id, user_id, fence;
    int64_t waited_ms; /* since it was handed in */
    char level[128], language[64];
    bv_buffer source; /* free with bv_lease_free */
} bv_lease;

/* Takes the next submission, or one whose lease ran out; *found is false when none waits. `judge`
 * names the taker, for people; not "". Only those to the levels that stand between commas in
 * `levels`, as
 * ",echo,sum,": others wait for a judge that has their level. NULL: any. */
bv_status bv_queue_take(bv_store *store, const char *judge, const char *levels, int64_t lease_ms,
                        bv_lease *lease, bool *found);
void bv_lease_free(bv_lease *lease);

/* These three act only for who holds the lease still: else *held is false and nothing happens. */
bv_status bv_queue_renew(bv_store *store, const bv_lease *lease, int64_t lease_ms, bool *held);
/* Judging failed by our fault: it waits, longer each time, for another try, and is not renewed. */
bv_status bv_queue_postpone(bv_store *store, const bv_lease *lease, bool *held);

/* Where the time of a judgement went: for whoever runs the arena, never for submitters. */
typedef struct bv_judge_cost {
    int64_t waited_us; /* from handing in until a judge took it */
    int64_t compile_us, run_us, check_us;
    int64_t runs; /* boxes of run_us */
} bv_judge_cost;

typedef struct bv_verdict {
    const char *verdict;   /* "accepted", "wrong-answer", ... */
    int64_t score, points; /* points 0: nobody could judge it, and it is no attempt */
    const char *detail;    /* a JSON object, for the submitter's eyes */
    bv_judge_cost cost;
} bv_verdict;
/* What its judge takes next, in the same transaction: as of bv_queue_take. The lease begins as {0}.
 */
typedef struct bv_queue_next {
    const char *levels;
    int64_t lease_ms;
    bv_lease lease;
    bool found;
} bv_queue_next;
/* `next` may be NULL: nothing is taken. When the lease is lost, something is taken all the same. */
bv_status bv_queue_record(bv_store *store, const bv_lease *lease, const char *judge,
                          const bv_verdict *verdict, bool *held, bv_queue_next *next);

typedef struct bv_queue_size {
    int64_t waiting, running;
} bv_queue_size;
bv_status bv_queue_measure(bv_store *store, bv_queue_size *size);

#endif

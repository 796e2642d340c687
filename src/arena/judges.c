#include "arena/judges.h"

#include "base/bell.h"
#include "base/clock.h"
#include "base/memory.h"
#include "store/store_pool.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define LEASE_MS 15000
#define POLL_MS 25     /* between looks at an empty queue, and of the heart at who is busy */
#define TROUBLE_MS 500 /* before the store is tried again, and after a judging that failed */
#define FAILURES_MAX 5 /* in a row that double that pause: 16 s */

typedef struct seat {
    bv_judges *judges;
    pthread_t thread;
    bv_lease lease; /* under the lock while busy */
    bool busy;
} seat;

struct bv_judges {
    bv_judges_options options;
    char name[128];
    bv_store_pool *stores;
    _Atomic bool stopping;
    bv_bell work; /* rings when there is some */
    pthread_mutex_t lock;
    pthread_t heart;
    seat seats[BV_JUDGES_MAX];
    _Atomic int started;
    bool has_heart;
};

/* Frees the error. */
static void tell(const bv_judges *j, bv_error *error) {
    if (j->options.log) j->options.log(j->options.context, bv_error_text(error));
    bv_error_free(&error);
}

static void note_change(const bv_judges *j, const bv_lease *lease) {
    if (j->options.changed) j->options.changed(j->options.context, lease->submission_id);
}

/* ---- one submission ---- */

static void give_up(const bv_lease *lease, bv_judged *out) {
    snprintf(out->verdict, sizeof out->verdict, "not-judged");
    bv_buffer_printf(&out->detail,
                     "{\"message\": \"%lld judges failed over this submission; it is not your "
                     "fault, please tell whoever runs the arena\"}",
                     (long long)lease->fence - 1);
}

/* A verdict is not thrown away because the store is away for a while. Who stops takes nothing more.
 */
static void record(bv_judges *j, const bv_lease *lease, const bv_judged *judged,
                   bv_queue_next *next) {
    bv_verdict verdict = {judged->verdict, judged->score, judged->points,
                          judged->detail.data ? judged->detail.data : "{}", judged->cost};
    verdict.cost.waited_us = 1000 * lease->waited_ms;
    for (;;) {
        bv_store *s = NULL;
        bool held = false;
        bv_error *error = bv_store_pool_take(j->stores, &s);
        if (!error)
            error = bv_queue_record(s, lease, j->name, &verdict, &held, j->stopping ? NULL : next);
        if (s) bv_store_pool_give(j->stores, s);
        if (!error) {
            if (held) note_change(j, lease); /* else it is another's by now */
            return;
        }
        tell(j, bv_while(error, "recording the verdict on submission %lld",
                         (long long)lease->submission_id));
        if (j->stopping) return; /* another judges it again */
        bv_sleep_ms(TROUBLE_MS);
    }
}

static void postpone(bv_judges *j, const bv_lease *lease) {
    bv_store *s = NULL;
    bool held;
    bv_error *error = bv_store_pool_take(j->stores, &s);
    if (!error) error = bv_queue_postpone(s, lease, &held);
    if (s) bv_store_pool_give(j->stores, s);
    if (error) tell(j, error); /* then the lease runs out by itself */
}

/* False: it could not be judged. */
static bool judge(bv_judges *j, const bv_lease *lease, bv_queue_next *next) {
    bv_judged judged = {0};
    bv_error *error = BV_OK;
    if (lease->fence > BV_QUEUE_TRIES_MAX)
        give_up(lease, &judged);
    else
        error = j->options.judge(j->options.context, lease, &judged);
    if (!error) error = bv_buffer_error(&judged.detail);
    const bool done = !error;
    if (done) {
        record(j, lease, &judged, next);
    } else {
        tell(j, bv_while(error, "judging submission %lld", (long long)lease->submission_id));
        postpone(j, lease);
    }
    bv_buffer_free(&judged.detail);
    return done;
}

/* ---- threads ---- */

static bool take(bv_judges *j, bv_lease *lease) {
    bv_store *s = NULL;
    bool found = false;
    bv_error *error = bv_store_pool_take(j->stores, &s);
    if (!error)
        error = bv_queue_take(s, j->name, j->options.levels, j->options.lease_ms, lease, &found);
    if (s) bv_store_pool_give(j->stores, s);
    if (error) {
        tell(j, error);
        bv_sleep_ms(TROUBLE_MS);
    }
    return found;
}

static void set_busy(seat *t, const bv_lease *lease) {
    pthread_mutex_lock(&t->judges->lock);
    t->busy = lease != NULL;
    if (lease) t->lease = *lease;
    pthread_mutex_unlock(&t->judges->lock);
}

/* Twice as long as what failed waits (bv_queue_postpone), so that another takes that first. */
static void pause_after(const bv_judges *j, int failures) {
    const int doublings = failures < FAILURES_MAX ? failures : FAILURES_MAX;
    for (int ms = failures ? TROUBLE_MS << doublings : 0; ms > 0 && !j->stopping; ms -= 100)
        bv_sleep_ms(100);
}

/* Judges the lease, and whatever is taken with each verdict. */
static int judge_on(seat *t, bv_lease *lease, int failures) {
    bv_judges *j = t->judges;
    set_busy(t, lease);
    for (bool found = true; found;) {
        bv_queue_next next = {.levels = j->options.levels, .lease_ms = j->options.lease_ms};
        note_change(j, lease);
        failures = judge(j, lease, &next) ? 0 : failures + 1;
        bv_lease_free(lease);
        *lease = next.lease, found = next.found;
        set_busy(t, found ? lease : NULL);
    }
    return failures;
}

static void *run_seat(void *context) {
    seat *t = context;
    bv_judges *j = t->judges;
    int failures = 0; /* in a row */
    while (!j->stopping) {
        bv_lease lease;
        const uint64_t heard = bv_bell_count(&j->work);
        if (!take(j, &lease)) {
            if (!j->stopping)
                bv_bell_wait(&j->work, heard,
                             bv_clock_ns() + 1000000 * (uint64_t)j->options.poll_ms);
            continue;
        }
        failures = judge_on(t, &lease, failures);
        pause_after(j, failures);
    }
    return NULL;
}

/* A lease that is lost is lost: its verdict will be refused, nothing is to be done here. */
static void renew_all(bv_judges *j) {
    bv_store *s = NULL;
    bv_error *error = bv_store_pool_take(j->stores, &s);
    for (int i = 0; !error && i < j->started; i++) {
        pthread_mutex_lock(&j->lock);
        const bool busy = j->seats[i].busy;
        const bv_lease lease = {.submission_id = j->seats[i].lease.submission_id,
                                .fence = j->seats[i].lease.fence};
        pthread_mutex_unlock(&j->lock);
        bool held;
        if (busy) error = bv_queue_renew(s, &lease, j->options.lease_ms, &held);
    }
    if (s) bv_store_pool_give(j->stores, s);
    if (error) tell(j, bv_while(error, "renewing leases"));
}

static bool any_busy(bv_judges *j) {
    bool any = false;
    pthread_mutex_lock(&j->lock);
    for (int i = 0; i < j->started; i++) any = any || j->seats[i].busy;
    pthread_mutex_unlock(&j->lock);
    return any;
}

/* Beats on while the last ones are judged to their end. */
static void *run_heart(void *context) {
    bv_judges *j = context;
    int64_t waited = 0;
    while (!j->stopping || any_busy(j)) {
        bv_sleep_ms(POLL_MS);
        waited += POLL_MS;
        if (waited < j->options.lease_ms / 3) continue;
        waited = 0;
        if (any_busy(j)) renew_all(j);
    }
    return NULL;
}

/* ---- lifetime ---- */

static bv_status start(bv_judges *j) {
    const int threads = j->options.threads;
    BV_TRY(bv_store_pool_create(j->options.store, threads + 1, &j->stores));
    j->has_heart = pthread_create(&j->heart, NULL, run_heart, j) == 0;
    for (; j->has_heart && j->started < threads; j->started++) {
        seat *t = &j->seats[j->started];
        t->judges = j;
        if (pthread_create(&t->thread, NULL, run_seat, t) != 0) break;
    }
    return j->started == threads ? BV_OK : bv_fail(BV_CODE_MEMORY, "no threads for judges");
}

bv_status bv_judges_start(const bv_judges_options *options, bv_judges **out) {
    BV_ASSERT(options->threads > 0 && options->threads <= BV_JUDGES_MAX);
    bv_judges *j = bv_calloc(1, sizeof *j);
    if (!j) return bv_fail_memory("judges");
    j->options = *options;
    if (!j->options.lease_ms) j->options.lease_ms = LEASE_MS;
    if (!j->options.poll_ms) j->options.poll_ms = POLL_MS;
    snprintf(j->name, sizeof j->name, "%s", options->name);
    pthread_mutex_init(&j->lock, NULL);
    bv_bell_init(&j->work);
    *out = j;
    bv_error *error = start(j);
    if (error) bv_judges_stop(out);
    return error;
}

void bv_judges_wake(bv_judges *judges) {
    bv_bell_ring(&judges->work);
}

void bv_judges_stop(bv_judges **judges) {
    bv_judges *j = *judges;
    if (!j) return;
    j->stopping = true;
    bv_bell_ring_all(&j->work);
    for (int i = 0; i < j->started; i++) pthread_join(j->seats[i].thread, NULL);
    if (j->has_heart) pthread_join(j->heart, NULL);
    bv_store_pool_destroy(&j->stores);
    bv_bell_destroy(&j->work);
    pthread_mutex_destroy(&j->lock);
    bv_free(j);
    *judges = NULL;
}

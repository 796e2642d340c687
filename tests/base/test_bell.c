/* A ring is not missed, however it falls between looking and waiting. The ends of waits lie an hour
 * ahead: a test that waits for one hangs. */
#include "support/check.h"

#include "base/bell.h"
#include "base/clock.h"
#include <stdatomic.h>

#define HOUR UINT64_C(3600000000000)
#define WAITERS 4

typedef struct room {
    bv_bell bell;
    _Atomic int items, taken;
    _Atomic bool closed;
} room;

static void test_ring_before_wait(void **state) {
    (void)state;
    bv_bell b;
    bv_bell_init(&b);
    const uint64_t heard = bv_bell_count(&b);
    bv_bell_ring(&b);
    bv_bell_wait(&b, heard, bv_clock_ns() + HOUR);
    assert_int_equal(bv_bell_count(&b), heard + 1);
    bv_bell_destroy(&b);
}

static void test_time(void **state) {
    (void)state;
    bv_bell b;
    bv_bell_init(&b);
    const uint64_t until = bv_clock_ns() + 20000000;
    while (bv_clock_ns() < until) bv_bell_wait(&b, bv_bell_count(&b), until);
    bv_bell_wait(&b, bv_bell_count(&b), 0); /* long ago */
    bv_bell_destroy(&b);
}

static bool take(room *r) {
    int items = r->items;
    while (items > 0 && !atomic_compare_exchange_weak(&r->items, &items, items - 1)) continue;
    r->taken += items > 0;
    return items > 0;
}

static void *work(void *context) {
    room *r = context;
    while (!r->closed) {
        const uint64_t heard = bv_bell_count(&r->bell);
        if (take(r)) continue;
        if (!r->closed) bv_bell_wait(&r->bell, heard, bv_clock_ns() + HOUR);
    }
    return NULL;
}

/* Threads that take what is there, and are woken for what comes. */
static void test_workers(void **state) {
    (void)state;
    room r = {.taken = 0};
    pthread_t threads[WAITERS];
    bv_bell_init(&r.bell);
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &r), 0);
    for (int i = 0; i < 5000; i++) {
        r.items++;
        bv_bell_ring(&r.bell);
        while (i % 10 == 0 && r.taken <= i) sched_yield(); /* all are taken, nobody has to look */
    }
    while (r.taken < 5000) sched_yield();
    r.closed = true;
    bv_bell_ring_all(&r.bell);
    for (int i = 0; i < WAITERS; i++) pthread_join(threads[i], NULL);
    bv_bell_destroy(&r.bell);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_before_wait),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

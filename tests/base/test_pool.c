#include "support/check.h"
#include "support/faults.h"

#include "base/clock.h"
#include "base/pool.h"
#include <sched.h>

#define PARTS_MAX 7

typedef struct visit {
    bv_pool *pool;
    int parts;
    int seen[PARTS_MAX];      /* written without atomics: the join must publish it */
    size_t drawn[1000];       /* how often each index was handed out               */
    size_t smallest, largest; /* handed out at once                           */
} visit;

static void visit_once(void *context, int part, int parts) {
    visit *v = context;
    v->seen[part]++;
    if (part == 0) v->parts = parts;
}

static const int counts[] = {1, 2, 3, 4, 7};

static void test_each_part_once_a_run(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        bv_pool *pool;
        assert_ok(bv_pool_create(counts[c], &pool));
        assert_int_equal(bv_pool_threads(pool), counts[c]);
        visit v = {.pool = pool};
        for (int run = 1; run <= 500; run++) {
            bv_pool_run(pool, visit_once, &v);
            assert_int_equal(v.parts, counts[c]);
            for (int i = 0; i < counts[c]; i++) assert_int_equal(v.seen[i], run);
        }
        bv_pool_destroy(&pool);
        assert_null(pool);
        bv_pool_destroy(&pool);
    }
}

/* Part 0 takes nothing: what is its share is taken by others, from its end. */
static void take(void *context, int part, int parts) {
    visit *v = context;
    if (part == 0 && parts > 1) return;
    for (size_t i; bv_pool_take(v->pool, part, &i);) v->drawn[i]++;
}

static void test_take_hands_out_each_index_once(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        visit v = {0};
        assert_ok(bv_pool_create(counts[c], &v.pool));
        for (size_t run = 1; run <= 20; run++) {
            const size_t count = run < 10 ? run - 1 : 50 * run;
            memset(v.drawn, 0, sizeof v.drawn);
            bv_pool_share(v.pool, count);
            bv_pool_run(v.pool, take, &v);
            for (size_t i = 0; i < 1000; i++) assert_int_equal(v.drawn[i], i < count);
        }
        bv_pool_destroy(&v.pool);
    }
}

/* Up to 8 at once, never more than half of what is left, rounded up; the last come one by one. */
static void take_some(void *context, int part, int parts) {
    visit *v = context;
    if (part == 0 && parts > 1) return;
    for (size_t begin, end; bv_pool_take_some(v->pool, part, 8, &begin, &end);) {
        v->largest = end - begin > v->largest ? end - begin : v->largest;
        v->smallest = end - begin < v->smallest ? end - begin : v->smallest;
        for (size_t i = begin; i < end; i++) v->drawn[i]++;
    }
}

static void test_take_some_hands_out_each_index_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        visit v = {0};
        assert_ok(bv_pool_create(threads, &v.pool));
        for (size_t count = 0; count <= 1000; count += count < 40 ? 1 : 240) {
            v.largest = 0, v.smallest = SIZE_MAX;
            memset(v.drawn, 0, sizeof v.drawn);
            bv_pool_share(v.pool, count);
            bv_pool_run(v.pool, take_some, &v);
            for (size_t i = 0; i < 1000; i++) assert_int_equal(v.drawn[i], i < count);
            if (count >= 40) assert_int_equal(v.largest, 8);
            if (count > 0) assert_int_equal(v.smallest, 1);
        }
        bv_pool_destroy(&v.pool);
    }
}

static void test_no_pool_is_one_thread(void **state) {
    (void)state;
    visit v = {0};
    bv_pool_run(NULL, visit_once, &v);
    assert_int_equal(v.seen[0], 1);
    assert_int_equal(v.parts, 1);
    assert_int_equal(bv_pool_threads(NULL), 1);
}

static void test_zero_means_the_cores(void **state) {
    (void)state;
    bv_pool *pool;
    assert_ok(bv_pool_create(0, &pool));
    assert_in_range(bv_pool_threads(pool), 1, 4096);
    bv_pool_destroy(&pool);
}

static void test_workers_that_slept_wake_up(void **state) {
    (void)state;
    bv_pool *pool;
    assert_ok(bv_pool_create(2, &pool));
    visit v = {.pool = pool};
    for (int run = 1; run <= 5; run++) {
        usleep(20000); /* longer than workers spin */
        bv_pool_run(pool, visit_once, &v);
        assert_int_equal(v.seen[1], run);
    }
    bv_pool_destroy(&pool);
}

static void test_ranges_cover_everything_once(void **state) {
    (void)state;
    for (size_t count = 0; count < 200; count += 7)
        for (size_t unit = 1; unit <= 32; unit *= 2)
            for (int parts = 1; parts <= 9; parts++) {
                size_t expected = 0, begin, end;
                for (int part = 0; part < parts; part++) {
                    bv_pool_range(count, unit, part, parts, &begin, &end);
                    assert_int_equal(begin, expected);
                    assert_true(end >= begin && (end % unit == 0 || end == count));
                    assert_true(end - begin <= (count / unit / (size_t)parts + 2) * unit);
                    expected = end;
                }
                assert_int_equal(expected, count);
            }
}

typedef struct seen {
    int parts[3];
    bool ordered;
} seen;

static void on_part(void *context, int part, uint64_t begin, uint64_t end) {
    seen *s = context;
    s->parts[part]++;
    if (part == 0) s->ordered = begin <= end;
}

static void nothing(void *context, int part, int parts) {
    (void)context, (void)part, (void)parts;
}

static void mark_range(void *context, size_t begin, size_t end) {
    assert_true(begin < end && begin % 16 == 0);
    for (size_t i = begin; i < end; i++) ((int *)context)[i]++;
}

/* Fewer than the threads, too: who has none is not called. */
static void test_run_over_ranges(void **state) {
    (void)state;
    bv_pool *pool;
    assert_ok(bv_pool_create(3, &pool));
    for (size_t count = 0; count < 100; count++) {
        int seen[101] = {0};
        bv_pool_run_ranges(pool, count, 16, mark_range, seen);
        for (size_t i = 0; i < 101; i++) assert_int_equal(seen[i], i < count);
    }
    bv_pool_destroy(&pool);
}

static void test_watched(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2) {
        bv_pool *pool;
        seen s = {0};
        assert_null(bv_pool_create(threads, &pool));
        bv_pool_run(pool, nothing, NULL);
        bv_pool_watch_set(pool, on_part, &s);
        for (int i = 0; i < 5; i++) bv_pool_run(pool, nothing, NULL);
        bv_pool_watch_set(pool, NULL, NULL);
        bv_pool_run(pool, nothing, NULL);
        assert_true(s.ordered);
        for (int part = 0; part < 3; part++)
            assert_int_equal(s.parts[part], part < threads ? 5 : 0);
        bv_pool_destroy(&pool);
    }
}

static void count_cores(void *context, int part, int parts) {
    cpu_set_t set;
    (void)parts;
    ((int *)context)[part] = sched_getaffinity(0, sizeof set, &set) ? -1 : CPU_COUNT(&set);
}

/* Where they begin is not where they have to stay. */
static void test_workers_are_not_pinned(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++) {
        bv_pool *pool;
        int cores[3] = {0};
        assert_ok(bv_pool_create(3, &pool));
        bv_pool_run(pool, count_cores, cores);
        for (int part = 0; part < 3; part++) assert_int_equal(cores[part], bv_usable_cores());
        bv_pool_destroy(&pool);
    }
}

static void test_without_memory(void **state) {
    (void)state;
    int strikes = 0;
    for (int n = 0;; n++, strikes++) {
        bv_pool *pool = NULL;
        faults_allocation(n);
        bv_error *error = bv_pool_create(3, &pool);
        const bool struck = faults_off();
        assert_int_equal(struck, error != NULL);
        assert_int_equal(struck, pool == NULL);
        assert_int_equal(bv_error_code(error), struck ? BV_CODE_MEMORY : BV_CODE_OK);
        bv_error_free(&error);
        bv_pool_destroy(&pool);
        if (!struck) break;
    }
    assert_int_equal(strikes, 3);
}

/* Prints, never judges: other programs may be running. */
static void test_speed(void **state) {
    (void)state;
    bv_pool *pool;
    assert_ok(bv_pool_create(2, &pool));
    visit v = {.pool = pool};
    const uint64_t begin = bv_clock_ns();
    for (int run = 0; run < 20000; run++) bv_pool_run(pool, visit_once, &v);
    print_message("fork and join of 2 threads: %.2f us\n", (double)(bv_clock_ns() - begin) / 2e7);
    assert_int_equal(v.seen[1], 20000);
    bv_pool_destroy(&pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_part_once_a_run),
        cmocka_unit_test(test_take_hands_out_each_index_once),
        cmocka_unit_test(test_take_some_hands_out_each_index_once),
        cmocka_unit_test(test_no_pool_is_one_thread),
        cmocka_unit_test(test_zero_means_the_cores),
        cmocka_unit_test(test_workers_that_slept_wake_up),
        cmocka_unit_test(test_ranges_cover_everything_once),
        cmocka_unit_test(test_run_over_ranges),
        cmocka_unit_test(test_watched),
        cmocka_unit_test(test_workers_are_not_pinned),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

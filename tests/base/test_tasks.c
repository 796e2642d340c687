/* Tasks on a pool's threads: each is done once; after an error no further one begins. */
#include "support/check.h"

#include "base/tasks.h"
#include <stdatomic.h>

#define COUNT 1000

typedef struct work {
    _Atomic int done[COUNT];
    _Atomic int all;
    size_t fails; /* the index that does */
} work;

static bv_status count_up(void *context, size_t index) {
    work *w = context;
    w->done[index]++;
    w->all++;
    return index == w->fails ? bv_fail(BV_CODE_INPUT, "task %zu", index) : BV_OK;
}

static void test_each_once(void **state) {
    (void)state;
    for (int threads = 0; threads <= 4; threads++) {
        work w = {.fails = COUNT};
        bv_pool *pool = NULL;
        if (threads) assert_ok(bv_pool_create(threads, &pool));
        assert_ok(bv_tasks_run(pool, COUNT, count_up, &w));
        for (size_t i = 0; i < COUNT; i++) assert_int_equal(w.done[i], 1);
        assert_ok(bv_tasks_run(pool, 0, count_up, &w));
        bv_pool_destroy(&pool);
    }
}

static void test_errors(void **state) {
    (void)state;
    work w = {.fails = 10};
    assert_fails(bv_tasks_run(NULL, COUNT, count_up, &w), BV_CODE_INPUT, "task 10");
    assert_int_equal(w.all, 11);
    bv_pool *pool;
    assert_ok(bv_pool_create(3, &pool));
    w = (work){.fails = 10};
    assert_fails(bv_tasks_run(pool, COUNT, count_up, &w), BV_CODE_INPUT, "task 10");
    for (size_t i = 0; i < COUNT; i++) assert_true(w.done[i] <= 1);
    bv_pool_destroy(&pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_once),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

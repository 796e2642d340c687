/* The loops that measure this machine's limits do what they say they count. */
#include "kernel/kernel.h"
#include "support/check.h"

static void check_loop(double (*loop)(size_t rounds, float *sink)) {
    float once = 0, twice = 0;
    const double few = loop(100, &once), many = loop(200, &twice);
    assert_true(few > 0);
    assert_true(many == 2 * few);
    assert_true(once == once && twice == twice && once - once == 0 && twice - twice == 0);
}

static void test_loops(void **state) {
    (void)state;
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (!bv_kernels_usable(all[i])) continue;
        check_loop(all[i]->limits->multiply_add);
        check_loop(all[i]->limits->dot_bf16);
        check_loop(all[i]->limits->dot_int8);
    }
}

static void test_rates(void **state) {
    (void)state;
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    bv_pool *pool;
    assert_ok(bv_pool_create(2, &pool));
    assert_true(bv_limits_peak_gflops(all[0], pool, BV_F32, 0.001) > 0);
    assert_true(bv_limits_peak_gflops(all[0], pool, BV_BF16, 0.001) > 0);
    assert_true(bv_limits_peak_gflops(all[0], pool, BV_INT8, 0.001) > 0);
    const size_t bytes = (size_t)64 << 20;
    void *buffer = bv_limits_buffer(bytes);
    assert_non_null(buffer);
    assert_true(bv_limits_read_gbps(pool, buffer, bytes, 0.001) > 0);
    bv_free_aligned(buffer);
    assert_true(bv_limits_run_ns(pool) > 0);
    bv_pool_destroy(&pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_loops), cmocka_unit_test(test_rates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

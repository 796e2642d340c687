#include "support/check.h"
#include "support/faults.h"

#include "base/slab.h"

static void test_what_is_taken_is_aligned_zero_and_apart(void **state) {
    (void)state;
    bv_slab slab = {0};
    const size_t sizes[] = {0,         1,       100, 64, 70000, 3u << 20, 5, (2u << 20) - 64,
                            40u << 20, 1u << 20};
    const size_t count = sizeof sizes / sizeof *sizes;
    unsigned char *taken[sizeof sizes / sizeof *sizes];
    size_t all = 0;
    for (size_t i = 0; i < count; i++) {
        taken[i] = bv_slab_take(&slab, sizes[i]);
        assert_non_null(taken[i]);
        assert_int_equal((uintptr_t)taken[i] % 64, 0);
        for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(taken[i][k], 0);
        memset(taken[i], (int)i + 1, sizes[i]);
        all += sizes[i];
        assert_int_equal(slab.taken, all);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(taken[i][k], i + 1);
    assert_null(bv_slab_take(&slab, SIZE_MAX - 8));
    bv_slab_free(&slab);
    assert_null(slab.last);
    assert_int_equal(slab.taken, 0);
    bv_slab_free(&slab);
}

/* Layers of a model: what ends within a huge page is continued there by what comes next. */
static void test_neighbours_share_pages(void **state) {
    (void)state;
    bv_slab slab = {0};
    const size_t size = (2u << 20) + (1u << 18);
    size_t next_to = 0;
    const char *last = NULL;
    for (int i = 0; i < 100; i++) {
        const char *taken = bv_slab_take(&slab, size);
        assert_non_null(taken);
        next_to += last && taken >= last + size && taken <= last + size + 64;
        last = taken;
    }
    assert_in_range(next_to, 85, 99);
    bv_slab_free(&slab);
}

static void test_every_failed_allocation_is_seen(void **state) {
    (void)state;
    int failures = 0;
    for (int n = 0;; n++) {
        bv_slab slab = {0};
        faults_allocation(n);
        char *small = bv_slab_take(&slab, 100), *large = bv_slab_take(&slab, 100000);
        const bool struck = faults_off();
        assert_int_equal(struck, !small || !large);
        if (small) memset(small, 1, 100); /* what failed takes nothing along */
        assert_non_null(bv_slab_take(&slab, 10));
        bv_slab_free(&slab);
        if (!struck) break;
        failures++;
    }
    assert_int_equal(failures, 4); /* two blocks, and who knows of each */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_taken_is_aligned_zero_and_apart),
        cmocka_unit_test(test_neighbours_share_pages),
        cmocka_unit_test(test_every_failed_allocation_is_seen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/order.h"
#include "support/check.h"

static void test_sort(void **state) {
    (void)state;
    double numbers[] = {3, -1, 0, 3, -7.5, 1e300};
    const double sorted[] = {-7.5, -1, 0, 3, 3, 1e300};
    bv_sort(numbers, 6);
    for (size_t i = 0; i < 6; i++) assert_true(numbers[i] == sorted[i]);
    bv_sort(numbers, 0);
}

static void test_median(void **state) {
    (void)state;
    double one[] = {4}, odd[] = {9, 1, 5}, even[] = {4, 1, 3, 2};
    assert_true(bv_median(one, 1) == 4);
    assert_true(bv_median(odd, 3) == 5);
    assert_true(bv_median(even, 4) == 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sort), cmocka_unit_test(test_median)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

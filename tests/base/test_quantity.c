/* Quantities as people write them. */
#include "support/check.h"

#include "base/quantity.h"

static void test_durations(void **state) {
    (void)state;
    uint64_t ns;
    assert_true(bv_parse_duration("2s", &ns) && ns == 2000000000);
    assert_true(bv_parse_duration("250ms", &ns) && ns == 250000000);
    assert_true(bv_parse_duration("1.5m", &ns) && ns == 90000000000);
    assert_true(bv_parse_duration("0s", &ns) && ns == 0);
    static const char *const bad[] = {"",    "2",   "s",  "2 s",  " 2s",  "-2s",
                                      "2.s", ".5s", "2S", "1e3s", "0x1s", "9999999999999999h"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bv_parse_duration(bad[i], &ns));
}

static void test_bytes(void **state) {
    (void)state;
    uint64_t bytes;
    assert_true(bv_parse_bytes("12", &bytes) && bytes == 12);
    assert_true(bv_parse_bytes("64K", &bytes) && bytes == 64000);
    assert_true(bv_parse_bytes("1.5G", &bytes) && bytes == 1500000000);
    static const char *const bad[] = {"", "K", "1k", "1MB", "-1", "1..2", "99999999999999T"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bv_parse_bytes(bad[i], &bytes));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_durations),
                                       cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

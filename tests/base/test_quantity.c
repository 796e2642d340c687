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
    assert_true(bv_parse_duration("2", &ns) && ns == 2000000000);
    assert_true(bv_parse_duration("0.5", &ns) && ns == 500000000);
    assert_true(bv_parse_duration("7us", &ns) && ns == 7000);
    assert_true(bv_parse_duration("2.6ns", &ns) && ns == 3);
    assert_true(bv_parse_duration("1h", &ns) && ns == 3600000000000);
    static const char *const bad[] = {"",    "s",  "2 s",  " 2s",  "-2s",  "2.s",
                                      ".5s", "2S", "1e3s", "0x1s", "2sec", "9999999999999999h"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bv_parse_duration(bad[i], &ns));
}

static void test_bytes(void **state) {
    (void)state;
    uint64_t bytes;
    assert_true(bv_parse_bytes("12", &bytes) && bytes == 12);
    assert_true(bv_parse_bytes("64K", &bytes) && bytes == 64000);
    assert_true(bv_parse_bytes("1.5G", &bytes) && bytes == 1500000000);
    assert_true(bv_parse_bytes("0.1K", &bytes) && bytes == 100);
    static const struct {
        const char *unit;
        uint64_t size;
    } units[] = {{"B", 1},
                 {"k", 1000},
                 {"K", 1000},
                 {"kB", 1000},
                 {"M", 1000000},
                 {"MB", 1000000},
                 {"G", 1000000000},
                 {"GB", 1000000000},
                 {"KiB", 1u << 10},
                 {"MiB", 1u << 20},
                 {"GiB", 1u << 30},
                 {"TiB", UINT64_C(1) << 40},
                 {"T", UINT64_C(1000000000000)},
                 {"TB", UINT64_C(1000000000000)}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        char text[16];
        snprintf(text, sizeof text, "3%s", units[i].unit);
        assert_true(bv_parse_bytes(text, &bytes));
        assert_int_equal(bytes, 3 * units[i].size);
    }
    static const char *const bad[] = {"",   "K",    "1 K",  "1m",    "1KIB",
                                      "-1", "1..2", "1Kib", "1KiBs", "99999999999999T"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bv_parse_bytes(bad[i], &bytes));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_durations),
                                       cmocka_unit_test(test_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Numbers as people read them, above all where rounding crosses into the next unit. */
#include "report/units.h"

#include "support/check.h"
#include <math.h>

static void test_count(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},           {7, "7"},         {0.25, "0.2"},    {999, "999"},
                 {999.7, "1.0k"},    {1000, "1.0k"},   {1234, "1.2k"},   {9949, "9.9k"},
                 {9950, "10k"},      {34000, "34k"},   {999499, "999k"}, {999500, "1.0M"},
                 {124e6, "124M"},    {1.5e9, "1.5B"},  {2.1e12, "2.1T"}, {5e15, "5000T"},
                 {1e30, "1.0e+18T"}, {-34000, "-34k"}, {NAN, "nan"},     {INFINITY, "inf"},
                 {-INFINITY, "-inf"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(bv_human_count(cases[i].value).text, cases[i].text);
}

static void test_bytes(void **state) {
    (void)state;
    assert_string_equal(bv_human_bytes(0).text, "0 B");
    assert_string_equal(bv_human_bytes(999).text, "999 B");
    assert_string_equal(bv_human_bytes(1200).text, "1.2 kB");
    assert_string_equal(bv_human_bytes(25e9).text, "25 GB");
    assert_string_equal(bv_human_bytes(1.1e12).text, "1.1 TB");
    assert_string_equal(bv_human_bytes(2e15).text, "2.0 PB");
    assert_string_equal(bv_human_bytes(NAN).text, "nan");
}

static void test_time(void **state) {
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{-3, "0.00s"},      {0.35, "0.35s"},
                 {0.996, "1.0s"},    {9.4, "9.4s"},
                 {9.96, "10s"},      {42, "42s"},
                 {59.4, "59s"},      {59.6, "1m 00s"},
                 {65, "1m 05s"},     {3599.4, "59m 59s"},
                 {3599.6, "1h 00m"}, {3720, "1h 02m"},
                 {86399, "1d 00h"},  {3.17 * 86400, "3d 04h"},
                 {NAN, "nan"},       {INFINITY, "inf"},
                 {4e8, "13y"},       {3.2e10, "1.0ky"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(bv_human_time(cases[i].seconds).text, cases[i].text);
}

static void test_number(void **state) {
    (void)state;
    assert_string_equal(bv_human_number(0, "step").text, "0 steps");
    assert_string_equal(bv_human_number(1, "step").text, "1 step");
    assert_string_equal(bv_human_number(SIZE_MAX, "thread").text, "18446744073709551615 threads");
}

static void test_share(void **state) {
    (void)state;
    assert_string_equal(bv_human_share(0.004).text, "0.4%");
    assert_string_equal(bv_human_share(0.57).text, "57%");
    assert_string_equal(bv_human_share(0.0996).text, "10%");
    assert_string_equal(bv_human_share(1.2).text, "120%");
    assert_string_equal(bv_human_share(NAN).text, "nan");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_count), cmocka_unit_test(test_bytes),
                                       cmocka_unit_test(test_time), cmocka_unit_test(test_number),
                                       cmocka_unit_test(test_share)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "support/check.h"

#include "base/text.h"
#include <math.h>

static void test_whole_numbers(void **state) {
    (void)state;
    int64_t v = 0;
    assert_ok(bv_parse_int("--n", "-12", -20, 20, &v));
    assert_int_equal(v, -12);
    assert_ok(bv_parse_int("--n", "9223372036854775807", INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MAX);
    assert_fails(bv_parse_int("--steps", "12x", 0, 20, &v), BV_CODE_USAGE,
                 "--steps: \"12x\" is not a whole number");
    assert_fails(bv_parse_int("--n", "", 0, 20, &v), BV_CODE_USAGE, "not a whole number");
    assert_fails(bv_parse_int("--n", " 1", 0, 20, &v), BV_CODE_USAGE, "not a whole number");
    assert_fails(bv_parse_int("--n", "1.5", 0, 20, &v), BV_CODE_USAGE, "not a whole number");
    assert_fails(bv_parse_int("--n", "21", 0, 20, &v), BV_CODE_USAGE, "not between 0 and 20");
    assert_fails(bv_parse_int("--n", "-1", 0, 20, &v), BV_CODE_USAGE, "not between 0 and 20");
    assert_fails(bv_parse_int("--n", "99999999999999999999", INT64_MIN, INT64_MAX, &v),
                 BV_CODE_USAGE, "not between");
}

static void test_numbers(void **state) {
    (void)state;
    double v = 0;
    assert_ok(bv_parse_double("--lr", "6e-4", 0, 1, &v));
    assert_true(v == 6e-4);
    assert_ok(bv_parse_double("--lr", "0x1p-3", 0, 1, &v));
    assert_true(v == 0.125);
    assert_fails(bv_parse_double("--lr", "0,5", 0, 1, &v), BV_CODE_USAGE, "is not a number");
    assert_fails(bv_parse_double("--lr", "nan", 0, 1, &v), BV_CODE_USAGE, "is not a number");
    assert_fails(bv_parse_double("--lr", "", 0, 1, &v), BV_CODE_USAGE, "is not a number");
    assert_fails(bv_parse_double("--lr", "inf", 0, 1, &v), BV_CODE_USAGE, "between 0 and 1");
    bool b = false;
    assert_ok(bv_parse_bool("--x", "true", &b));
    assert_true(b);
    assert_ok(bv_parse_bool("--x", "0", &b));
    assert_false(b);
    assert_fails(bv_parse_bool("--x", "yes", &b), BV_CODE_USAGE, "neither true nor false");
}

typedef struct sample {
    const char *text;
    size_t size, valid;
} sample;

static void test_utf8(void **state) {
    (void)state;
    static const sample samples[] = {
        {"", 0, 0},
        {"abc", 3, 3},
        {"a\0b", 3, 3},
        {"\xc3\xa9", 2, 2},
        {"\xe2\x82\xac", 3, 3},
        {"\xf0\x9f\xa6\xab", 4, 4},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"a\xc3", 2, 1},            /* cut            */
        {"a\xf0\x9f\xa6", 4, 1},    /* cut            */
        {"\x80", 1, 0},             /* a continuation */
        {"ab\xc0\x80", 4, 2},       /* overlong       */
        {"\xc1\xbf", 2, 0},         /* overlong       */
        {"\xe0\x9f\xbf", 3, 0},     /* overlong       */
        {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong       */
        {"\xed\x9f\xbf", 3, 3},     /* U+D7FF         */
        {"\xed\xa0\x80", 3, 0},     /* a surrogate    */
        {"\xf4\x90\x80\x80", 4, 0}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 4, 0}, /* above U+10FFFF */
        {"\xff", 1, 0},             /* never legal    */
        {"\xe2\x28\xa1", 3, 0},     /* a bad second   */
        {"x\xe2\x82\x28", 4, 1},    /* a bad third    */
        {"\xf0\x9f\xa6\xab\xff", 5, 4},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_int_equal(bv_utf8_valid_prefix(samples[i].text, samples[i].size), samples[i].valid);
}

/* Slow and obvious: encode every code point, and compare. */
static void test_utf8_every_code_point(void **state) {
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        unsigned char b[4];
        const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = n; i-- > 1;) b[i] = (unsigned char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
        b[0] = (unsigned char)(lead[n] | c >> 6 * (n - 1));
        const size_t wanted = c >= 0xd800 && c < 0xe000 ? 0 : n;
        if (bv_utf8_valid_prefix(b, n) != wanted) fail_msg("U+%04X", c);
    }
}

static void test_suggestions(void **state) {
    (void)state;
    static const char *const names[] = {"train", "tokenizer", "generate", "eval", "bench"};
    assert_string_equal(bv_suggest("trian", names, 5), "train");
    assert_string_equal(bv_suggest("generat", names, 5), "generate");
    assert_string_equal(bv_suggest("tokeniser", names, 5), "tokenizer");
    assert_string_equal(bv_suggest("evals", names, 5), "eval");
    assert_null(bv_suggest("xyzzy", names, 5));
    assert_string_equal(bv_suggest("tok", names, 5), "tokenizer"); /* the only one */
    assert_string_equal(bv_suggest("g", names, 5), "generate");
    assert_null(bv_suggest("t", names, 5)); /* train, or tokenizer */
    assert_null(bv_suggest("x", (const char *const[]){"n"}, 1));
    assert_null(bv_suggest("train", names, 0));
    char longer[200];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    const char *const itself = longer;
    assert_null(bv_suggest("train", &itself, 1));
}

static void test_shortest_digits(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } samples[] = {{0.1, "0.1"},     {3e-4, "0.0003"},
                   {1e-5, "1e-05"},  {0, "0"},
                   {-2.5, "-2.5"},   {0.1 + 0.2, "0.30000000000000004"},
                   {10000, "10000"}, {-1.5e14, "-150000000000000"},
                   {1e15, "1e+15"}};
    char text[32];
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        bv_print_double(text, sizeof text, samples[i].value);
        assert_string_equal(text, samples[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_utf8),          cmocka_unit_test(test_utf8_every_code_point),
        cmocka_unit_test(test_suggestions),   cmocka_unit_test(test_shortest_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The checkers that come with the arena. */
#include "support/check.h"

#include "arena/answer_check.h"

static bv_answer_difference difference;

static bool matches(bv_answer_check_kind kind, const char *output, const char *answer) {
    const bv_answer_check check = {kind, 1e-6};
    return bv_answer_matches(&check, output, strlen(output), answer, strlen(answer), &difference);
}

static void test_exact(void **state) {
    (void)state;
    assert_true(matches(BV_CHECK_EXACT, "a b\n", "a b\n"));
    assert_true(matches(BV_CHECK_EXACT, "", ""));
    assert_false(matches(BV_CHECK_EXACT, "a b", "a b\n"));
    assert_non_null(strstr(difference.text, "byte 4: got nothing"));
    assert_false(matches(BV_CHECK_EXACT, "a  b\n", "a b\n"));
    const bv_answer_check check = {BV_CHECK_EXACT, 0};
    assert_false(bv_answer_matches(&check, "a\0b", 3, "a\0c", 3, NULL));
}

static void test_lines(void **state) {
    (void)state;
    assert_true(matches(BV_CHECK_LINES, "a b  \r\nc\n\n\n", "a b\nc"));
    assert_true(matches(BV_CHECK_LINES, "a", "a\n \n"));
    assert_true(matches(BV_CHECK_LINES, "", "\n"));
    assert_false(matches(BV_CHECK_LINES, "a\n\nb", "a\nb"));
    assert_false(matches(BV_CHECK_LINES, " a", "a"));
    assert_false(matches(BV_CHECK_LINES, "a\nb\nc", "a\nb"));
    assert_string_equal(difference.text, "line 3: got \"c\", expected nothing");
    assert_false(matches(BV_CHECK_LINES, "a", "a\nb"));
    assert_string_equal(difference.text, "line 2: got nothing, expected \"b\"");
}

static void test_tokens(void **state) {
    (void)state;
    assert_true(matches(BV_CHECK_TOKENS, " 1\n2\t3 ", "1 2 3"));
    assert_true(matches(BV_CHECK_TOKENS, "1\f2\v3\r\n", "1 2 3"));
    assert_true(matches(BV_CHECK_TOKENS, " \n", ""));
    assert_false(matches(BV_CHECK_TOKENS, "1 2", "12"));
    assert_false(matches(BV_CHECK_TOKENS, "1", "1 2"));
    assert_string_equal(difference.text, "word 2: got nothing, expected \"2\"");
    assert_false(matches(BV_CHECK_TOKENS, "1 2 3", "1 2"));
    assert_string_equal(difference.text, "word 3: got \"3\", expected nothing");
    assert_false(matches(BV_CHECK_TOKENS, "1.0", "1"));
}

#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"

static void test_numbers(void **state) {
    (void)state;
    assert_true(matches(BV_CHECK_NUMBERS, "1.0000001 x", "1 x"));
    assert_true(matches(BV_CHECK_NUMBERS, "1000000.5", "1000000"));
    assert_true(matches(BV_CHECK_NUMBERS, "1e3", "1000"));
    assert_true(matches(BV_CHECK_NUMBERS, "1E3 -2.5E-1", "1000 -0.25"));
    /* A millionth, or a millionth of the answer, not of what was written. */
    assert_true(matches(BV_CHECK_NUMBERS, "0.0000005", "0"));
    assert_false(matches(BV_CHECK_NUMBERS, "0.000002", "0"));
    const bv_answer_check half = {BV_CHECK_NUMBERS, 0.5};
    assert_true(bv_answer_matches(&half, "6", 1, "4", 1, &difference));
    assert_true(bv_answer_matches(&half, "4.5", 3, "3", 1, &difference));
    assert_false(bv_answer_matches(&half, "4.6", 3, "3", 1, &difference));
    assert_false(matches(BV_CHECK_NUMBERS, "1.1", "1"));
    assert_false(matches(BV_CHECK_NUMBERS, "nan", "1"));
    assert_false(matches(BV_CHECK_NUMBERS, "inf", "1e300"));
    assert_false(matches(BV_CHECK_NUMBERS, "1e999", "1"));
    assert_false(matches(BV_CHECK_NUMBERS, "0x1", "1"));
    assert_false(matches(BV_CHECK_NUMBERS, "y", "x"));
    assert_false(matches(BV_CHECK_NUMBERS, "0x1", "0x2"));
    assert_false(matches(BV_CHECK_NUMBERS, "1." ZEROS, "1")); /* 64 characters */
    assert_false(matches(BV_CHECK_NUMBERS, "1-2", "1"));
    assert_false(matches(BV_CHECK_NUMBERS, "1", "1e"));
}

/* What is shown is printable and bounded, whatever the program wrote. */
static void test_difference_is_bounded(void **state) {
    (void)state;
    char wild[1000];
    memset(wild, 0x9b, sizeof wild - 1);
    wild[sizeof wild - 1] = 0;
    for (int kind = 0; kind < BV_CHECK_COUNT; kind++) {
        assert_false(matches((bv_answer_check_kind)kind, wild, "x"));
        for (const char *c = difference.text; *c; c++) assert_true(*c >= ' ' && *c <= '~');
        assert_in_range(strlen(difference.text), 20, 200);
    }
    assert_false(matches(BV_CHECK_TOKENS, ZEROS, "x"));
    assert_string_equal(
        difference.text,
        "word 1: got \"00000000000000000000000000000000000000000000000000000000000\""
        "..., expected \"x\"");
    assert_false(matches(BV_CHECK_EXACT, "x" ZEROS, ZEROS));
    assert_string_equal(difference.text,
                        "byte 1: got \"x0000000000000000000\", expected \"00000000000000000000\"");
}

/* An end of a line, a tab and letters that are not ASCII are told apart. */
static void test_difference_is_readable(void **state) {
    (void)state;
    assert_false(matches(BV_CHECK_EXACT, "5\n", "5\r\n"));
    assert_string_equal(difference.text, "byte 2: got \"\\n\", expected \"\\r\\n\"");
    assert_false(matches(BV_CHECK_TOKENS, "gr\xc3\xbcn", "gr\xc3\xa4n"));
    assert_string_equal(difference.text, "word 1: got \"gr\xc3\xbcn\", expected \"gr\xc3\xa4n\"");
    assert_false(matches(BV_CHECK_EXACT, "\033[2J\xc2\x9b\x7f", "a\tb"));
    assert_string_equal(difference.text, "byte 1: got \"?[2J??\", expected \"a\\tb\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_difference_is_bounded),
        cmocka_unit_test(test_difference_is_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

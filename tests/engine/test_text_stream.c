/* What a stream shows at once, what it holds back, and where a stop text ends it. */
#include "support/check.h"

#include "engine/text_stream.h"

static bv_tokenizer *bytes;

static int begin(void **state) {
    (void)state;
    bv_error *error = bv_tokenizer_byte(&bytes);
    return error != NULL;
}

static int end(void **state) {
    (void)state;
    bv_tokenizer_destroy(&bytes);
    return 0;
}

/* Adds text byte by byte; what was shown after each byte, parts divided by "|". */
static void check(const char *const *stops, size_t stop_count, const char *text,
                  const char *expected, bool stopped) {
    bv_text_stream s = {.tokenizer = bytes, .stops = stops, .stop_count = stop_count};
    bv_buffer shown = {0};
    size_t size;
    for (const char *c = text; *c && !s.stopped; c++) {
        assert_ok(bv_text_stream_add(&s, (unsigned char)*c));
        const char *part = bv_text_stream_take(&s, false, &size);
        bv_buffer_append(&shown, part, size);
        bv_buffer_text(&shown, "|");
    }
    const char *rest = bv_text_stream_take(&s, true, &size);
    bv_buffer_append(&shown, rest, size);
    assert_ok(bv_buffer_error(&shown));
    assert_string_equal(shown.data, expected);
    assert_true(s.stopped == stopped);
    bv_buffer_free(&shown);
    bv_buffer_free(&s.text);
}

static void test_whole_characters(void **state) {
    (void)state;
    check(NULL, 0, "ab", "a|b|", false);
    check(NULL, 0, "\xc3\xa9\xe2\x82\xac", "|\xc3\xa9|||\xe2\x82\xac|", false);
    check(NULL, 0, "a\xf0\x9f\xa6", "a||||\xf0\x9f\xa6", false); /* the end shows what is left */
    check(NULL, 0,
          "\xff"
          "a",
          "\xff|a|", false); /* begins no character: nothing to wait for */
}

static void test_stops(void **state) {
    (void)state;
    static const char *const one[] = {"###"}, *const two[] = {"bcd", "xbc"},
                             *const new_line[] = {"\n"};
    check(one, 1, "ab###c", "a|b||||", true);
    check(one, 1, "a##b", "a|||##b|", false); /* it was none after all */
    check(one, 1, "##", "||##", false);       /* the end of the text frees what was held */
    check(two, 2, "axbcd", "a||||", true);    /* the one that begins first */
    check(new_line, 1, "a\nb", "a||", true);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole_characters),
                                       cmocka_unit_test(test_stops)};
    return cmocka_run_group_tests(tests, begin, end);
}

/* What a stream shows at once, what it holds back, and where a stop text ends it. */
#include "support/check.h"

#include "base/random.h"
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
    check(NULL, 0, "\xe0\xa4\x85", "||\xe0\xa4\x85|", false);
    check(NULL, 0, "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "|||\xf0\x90\x80\x80||||\xf4\x8f\xbf\xbf|",
          false);
    check(NULL, 0, "\xe2z", "|\xe2z|", false); /* broken off: nothing to wait for */
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

/* ---- against the definition ---- */

/* Where the text ends: as soon as a stop text is whole, before the one that begins first. */
static size_t slow_end(const char *text, const char *const *stops, size_t count, bool *stopped) {
    char begun[64];
    for (size_t n = 1; text[n - 1]; n++) {
        size_t first = n;
        snprintf(begun, sizeof begun, "%.*s", (int)n, text);
        for (size_t i = 0; i < count; i++) {
            const char *at = strstr(begun, stops[i]);
            if (at && (size_t)(at - begun) < first) first = (size_t)(at - begun);
        }
        *stopped = first < n;
        if (*stopped) return first;
    }
    return strlen(text);
}

/* However often somebody looks, the same is shown in the end, and never more than that before. */
static void test_whenever_it_is_looked_at(void **state) {
    (void)state;
    static const char *const stops[] = {"abba", "bb", "abababab", "c"};
    for (uint32_t seed = 0; seed < 2000; seed++) {
        char text[41] = "", shown[64];
        bool stopped = false;
        for (uint32_t i = 0; i < 40; i++)
            text[i] = "abababac"[bv_random(2, BV_RANDOM_TEST, seed, 0, i, 0).v[0] % 8];
        const size_t first = seed % 4, count = 1 + seed / 4 % (4 - first);
        const size_t end = slow_end(text, stops + first, count, &stopped);
        for (size_t every = 1; every <= 41; every += 1 + every / 3) {
            bv_text_stream s = {.tokenizer = bytes, .stops = stops + first, .stop_count = count};
            size_t size, n = 0;
            for (size_t i = 0; i < 40 && !s.stopped; i++) {
                assert_ok(bv_text_stream_add(&s, (unsigned char)text[i]));
                if (i % every) continue;
                const char *part = bv_text_stream_take(&s, false, &size);
                memcpy(shown + n, part, size);
                n += size;
                assert_true(n <= end);
            }
            const char *rest = bv_text_stream_take(&s, true, &size);
            memcpy(shown + n, rest, size);
            assert_int_equal(n + size, end);
            assert_memory_equal(shown, text, end);
            assert_true(s.stopped == stopped);
            bv_buffer_free(&s.text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole_characters),
                                       cmocka_unit_test(test_stops),
                                       cmocka_unit_test(test_whenever_it_is_looked_at)};
    return cmocka_run_group_tests(tests, begin, end);
}

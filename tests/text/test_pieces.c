/* The scanners against PCRE2 running the patterns, on texts of mixed scripts and random bytes. */
#include "base/random.h"
#include "base/text.h"
#include "support/check.h"
#include "text/pieces.h"
#include "text/unicode_class.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define TEXT_MAX 400
#define TEXTS 30000

static const struct {
    const char *name, *pattern;
} patterns[] = {
    {"gpt2", "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
    {"cl100k", "(?i:'(?:[sdmt]|ll|ve|re))|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+|"
               " ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"},
    {"llama3", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
               " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
};

typedef struct matcher {
    pcre2_code *code;
    pcre2_match_data *match;
} matcher;

static matcher compile(const char *pattern) {
    int number;
    PCRE2_SIZE offset;
    matcher m = {.code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                       PCRE2_UTF | PCRE2_UCP, &number, &offset, NULL)};
    assert_non_null(m.code);
    pcre2_jit_compile(m.code, PCRE2_JIT_COMPLETE);
    m.match = pcre2_match_data_create(1, NULL);
    return m;
}

static void release(matcher *m) {
    pcre2_match_data_free(m->match);
    pcre2_code_free(m->code);
}

static size_t match_end(const matcher *m, const unsigned char *text, size_t size, size_t at) {
    const int n =
        pcre2_match(m->code, text, size, at, PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED, m->match, NULL);
    return n < 0 ? at : pcre2_get_ovector_pointer(m->match)[1];
}

/* Valid stretches are texts of their own; each other byte is a piece. */
static size_t slow_ends(const matcher *m, const unsigned char *text, size_t size, size_t *ends) {
    size_t count = 0, valid_end = 0;
    for (size_t at = 0; at < size; ends[count++] = at) {
        if (at >= valid_end) valid_end = at + bv_utf8_valid_prefix(text + at, size - at);
        const size_t end = valid_end > at ? match_end(m, text, valid_end, at) : at + 1;
        assert_true(end > at);
        at = end;
    }
    return count;
}

static size_t write_character(uint32_t code, unsigned char *p) {
    const size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char head[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6) p[i] = (unsigned char)(0x80 | (code & 0x3f));
    p[0] = (unsigned char)(head[length] | code);
    return length;
}

/* PCRE2's Unicode is older: what it does not know is left out, and U+180E, which is white space to
 * its \s, but not in Unicode. */
static bool known(const matcher *unassigned, uint32_t code) {
    unsigned char p[4];
    if ((code >= 0xd800 && code < 0xe000) || code == 0x180e) return false;
    return match_end(unassigned, p, write_character(code, p), 0) == 0;
}

static void test_classes(void **state) {
    (void)state;
    matcher m[] = {compile("\\p{Cn}"), compile("\\p{L}"), compile("\\p{N}"), compile("\\s")};
    uint32_t count[4] = {0};
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (!known(&m[0], code)) continue;
        unsigned char p[4];
        const size_t size = write_character(code, p);
        bv_char_class expected = BV_CHAR_OTHER;
        for (int c = 1; c < 4; c++)
            if (match_end(&m[c], p, size, 0)) expected = (bv_char_class)c;
        size_t length;
        const bv_char_class got = bv_class_at(p, size, &length);
        if (got != expected || length != size)
            fail_msg("U+%04X: class %d, not %d; length %zu", code, got, expected, length);
        count[got]++;
    }
    assert_true(count[1] > 100000 && count[2] > 1000 && count[3] == 25);
    for (int i = 0; i < 4; i++) release(&m[i]);
}

/* A random character or byte, at the end of `text`; how many bytes. */
static size_t add_random(const matcher *unassigned, uint32_t seed, uint32_t i, unsigned char *p) {
    static const char *const parts[] = {"'",        "'s", "'LL", "'Ve", "'re",          "n't",
                                        "\xc5\xbf", "  ", "\n",  "\r",  "\t",           " ",
                                        " a",       "Z",  "0",   "99",  "\xa0",         ".",
                                        "--",       "{[", "@",   "`",   "\xe3\x80\x80", "\xc2\x85"};
    const bv_random4 r = bv_random(3, BV_RANDOM_TEST, 1, seed, i, 0);
    const uint32_t kind = seed % 5 == 0 ? r.v[0] % 3 : 3 + r.v[0] % 9;
    if (kind == 0) return p[0] = (unsigned char)r.v[1], 1;
    if (kind == 1 || kind == 3) {
        const uint32_t code = r.v[1] % (r.v[2] % 3 ? 0x3100 : 0x110000);
        return known(unassigned, code) ? write_character(code, p) : 0;
    }
    if (kind < 8) {
        const char *part = parts[r.v[1] % (sizeof parts / sizeof *parts)];
        memcpy(p, part, strlen(part));
        return strlen(part);
    }
    const size_t n = r.v[1] % 12; /* a run of one kind */
    for (size_t k = 0; k < n; k++)
        p[k] = (unsigned char)(" aA1\n."[r.v[2] % 6] + (r.v[2] % 3 == 1 ? (int)k : 0));
    return n;
}

/* most: pieces at once; where many are wanted, blocks of bytes are looked at. */
static void compare(const matcher *m, bv_splitter *splitter, const unsigned char *text, size_t size,
                    size_t most) {
    size_t expected[TEXT_MAX + 1], got[TEXT_MAX + 64], count = 0, n;
    const size_t expected_count = slow_ends(m, text, size, expected);
    bv_splitter_text(splitter, text, size);
    while ((n = bv_splitter_ends(splitter, got + count, most))) count += n;
    const bool same = count == expected_count && !memcmp(got, expected, count * sizeof *got);
    if (same) return;
    for (size_t i = 0; i < size; i++) print_error("%02x ", text[i]);
    size_t i = 0;
    while (got[i] == expected[i]) i++;
    fail_msg("piece %zu ends at %zu, not %zu", i, got[i], expected[i]);
}

static bool is_ascii(const unsigned char *text, size_t size) {
    size_t at = 0;
    while (at < size && text[at] < 0x80) at++;
    return at == size;
}

static void test_scanners_equal_pcre2(void **state) {
    (void)state;
    matcher unassigned = compile("\\p{Cn}");
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        bv_splitter *splitter;
        matcher m = compile(patterns[p].pattern);
        assert_ok(bv_splitter_create(patterns[p].name, &splitter));
        for (uint32_t seed = 0; seed < TEXTS; seed++) {
            unsigned char text[TEXT_MAX];
            const size_t wanted = bv_random(3, BV_RANDOM_TEST, 0, seed, 0, 0).v[0] % 100;
            size_t size = 0;
            for (uint32_t i = 0; i < wanted && size + 16 < TEXT_MAX; i++) {
                const size_t n = add_random(&unassigned, seed, i, text + size);
                if (seed % 5 != 1 || is_ascii(text + size, n)) size += n;
            }
            /* In an allocation of its own size, so that sanitizers see a read behind its end. */
            unsigned char *exact = malloc(size ? size : 1);
            assert_non_null(exact);
            memcpy(exact, text, size);
            compare(&m, splitter, exact, size, 7);
            compare(&m, splitter, exact, size, 50);
            free(exact);
        }
        bv_splitter_destroy(&splitter);
        release(&m);
    }
    release(&unassigned);
}

/* The pieces before and behind a cut are those of the whole. */
static void test_cuts(void **state) {
    (void)state;
    matcher unassigned = compile("\\p{Cn}");
    uint32_t cuts = 0;
    for (uint32_t seed = 0; seed < 20000; seed++) {
        unsigned char text[TEXT_MAX];
        size_t size = 0, whole[TEXT_MAX + 1], parts[TEXT_MAX + 1], count = 0;
        for (uint32_t i = 0; i < 60 && size + 16 < TEXT_MAX; i++)
            size += add_random(&unassigned, seed, i, text + size);
        const size_t wanted = bv_random(3, BV_RANDOM_TEST, 0, seed, 1, 0).v[0] % (size + 1);
        const size_t cut = bv_pieces_cut(text, size, wanted);
        assert_true(cut >= wanted && cut <= size);
        cuts += cut < size;
        bv_splitter *splitter;
        assert_ok(bv_splitter_create(patterns[seed % 3].name, &splitter));
        bv_splitter_text(splitter, text, size);
        const size_t whole_count = bv_splitter_ends(splitter, whole, TEXT_MAX + 1);
        bv_splitter_text(splitter, text, cut);
        count = bv_splitter_ends(splitter, parts, TEXT_MAX + 1);
        bv_splitter_text(splitter, text + cut, size - cut);
        const size_t first = count;
        count += bv_splitter_ends(splitter, parts + count, TEXT_MAX + 1 - count);
        for (size_t i = first; i < count; i++) parts[i] += cut;
        assert_int_equal(count, whole_count);
        assert_memory_equal(parts, whole, count * sizeof *parts);
        bv_splitter_destroy(&splitter);
    }
    assert_true(cuts > 10000);
    release(&unassigned);
}

/* Texts without letters are cut too. */
static void test_cuts_are_near(void **state) {
    (void)state;
    assert_int_equal(bv_pieces_cut("1234 5678 9", 11, 2), 4);
    assert_int_equal(bv_pieces_cut("0.25,0.5", 8, 0), 1);
    assert_int_equal(bv_pieces_cut("---- ----", 9, 1), 4);
    assert_int_equal(bv_pieces_cut("--\n-- --", 8, 1), 5);
    assert_int_equal(bv_pieces_cut("aa--bb", 6, 1), 2);
    assert_int_equal(bv_pieces_cut("1\xff", 2, 0), 1);
    assert_int_equal(bv_pieces_cut("   \n  ", 6, 1), 6); /* one piece, or what follows says */
}

static void test_names(void **state) {
    (void)state;
    bv_splitter *splitter;
    assert_fails(bv_splitter_create("gpt3", &splitter), BV_CODE_USAGE, "gpt3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes), cmocka_unit_test(test_scanners_equal_pcre2),
        cmocka_unit_test(test_cuts),    cmocka_unit_test(test_cuts_are_near),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

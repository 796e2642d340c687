#include "text/pieces.h"

#include "base/memory.h"
#include "base/text.h"
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* The patterns are built in and trusted; a text never reaches the compiler. */
static const struct {
    const char *name, *pattern;
} patterns[] = {
    {"gpt2", "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
    {"cl100k", "(?i:'(?:[sdmt]|ll|ve|re))|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+|"
               " ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"},
};

struct bv_splitter {
    pcre2_code *code;
    pcre2_match_data *match;
    const unsigned char *text;
    size_t size, at;
    size_t valid_end; /* text[at .. valid_end) is UTF-8 */
    size_t piece_end; /* rest of a piece that is cut    */
};

bv_status bv_splitter_create(const char *pattern, bv_splitter **out) {
    *out = NULL;
    const char *text = NULL;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (!strcmp(patterns[i].name, pattern)) text = patterns[i].pattern;
    if (!text)
        return bv_try(bv_fail(BV_CODE_USAGE, "no pattern is named \"%s\"", pattern),
                      "gpt2 or cl100k");
    bv_splitter *s = bv_calloc(1, sizeof *s);
    if (!s) return bv_fail_memory("a tokenizer");
    int number;
    PCRE2_SIZE offset;
    s->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &number,
                            &offset, NULL);
    s->match = s->code ? pcre2_match_data_create(1, NULL) : NULL;
    if (!s->match) {
        bv_splitter_destroy(&s);
        return bv_fail_memory("a tokenizer");
    }
    pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE); /* without it, slower but the same */
    *out = s;
    return BV_OK;
}

void bv_splitter_destroy(bv_splitter **splitter) {
    if (!*splitter) return;
    pcre2_match_data_free((*splitter)->match);
    pcre2_code_free((*splitter)->code);
    bv_free(*splitter);
    *splitter = NULL;
}

void bv_splitter_text(bv_splitter *s, const void *text, size_t size) {
    s->text = text;
    s->size = size;
    s->at = s->valid_end = s->piece_end = 0;
}

/* End of the piece that begins at s->at. */
static size_t find_end(bv_splitter *s) {
    if (s->at >= s->valid_end) {
        s->valid_end = s->at + bv_utf8_valid_prefix(s->text + s->at, s->size - s->at);
        if (s->valid_end == s->at) return s->at + 1; /* a byte that is no UTF-8 */
    }
    const int n = pcre2_match(s->code, s->text, s->valid_end, s->at,
                              PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED, s->match, NULL);
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(s->match);
    if (n < 0 || ends[1] == s->at) { /* a match limit: one character, to stay lossless */
        size_t end = s->at + 1;
        while (end < s->valid_end && (s->text[end] & 0xc0) == 0x80) end++;
        return end;
    }
    return ends[1];
}

bool bv_splitter_next(bv_splitter *s, const unsigned char **piece, size_t *size) {
    if (s->at >= s->size) return false;
    if (s->at >= s->piece_end) s->piece_end = find_end(s);
    const size_t left = s->piece_end - s->at;
    *piece = s->text + s->at;
    *size = left < BV_PIECE_MAX ? left : BV_PIECE_MAX;
    s->at += *size;
    return true;
}

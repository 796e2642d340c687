#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bv_status bv_parse_int(const char *what, const char *text, int64_t min, int64_t max, int64_t *out) {
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)*text))
        return bv_fail(BV_CODE_USAGE, "%s: \"%s\" is not a whole number", what, text);
    if (errno || value < min || value > max)
        return bv_fail(BV_CODE_USAGE, "%s: %s is not between %lld and %lld", what, text,
                       (long long)min, (long long)max);
    *out = value;
    return BV_OK;
}

bv_status bv_parse_double(const char *what, const char *text, double min, double max, double *out) {
    char *end;
    errno = 0;
    const double value = strtod(text, &end);
    if (end == text || *end || isspace((unsigned char)*text) || isnan(value))
        return bv_fail(BV_CODE_USAGE, "%s: \"%s\" is not a number", what, text);
    if (value < min || value > max)
        return bv_fail(BV_CODE_USAGE, "%s: %s is not between %g and %g", what, text, min, max);
    *out = value;
    return BV_OK;
}

bv_status bv_parse_bool(const char *what, const char *text, bool *out) {
    const bool yes = !strcmp(text, "true") || !strcmp(text, "1");
    if (!yes && strcmp(text, "false") && strcmp(text, "0"))
        return bv_fail(BV_CODE_USAGE, "%s: \"%s\" is neither true nor false", what, text);
    *out = yes;
    return BV_OK;
}

void bv_print_double(char *text, size_t size, double value) {
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    /* 10000 rather than 1e+04: a whole number, exactly. */
    if (strchr(text, 'e') && fabs(value) >= 1 && fabs(value) < 1e15)
        snprintf(text, size, "%.0f", value);
}

/* Length of the valid UTF-8 sequence at p (RFC 3629), 0 if none. */
static size_t utf8_length(const unsigned char *p, size_t left) {
    const unsigned char c = p[0];
    if (c < 0x80) return 1;
    const size_t n = c < 0xc2 || c > 0xf4 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (c == 0xe0 && p[1] < 0xa0) return 0; /* overlong  */
    if (c == 0xed && p[1] > 0x9f) return 0; /* surrogate */
    if (c == 0xf0 && p[1] < 0x90) return 0; /* overlong  */
    if (c == 0xf4 && p[1] > 0x8f) return 0; /* too large */
    return n;
}

size_t bv_utf8_valid_prefix(const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    size_t at = 0;
    while (at < size) {
        uint64_t word;
        for (; size - at >= sizeof word; at += sizeof word) { /* ASCII, eight at a time */
            memcpy(&word, p + at, sizeof word);
            if (word & 0x8080808080808080u) break;
        }
        if (at == size) break;
        const size_t n = utf8_length(p + at, size - at);
        if (n == 0) break;
        at += n;
    }
    return at;
}

size_t bv_utf8_characters(const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    size_t characters = 0;
    for (size_t at = 0, n; at < size; at += n) {
        uint8_t some = 0; /* few enough for a byte, so that the loop is one of vectors */
        n = size - at < 240 ? size - at : 240;
        for (size_t i = 0; i < n; i++) some += (p[at + i] & 0xc0) != 0x80;
        characters += some;
    }
    return characters;
}

void bv_text_utf8(bv_buffer *out, const void *bytes, size_t size, const char *mark) {
    const char *p = bytes;
    for (size_t at = 0; at < size; at++) {
        const size_t good = bv_utf8_valid_prefix(p + at, size - at);
        bv_buffer_append(out, p + at, good);
        at += good;
        if (at < size) bv_buffer_text(out, mark);
    }
}

size_t bv_text_visible_character(const char *text, size_t size, char out[5]) {
    const unsigned char *p = (const unsigned char *)text;
    const size_t n = utf8_length(p, size);
    const bool control = *p < 0x20 || *p == 0x7f || (*p == 0xc2 && n && p[1] < 0xa0);
    snprintf(out, 5, "%.*s", n && !control ? (int)n : 1, n && !control ? text : "?");
    return n ? n : 1;
}

void bv_text_visible(bv_buffer *out, const char *text) {
    char shown[5];
    for (size_t left = strlen(text), taken; left; text += taken, left -= taken) {
        taken = bv_text_visible_character(text, left, shown);
        bv_buffer_text(out, shown);
    }
}

/* Levenshtein distance, by one row; words longer than the row are cut. */
static size_t distance(const char *a, const char *b) {
    size_t row[65];
    const size_t n = strnlen(b, 64);
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t least = row[j] + 1;
            if (row[j - 1] + 1 < least) least = row[j - 1] + 1;
            row[j] = change < least ? change : least;
        }
    }
    return row[n];
}

bool bv_ends_with(const char *name, const char *end) {
    const size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

/* The only name that begins with the word, or NULL. */
static const char *abbreviated(const char *word, const char *const *names, size_t count) {
    const char *only = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(names[i], word, strlen(word)) != 0) continue;
        if (only) return NULL;
        only = names[i];
    }
    return only;
}

const char *bv_suggest(const char *word, const char *const *names, size_t count) {
    const char *best = abbreviated(word, names, count);
    const size_t length = strlen(word);
    size_t best_distance = length / 3 + 2; /* farther than this is another word */
    if (best || length < 2) return best;
    for (size_t i = 0; i < count; i++) {
        const size_t d = distance(word, names[i]);
        if (d < best_distance) {
            best_distance = d;
            best = names[i];
        }
    }
    return best;
}

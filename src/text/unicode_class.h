/*
 * Characters of UTF-8 text and their classes as the patterns of tokenizers know them: \p{L}, \p{N},
 * \s and the rest. The tables are Unicode 16, made by scripts/unicode-classes. Any thread.
 */
#ifndef BV_TEXT_UNICODE_CLASS_H
#define BV_TEXT_UNICODE_CLASS_H

#include <stddef.h>
#include <stdint.h>

typedef enum bv_char_class {
    BV_CHAR_OTHER,
    BV_CHAR_LETTER,
    BV_CHAR_NUMBER,
    BV_CHAR_SPACE,
    BV_CHAR_NONE, /* the end, or bytes that are no UTF-8 */
} bv_char_class;

extern const size_t bv_unicode_index_size;
extern const uint8_t bv_unicode_index[];
extern const uint64_t bv_unicode_blocks[][8]; /* two bits a character */

static inline bv_char_class bv_class_of(uint32_t code) {
    if (code >> 8 >= bv_unicode_index_size) return BV_CHAR_OTHER;
    const uint64_t word = bv_unicode_blocks[bv_unicode_index[code >> 8]][code >> 5 & 7];
    return (bv_char_class)(word >> 2 * (code & 31) & 3);
}

/* The class of the character at p, of which `left` bytes exist, and its length (RFC 3629: nothing
 * overlong, no surrogates); BV_CHAR_NONE with length 0 where there is none. */
static inline bv_char_class bv_class_at(const unsigned char *p, size_t left, size_t *length) {
    *length = 0;
    if (left == 0) return BV_CHAR_NONE;
    const uint32_t c = p[0];
    if (c < 0x80) {
        *length = 1;
        return bv_class_of(c);
    }
    const size_t n = c < 0xc2 || c > 0xf4 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (n == 0 || n > left) return BV_CHAR_NONE;
    uint32_t code = c & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return BV_CHAR_NONE;
        code = code << 6 | (p[i] & 0x3fu);
    }
    const uint32_t least = n == 2 ? 0x80 : n == 3 ? 0x800 : 0x10000;
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return BV_CHAR_NONE;
    *length = n;
    return bv_class_of(code);
}

#endif

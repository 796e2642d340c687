/* Eight bytes of text as one number, the first byte lowest. Any thread. */
#ifndef BV_TEXT_WORD_H
#define BV_TEXT_WORD_H

#include <stdint.h>
#include <string.h>

static inline uint64_t bv_load_word(const void *bytes) {
    uint64_t x;
    memcpy(&x, bytes, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

#endif

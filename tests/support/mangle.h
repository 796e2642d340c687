/*
 * Bytes that are nearly right: one to four changes of a copy, a function of (seed, file, n), so
 * that what failed can be made again. For tests only.
 */
#ifndef BV_TESTS_SUPPORT_MANGLE_H
#define BV_TESTS_SUPPORT_MANGLE_H

#include "base/buffer.h"
#include "base/random.h"
#include <string.h>

static inline uint32_t mangle_word(uint64_t seed, uint32_t file, uint32_t n, uint32_t i) {
    return bv_random(seed, BV_RANDOM_TEST, file, n, i, 0).v[0];
}

static inline void mangle(uint64_t seed, const char *from, size_t size, uint32_t file, uint32_t n,
                          bv_buffer *to) {
    bv_buffer_clear(to);
    bv_buffer_append(to, from, size);
    const uint32_t changes = 1 + mangle_word(seed, file, n, 0) % 4;
    for (uint32_t c = 0; c < changes && to->size; c++) {
        const size_t at = mangle_word(seed, file, n, 4 * c + 1) % to->size;
        const size_t length = 1 + mangle_word(seed, file, n, 4 * c + 2) % 16;
        const size_t end = at + length < to->size ? at + length : to->size;
        const uint32_t word = mangle_word(seed, file, n, 4 * c + 4);
        switch (mangle_word(seed, file, n, 4 * c + 3) % 5) {
        case 0:
            to->data[at] ^= (char)(1 << word % 8);
            break;
        case 1:
            to->size = at;
            break;
        case 2: /* cut out */
            memmove(to->data + at, to->data + end, to->size - end);
            to->size -= end - at;
            break;
        case 3:
            memset(to->data + at, (int)word, end - at);
            break;
        case 4:
            bv_buffer_append(to, from, length < size ? length : size);
            break;
        }
    }
}

#endif

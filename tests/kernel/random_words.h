/* The random words of a kernel's test, one after another; a failing case prints their seed. One
 * thread; include it in one file. */
#ifndef BV_TESTS_KERNEL_RANDOM_WORDS_H
#define BV_TESTS_KERNEL_RANDOM_WORDS_H

#include "base/random.h"
#include <stddef.h>

static struct {
    uint64_t seed;
    uint32_t stream, counter;
} words;

/* In main, before anything else. */
static inline void random_begin(uint64_t seed, uint32_t stream) {
    words.seed = seed;
    words.stream = stream;
}

static inline uint32_t random_word(void) {
    return bv_random(words.seed, BV_RANDOM_TEST, words.stream, words.counter++, 0, 0).v[0];
}

static inline size_t random_size(size_t low, size_t high) {
    return low + random_word() % (high - low + 1);
}

#endif

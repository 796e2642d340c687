/*
 * Random numbers are counter-based (Philox 4x32-10, Salmon et al. 2011): a number is a function of
 * what it is for, never of what was drawn before it. So they are equal whatever the threads, the
 * micro-batches or the restarts. Thread-safe: no state.
 */
#ifndef BV_BASE_RANDOM_H
#define BV_BASE_RANDOM_H

#include <stdint.h>

/* What a random number is for; a stream of its own each. Append only: values are part of the bits.
 */
typedef enum bv_random_purpose {
    BV_RANDOM_INIT = 1,
    BV_RANDOM_SHUFFLE = 2,
    BV_RANDOM_DROPOUT = 3,
    BV_RANDOM_ATTENTION_DROPOUT = 4,
    BV_RANDOM_SAMPLE = 5,
    BV_RANDOM_TEST = 6,
} bv_random_purpose;

typedef struct bv_random4 {
    uint32_t v[4];
} bv_random4;

/* Four words for (seed, purpose, step, a, b): the key is the seed, the counter the rest. */
static inline bv_random4 bv_philox(uint64_t seed, const uint32_t counter[4]) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return (bv_random4){{c0, c1, c2, c3}};
}

/* Word layout of a counter: purpose and site share the first word. site < 2^24. */
static inline bv_random4 bv_random(uint64_t seed, bv_random_purpose purpose, uint32_t site,
                                   uint32_t step, uint32_t a, uint32_t b) {
    const uint32_t counter[4] = {(uint32_t)purpose << 24 | (site & 0xffffffu), step, a, b};
    return bv_philox(seed, counter);
}

/* Uniform in [0, 1) with 24 bits, exact in f32. */
static inline float bv_uniform_f32(uint32_t word) {
    return (float)(word >> 8) * 0x1p-24f;
}

/* Uniform in [0, 1) with 53 bits. */
static inline double bv_uniform_f64(uint32_t high, uint32_t low) {
    return (double)(int64_t)(((uint64_t)high << 21) ^ (low >> 11)) * 0x1p-53;
}

#endif

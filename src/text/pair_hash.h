/* How tables of pairs of tokens find a pair: its hash, and a filter of bits before the slots, since
 * most pairs that are asked for are not there. For src/text. */
#ifndef BV_TEXT_PAIR_HASH_H
#define BV_TEXT_PAIR_HASH_H

#include "text/tokenizer.h"

static inline uint64_t bv_pair_hash(bv_pair pair) {
    const uint64_t x = ((uint64_t)pair.left << 32 | pair.right) * 0x9E3779B97F4A7C15u;
    return (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
}

/* The word of the filter, and the bit in it; bits: of the filter, a power of two. */
static inline uint64_t *bv_pair_filter(uint64_t *filter, size_t bits, uint64_t hash,
                                       uint64_t *bit) {
    const size_t i = (size_t)(hash >> 32) & (bits - 1);
    *bit = (uint64_t)1 << (i & 63);
    return &filter[i / 64];
}

/* Where looking for the pair among `capacity` slots, a power of two, begins. */
static inline size_t bv_pair_slot(size_t capacity, uint64_t hash) {
    return (size_t)(hash >> 24) & (capacity - 1);
}

#endif

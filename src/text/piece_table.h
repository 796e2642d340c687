/*
 * What short pieces became: those of up to 15 bytes and 3 tokens, which most of a text are. A table
 * of constant size for any number of threads: what one of them merged, the others need not. A slot
 * is written once and not changed, so that nobody waits; where a bucket is full, what is new stays
 * with who met it. When that happens often the table begins anew.
 */
#ifndef BV_TEXT_PIECE_TABLE_H
#define BV_TEXT_PIECE_TABLE_H

#include "base/status.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece as a number: its bytes, zeros, in the last byte its length. */
#define BV_PIECE_BYTES 15
typedef struct bv_piece_key {
    uint64_t low, high;
} bv_piece_key;

static inline uint64_t bv_piece_hash(bv_piece_key k) {
    const unsigned __int128 product =
        (unsigned __int128)(k.low ^ 0x9E3779B97F4A7C15u) * (k.high ^ 0xD6E8FEB86659FD93u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* `high` is written last: who reads a key there may read the rest. Zeros are an empty slot. */
#define BV_PIECE_TOKENS 3
typedef struct bv_piece_slot {
    uint64_t low;
    _Atomic uint64_t high;
    uint32_t tokens[BV_PIECE_TOKENS], count;
} bv_piece_slot;

#define BV_PIECE_BUCKETS ((size_t)1 << 16) /* of two slots, a cache line */
typedef struct bv_piece_table {
    bv_piece_slot *slots;
    _Atomic size_t refused; /* pieces whose bucket was full */
} bv_piece_table;

bv_status bv_piece_table_create(bv_piece_table **out);
void bv_piece_table_destroy(bv_piece_table **table);
/* While nobody else uses the table. */
void bv_piece_table_renew(bv_piece_table *table);

/* Where the piece stands, if it is known. */
static inline const bv_piece_slot *bv_piece_bucket(const bv_piece_table *table, bv_piece_key key) {
    return table->slots + 2 * (bv_piece_hash(key) & (BV_PIECE_BUCKETS - 1));
}

static inline bool bv_piece_is(const bv_piece_slot *slot, bv_piece_key key) {
    return atomic_load_explicit(&slot->high, memory_order_acquire) == key.high &&
           slot->low == key.low;
}

/* count: 1 to BV_PIECE_TOKENS. False where the bucket is full. */
bool bv_piece_table_put(bv_piece_table *table, bv_piece_key key, const uint32_t *tokens,
                        size_t count);

#endif

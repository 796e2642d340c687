#include "text/shared_pieces.h"

#include "base/memory.h"
#include "text/tokenizer.h"
#include <assert.h>
#include <stdatomic.h>

#define BUCKETS ((size_t)1 << 16)
#define BUCKET_SLOTS 4 /* two cache lines that are fetched together */
#define TAKEN 1u       /* no key: some thread is writing the slot */
#define TOKEN_BITS 25  /* five and their number are 128 bits */
#define FIRST_TOKEN_BIT 3

static_assert(BV_TOKEN_MAX < 1u << TOKEN_BITS, "a token fits");

/* `high` is written last: who reads a key there may read the rest. Zeros are an empty slot. */
typedef struct slot {
    _Atomic uint64_t high;
    uint64_t low;
    uint64_t tokens[2];
} slot;

struct bv_shared_pieces {
    slot *slots;
};

bv_status bv_shared_pieces_create(bv_shared_pieces **out) {
    bv_shared_pieces *p = *out = bv_calloc(1, sizeof *p);
    if (p) p->slots = bv_malloc_aligned(BUCKETS * BUCKET_SLOTS * sizeof *p->slots);
    if (p && p->slots) return BV_OK;
    bv_shared_pieces_destroy(out);
    return bv_fail_memory("an encoder");
}

void bv_shared_pieces_destroy(bv_shared_pieces **pieces) {
    if (!*pieces) return;
    bv_free_aligned((*pieces)->slots);
    bv_free(*pieces);
    *pieces = NULL;
}

/* Other bits of the hash than the encoders' own caches take. */
static slot *bucket_of(const bv_shared_pieces *p, bv_piece_key key) {
    return p->slots + BUCKET_SLOTS * (bv_piece_key_hash(key) >> 32 & (BUCKETS - 1));
}

size_t bv_shared_pieces_get(const bv_shared_pieces *pieces, bv_piece_key key, uint32_t *tokens) {
    const slot *s = bucket_of(pieces, key);
    for (int i = 0; i < BUCKET_SLOTS; i++, s++) {
        const uint64_t high = atomic_load_explicit(&s->high, memory_order_acquire);
        if (high == 0) break;
        if (high != key.high || s->low != key.low) continue;
        unsigned __int128 bits = (unsigned __int128)s->tokens[1] << 64 | s->tokens[0];
        const size_t count = bits & ((1u << FIRST_TOKEN_BIT) - 1);
        bits >>= FIRST_TOKEN_BIT;
        for (size_t k = 0; k < count; k++, bits >>= TOKEN_BITS)
            tokens[k] = (uint32_t)bits & ((1u << TOKEN_BITS) - 1);
        return count;
    }
    return 0;
}

static void fill(slot *s, bv_piece_key key, const uint32_t *tokens, size_t count) {
    unsigned __int128 bits = 0;
    for (size_t k = count; k-- > 0;) bits = bits << TOKEN_BITS | tokens[k];
    bits = bits << FIRST_TOKEN_BIT | count;
    s->low = key.low;
    s->tokens[0] = (uint64_t)bits;
    s->tokens[1] = (uint64_t)(bits >> 64);
    atomic_store_explicit(&s->high, key.high, memory_order_release);
}

void bv_shared_pieces_put(bv_shared_pieces *pieces, bv_piece_key key, const uint32_t *tokens,
                          size_t count) {
    slot *s = bucket_of(pieces, key);
    for (int i = 0; i < BUCKET_SLOTS; i++, s++) {
        uint64_t high = atomic_load_explicit(&s->high, memory_order_acquire);
        if (high == 0 && atomic_compare_exchange_strong_explicit(
                             &s->high, &high, TAKEN, memory_order_acquire, memory_order_acquire)) {
            fill(s, key, tokens, count);
            return;
        }
        if (high == key.high && s->low == key.low) return;
    }
}

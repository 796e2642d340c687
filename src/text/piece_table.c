#include "text/piece_table.h"

#include "base/memory.h"
#include <string.h>

#define TABLE_BYTES (2 * BV_PIECE_BUCKETS * sizeof(bv_piece_slot))
#define TAKEN 1u                      /* no key: some thread is writing the slot */
#define REFUSED_MAX ((size_t)1 << 20) /* merges that cost more than to begin anew */

bv_status bv_piece_table_create(bv_piece_table **out) {
    bv_piece_table *t = *out = bv_calloc(1, sizeof *t);
    if (t) t->slots = bv_malloc_aligned(TABLE_BYTES);
    if (t && t->slots) return BV_OK;
    bv_piece_table_destroy(out);
    return bv_fail_memory("an encoder");
}

void bv_piece_table_destroy(bv_piece_table **table) {
    if (!*table) return;
    bv_free_aligned((*table)->slots);
    bv_free(*table);
    *table = NULL;
}

void bv_piece_table_renew(bv_piece_table *t) {
    if (t->refused < REFUSED_MAX) return;
    memset(t->slots, 0, TABLE_BYTES);
    t->refused = 0;
}

bool bv_piece_table_put(bv_piece_table *t, bv_piece_key key, const uint32_t *tokens, size_t count) {
    bv_piece_slot *s = (bv_piece_slot *)bv_piece_bucket(t, key);
    for (int i = 0; i < 2; i++, s++) {
        uint64_t high = 0;
        if (!atomic_compare_exchange_strong_explicit(&s->high, &high, TAKEN, memory_order_acquire,
                                                     memory_order_acquire)) {
            if (high == key.high && s->low == key.low) return true;
            continue;
        }
        s->low = key.low;
        s->count = (uint32_t)count;
        memcpy(s->tokens, tokens, count * sizeof *tokens);
        atomic_store_explicit(&s->high, key.high, memory_order_release);
        return true;
    }
    atomic_fetch_add_explicit(&t->refused, 1, memory_order_relaxed);
    return false;
}

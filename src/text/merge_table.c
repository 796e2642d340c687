#include "text/merge_table.h"

#include "base/memory.h"
#include "text/pair_hash.h"

#define FIELD 21       /* bits of a slot: left, right, rank + 1; 0 is an empty slot */
#define FILTER_BITS 8  /* a slot */
#define LEAST_SLOTS 64 /* a word of the filter has 64 bits */

static const uint64_t rank_bits = ((uint64_t)1 << FIELD) - 1;

struct bv_merge_table {
    uint64_t *slots, *filter;
    size_t count, capacity; /* slots: a power of two, at least a fifth of them free */
};

bv_status bv_merge_table_create(size_t count, bv_merge_table **out) {
    BV_ASSERT(count <= BV_MERGES_MAX);
    bv_merge_table *t = *out = bv_calloc(1, sizeof *t);
    if (!t) return bv_fail_memory("a table of merges");
    t->capacity = LEAST_SLOTS;
    while (4 * t->capacity < 5 * count) t->capacity *= 2;
    t->slots = bv_malloc_aligned(t->capacity * sizeof *t->slots);
    t->filter = bv_calloc(t->capacity * FILTER_BITS / 64, sizeof *t->filter);
    if (t->slots && t->filter) return BV_OK;
    bv_merge_table_destroy(out);
    return bv_fail_memory("a table of merges");
}

void bv_merge_table_destroy(bv_merge_table **table) {
    if (!*table) return;
    bv_free_aligned((*table)->slots);
    bv_free((*table)->filter);
    bv_free(*table);
    *table = NULL;
}

static inline uint64_t *filter_word(const bv_merge_table *t, uint64_t h, uint64_t *bit) {
    return bv_pair_filter(t->filter, t->capacity * FILTER_BITS, h, bit);
}

/* Where the pair is, or would be. */
static inline uint64_t *find(const bv_merge_table *t, uint64_t tokens, uint64_t h) {
    size_t i = bv_pair_slot(t->capacity, h);
    while (t->slots[i] && (t->slots[i] & ~rank_bits) != tokens) i = (i + 1) & (t->capacity - 1);
    return &t->slots[i];
}

static inline uint64_t tokens_of(bv_pair pair) {
    return (uint64_t)pair.left << 2 * FIELD | (uint64_t)pair.right << FIELD;
}

bool bv_merge_table_add(bv_merge_table *t, bv_pair pair, uint32_t rank) {
    const uint64_t h = bv_pair_hash(pair), tokens = tokens_of(pair);
    uint64_t bit, *slot = find(t, tokens, h);
    if (*slot) return false;
    BV_ASSERT(5 * t->count < 4 * t->capacity && rank < BV_MERGES_MAX);
    t->count++;
    *filter_word(t, h, &bit) |= bit;
    *slot = tokens | (rank + 1);
    return true;
}

uint32_t bv_merge_table_rank(const bv_merge_table *t, bv_pair pair) {
    const uint64_t h = bv_pair_hash(pair);
    uint64_t bit;
    if (!(*filter_word(t, h, &bit) & bit)) return BV_NO_TOKEN;
    return (uint32_t)(*find(t, tokens_of(pair), h) & rank_bits) - 1;
}

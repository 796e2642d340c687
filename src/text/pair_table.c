#include "text/pair_table.h"

#include "base/memory.h"
#include "text/pair_hash.h"

typedef struct slot {
    bv_pair pair;
    uint32_t above; /* the value + 1; 0: no pair */
} slot;

#define FILTER_BITS 4 /* a slot: one in 8 or more is set */

struct bv_pair_table {
    slot *slots;
    uint64_t *filter;
    size_t count, capacity; /* a power of two, more than half of it free */
};

static bool allocate(bv_pair_table *t, size_t capacity) {
    t->slots = bv_calloc(capacity, sizeof *t->slots);
    t->filter = bv_calloc(capacity * FILTER_BITS / 64, sizeof *t->filter);
    t->capacity = capacity;
    return t->slots && t->filter;
}

bv_status bv_pair_table_create(size_t expected, bv_pair_table **out) {
    bv_pair_table *t = *out = bv_calloc(1, sizeof *t);
    size_t capacity = 64;
    while (capacity < 2 * expected + 2) capacity *= 2;
    if (t && allocate(t, capacity)) return BV_OK;
    bv_pair_table_destroy(out);
    return bv_fail_memory("a table of pairs");
}

void bv_pair_table_destroy(bv_pair_table **table) {
    if (!*table) return;
    bv_free((*table)->slots);
    bv_free((*table)->filter);
    bv_free(*table);
    *table = NULL;
}

static uint64_t *filter_word(const bv_pair_table *t, uint64_t h, uint64_t *bit) {
    return bv_pair_filter(t->filter, t->capacity * FILTER_BITS, h, bit);
}

static slot *find(const bv_pair_table *t, bv_pair pair, uint64_t h) {
    size_t i = bv_pair_slot(t->capacity, h);
    for (; t->slots[i].above; i = (i + 1) & (t->capacity - 1))
        if (t->slots[i].pair.left == pair.left && t->slots[i].pair.right == pair.right) break;
    return &t->slots[i];
}

uint32_t bv_pair_table_get(const bv_pair_table *table, bv_pair pair, uint32_t absent) {
    const uint64_t h = bv_pair_hash(pair);
    uint64_t bit;
    if (!(*filter_word(table, h, &bit) & bit)) return absent;
    const slot *s = find(table, pair, h);
    return s->above ? s->above - 1 : absent;
}

static void put(bv_pair_table *t, bv_pair pair, uint32_t value) {
    const uint64_t h = bv_pair_hash(pair);
    uint64_t bit;
    *filter_word(t, h, &bit) |= bit;
    slot *s = find(t, pair, h);
    t->count += s->above == 0;
    *s = (slot){pair, value + 1};
}

static bv_status grow(bv_pair_table *t) {
    bv_pair_table larger = {0};
    if (!allocate(&larger, 2 * t->capacity)) {
        bv_free(larger.slots);
        bv_free(larger.filter);
        return bv_fail_memory("a table of pairs");
    }
    for (size_t i = 0; i < t->capacity; i++)
        if (t->slots[i].above) put(&larger, t->slots[i].pair, t->slots[i].above - 1);
    bv_free(t->slots);
    bv_free(t->filter);
    *t = larger;
    return BV_OK;
}

bv_status bv_pair_table_set(bv_pair_table *table, bv_pair pair, uint32_t value) {
    BV_ASSERT(value < UINT32_MAX);
    if (2 * table->count >= table->capacity) BV_TRY(grow(table));
    put(table, pair, value);
    return BV_OK;
}

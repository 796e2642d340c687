#include "text/pair_table.h"

#include "base/memory.h"

typedef struct slot {
    bv_pair pair;
    uint32_t value;
    bool used;
} slot;

struct bv_pair_table {
    slot *slots;
    size_t count, capacity; /* a power of two, more than half of it free */
};

static size_t hash(bv_pair pair) {
    uint64_t x = ((uint64_t)pair.left << 32 | pair.right) * 0x9E3779B97F4A7C15u;
    return (size_t)(x ^ x >> 29);
}

bv_status bv_pair_table_create(size_t expected, bv_pair_table **out) {
    bv_pair_table *t = bv_calloc(1, sizeof *t);
    size_t capacity = 64;
    while (capacity < 2 * expected + 2) capacity *= 2;
    if (t) t->slots = bv_calloc(capacity, sizeof *t->slots);
    if (t) t->capacity = capacity;
    *out = t;
    if (t && t->slots) return BV_OK;
    bv_pair_table_destroy(out);
    return bv_fail_memory("a table of pairs");
}

void bv_pair_table_destroy(bv_pair_table **table) {
    if (!*table) return;
    bv_free((*table)->slots);
    bv_free(*table);
    *table = NULL;
}

static slot *find(const bv_pair_table *t, bv_pair pair) {
    size_t i = hash(pair) & (t->capacity - 1);
    for (; t->slots[i].used; i = (i + 1) & (t->capacity - 1))
        if (t->slots[i].pair.left == pair.left && t->slots[i].pair.right == pair.right) break;
    return &t->slots[i];
}

uint32_t bv_pair_table_get(const bv_pair_table *table, bv_pair pair, uint32_t absent) {
    const slot *s = find(table, pair);
    return s->used ? s->value : absent;
}

static bv_status grow(bv_pair_table *t) {
    bv_pair_table larger = {.capacity = 2 * t->capacity, .count = t->count};
    larger.slots = bv_calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots) return bv_fail_memory("a table of pairs");
    for (size_t i = 0; i < t->capacity; i++)
        if (t->slots[i].used) *find(&larger, t->slots[i].pair) = t->slots[i];
    bv_free(t->slots);
    *t = larger;
    return BV_OK;
}

bv_status bv_pair_table_set(bv_pair_table *table, bv_pair pair, uint32_t value) {
    if (2 * table->count >= table->capacity) BV_TRY(grow(table));
    slot *s = find(table, pair);
    table->count += !s->used;
    *s = (slot){pair, value, true};
    return BV_OK;
}

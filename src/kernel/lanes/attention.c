/*
 * The table of attention at one level. A work item of forward is a tile of 64 queries of one head,
 * or, when a sequence has one row, all heads of some KV heads. Both give a query the same bits.
 */
#include "kernel/lanes/attention.h"

#include "kernel/lanes/tables.h"

/* KV heads of an item of one row. */
static size_t together(const bv_attention_args *a) {
    return a->kv_heads_together ? a->kv_heads_together : 1;
}

static size_t sequence_items(const bv_attention_args *a, const bv_attention_sequence *s) {
    if (s->rows == 1) return (a->kv_heads + together(a) - 1) / together(a);
    return a->heads * ((s->rows + TILE - 1) / TILE);
}

static size_t forward_items(const bv_attention_args *a) {
    size_t items = 0;
    for (size_t i = 0; i < a->sequence_count; i++) items += sequence_items(a, &a->sequences[i]);
    return items;
}

/* Tiles of a head follow each other, the longest first: its keys stay in the cache. Of a sequence
 * of one row `head` is the item. */
static query_tile find(const bv_attention_args *a, size_t item) {
    const bv_attention_sequence *s = a->sequences, *end = s + a->sequence_count;
    for (; s < end && item >= sequence_items(a, s); s++) item -= sequence_items(a, s);
    if (s == end) return (query_tile){NULL, 0, 0};
    const size_t tiles = (s->rows + TILE - 1) / TILE;
    return (query_tile){s, item / tiles, (tiles - 1 - item % tiles) * TILE};
}

static void forward(const bv_attention_args *a, size_t item, void *scratch) {
    const query_tile tile = find(a, item);
    if (tile.s->rows == 1) {
        const size_t kv = tile.head * together(a);
        BV_NAME(bv_attention_row)(a, tile.s, kv, least(kv + together(a), a->kv_heads), scratch);
        return;
    }
    BV_NAME(bv_attention_queries)(a, tile, find(a, item + 1), scratch);
}

static size_t backward_items(const bv_attention_args *a) {
    return a->sequence_count * a->kv_heads;
}

static size_t scratch_bytes(const bv_attention_args *a, bool backward) {
    BV_ASSERT(a->d_head >= 1 && a->d_head <= D_HEAD_MAX);
    return up(backward ? BV_NAME(bv_attention_backward_bytes)(a)
                       : BV_NAME(bv_attention_forward_bytes)(a),
              64);
}

const bv_attention_kernels BV_NAME(bv_attention_table) = {
    .forward_items = forward_items,
    .backward_items = backward_items,
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward = BV_NAME(bv_attention_backward),
};

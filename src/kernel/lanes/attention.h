/*
 * What the files of attention share at one level: sizes, types, the first key that a query sees,
 * words of dropout, and the functions behind the table (attention.c).
 */
#ifndef BV_KERNEL_LANES_ATTENTION_H
#define BV_KERNEL_LANES_ATTENTION_H

#include "base/status.h"
#include "kernel/attention.h"
#include "kernel/blocks.h"
#include "kernel/lane.h"
#include "kernel/lanes/random.h"
#include "kernel/real.h"

#define TILE BV_ATTENTION_TILE
#define D_HEAD_MAX 256
#define UNROLL _Pragma("GCC unroll 8")

/* Whether a run computes in bf16; never at the f64 level. */
BV_INLINE bool in_pairs(const bv_attention_args *a) {
    return BV_REAL_TYPE == BV_F32 && a->type == BV_BF16;
}

BV_INLINE const void *element(const void *base, bv_dtype type, size_t at) {
    return (const char *)base + at * bv_dtype_size(type);
}

BV_INLINE size_t word_bytes(bool pairs) {
    return pairs ? sizeof(uint32_t) : sizeof(real);
}

BV_INLINE size_t steps(size_t n, bool pairs) {
    return pairs ? (n + 1) / 2 : n;
}

/* First visible key of row r of a sequence; a query always sees itself. */
BV_INLINE size_t first_key(const bv_attention_args *a, const bv_attention_sequence *s, size_t r) {
    const size_t position = s->position + r;
    size_t low = a->band && position + 1 > a->band ? position + 1 - a->band : 0;
    if (a->first_visible && a->first_visible[s->row + r] > low) low = a->first_visible[s->row + r];
    return least(low, position);
}

/* Words for 16 queries from `query` on and the four keys from `key` on (a multiple of 4). */
BV_INLINE void random_block(const bv_attention_args *a, uint32_t who, size_t query, size_t key,
                            uint32_t words[4][BV_LANES]) {
    v_random(a->seed, BV_RANDOM_ATTENTION_DROPOUT, a->site, a->step, who,
             (uint32_t)(query << 16 | (key / 4 & 0xffffu)), 1u << 16, words);
}

/* Up to 64 queries of one head, from `query` on; s is NULL where there are none. */
typedef struct query_tile {
    const bv_attention_sequence *s;
    size_t head, query;
} query_tile;

/* attention_queries.c: a tile of queries; `next` is likely to follow on this thread. */
size_t BV_NAME(bv_attention_forward_bytes)(const bv_attention_args *args);
void BV_NAME(bv_attention_queries)(const bv_attention_args *args, query_tile tile, query_tile next,
                                   void *scratch);
/* attention_row.c: all heads of KV heads kv .. kv_end - 1 of a sequence with one row. */
void BV_NAME(bv_attention_row)(const bv_attention_args *args, const bv_attention_sequence *s,
                               size_t kv, size_t kv_end, void *scratch);
/* attention_backward.c */
size_t BV_NAME(bv_attention_backward_bytes)(const bv_attention_args *args);
void BV_NAME(bv_attention_backward)(const bv_attention_args *args, size_t item, void *scratch);

#endif

/*
 * Attention that never makes the T x T matrix (Dao et al. 2022), forward and backward: causal,
 * banded, document-masked, grouped-query, over contiguous rows or over pages of a KV cache.
 * Kernels are thread-safe: items of one run may go to any threads in any order, each thread with
 * scratch of its own; they write disjoint rows and columns. There are no errors.
 *
 * Laws (the bits contract):
 * 1. Keys are walked by absolute position in tiles of 64, ascending, with an online softmax.
 *    s = (q . k) * scale, q . k one ascending fma chain over d_head (bf16: pairs 2i, 2i+1, odd
 *    first).
 * 2. A tile: m' = max(m, max s); alpha = exp(m - m'); p_j = exp(s_j - m'); l = fma(l, alpha, sum
 *    p_j); o = o * alpha, then one ascending fma chain over the tile's keys (bf16: p rounded to
 *    bf16, pairs of keys 2j, 2j+1; the sum l takes p before rounding and before dropout). sum p_j:
 *    16 virtual lanes (key j in lane j % 16, ascending), fixed tree (+8, +4, +2, +1). At the end
 *    out = o * (1 / l) and lse = m + log l; zeros are written as +0.
 * 3. Masked or absent keys contribute nothing: they are blended out, p = 0, never 0 x NaN; a tile
 *    without a visible key for a query changes no bit of it. A query always sees itself.
 * 4. A query's result is the same alone (decoding) as in a tile of 64 (training).
 * 5. Backward: p = exp(s - lse), D = sum dout out (16 virtual lanes over channels, the tree), ds =
 *    p * (dp - D) * scale (bf16: p and ds rounded for the products). dK, dV of a key are chains
 *    over query tiles ascending, queries ascending inside; heads of one KV head ascending; dQ a
 *    chain over key tiles ascending. Rounded once to the run's type when written.
 */
#ifndef BV_KERNEL_ATTENTION_H
#define BV_KERNEL_ATTENTION_H

#include "kernel/dtype.h"
#include <stdbool.h>
#include <stdint.h>

#define BV_ATTENTION_TILE 64

/* One sequence of a run. Keys and values live in tiles of 64 positions: tile t starts at
 * k_tiles[t] / v_tiles[t]. While training they are rows, kv_stride elements apart, KV head h at
 * column h * d_head. In the KV cache (`paged`) a tile holds all KV heads in the order in
 * which they are multiplied; see bv_attention_store. */
typedef struct bv_attention_sequence {
    size_t row;      /* first row of the queries in q, out                       */
    size_t rows;     /* number of queries                                        */
    size_t position; /* absolute position of the first query; keys 0..position+rows-1 exist */
    const void *const *k_tiles;
    const void *const *v_tiles;
    uint32_t sample; /* index in the global batch, keys attention dropout */
} bv_attention_sequence;

typedef struct bv_attention_args {
    size_t heads, kv_heads, d_head; /* d_head <= 256, any value >= 1; heads % kv_heads == 0 */
    double scale;                   /* usually 1 / sqrt(d_head) */
    size_t band; /* 0: all earlier keys; else a query sees its last `band` positions */
    /* [rows] or NULL: document mask, keys before this position are hidden */
    const uint32_t *first_visible;
    bv_dtype type; /* of q, k, v, out, dq, dk, dv: the level's real or BV_BF16 */
    const bv_attention_sequence *sequences;
    size_t sequence_count;
    const void *q; /* [rows, q_stride]: head h at column h * d_head */
    size_t q_stride, kv_stride;
    bool paged; /* forward only: tiles are those of a KV cache */
    /* KV heads that a work item of a sequence of one row takes together; 0: one. */
    size_t kv_heads_together;
    void *out; /* [rows, out_stride] */
    size_t out_stride;
    void *lse; /* [rows, heads] real: m + log l, for backward; NULL when not needed */
    /* Dropout of p after the softmax; 0: none. Key k of query position t of a head is kept where
     * word k % 4 of bv_random(seed, BV_RANDOM_ATTENTION_DROPOUT, site, step, sample * heads + head,
     * t << 16 | k / 4) as bv_uniform_f32 is at least `dropout`, and then p is multiplied by
     * 1 / (1 - dropout). Positions below 65,536. */
    double dropout;
    uint64_t seed;
    uint32_t site, step;
    /* Backward: contiguous sequences at position 0 only, every one of them, with q, k, v, out and
     * lse as they were in forward. */
    const void *dout; /* [rows, out_stride] */
    void *dq;         /* [rows, q_stride], overwritten */
    void *dk, *dv;    /* [rows, kv_stride] at the sequence's rows, overwritten */
} bv_attention_args;

/* A tile of the KV cache, 64 positions, stands in blocks of 16 lanes that are walked side by side,
 * since memory gives several streams more than one: keys in blocks of 16 positions, values in
 * blocks of 16 channels (d_head rounded up). A block holds all KV heads one after another, so that
 * its stream goes on from head to head: of keys [kv_heads, d_head, 16], of values [kv_heads, 64,
 * 16]. At bf16 these are words of two elements: [kv_heads, d_head / 2, 16] with channels 2i, 2i +
 * 1, and [kv_heads, 32, 16] with positions 2j, 2j + 1. A tile begins as zeros. Bytes of the keys
 * and of the values of a tile, and from block to block: */
size_t bv_attention_key_bytes(bv_dtype type, size_t kv_heads, size_t d_head);
size_t bv_attention_value_bytes(bv_dtype type, size_t kv_heads, size_t d_head);
size_t bv_attention_key_block(bv_dtype type, size_t kv_heads, size_t d_head);
size_t bv_attention_value_block(bv_dtype type, size_t kv_heads);

/* Writes positions begin .. end - 1 of a tile (0 <= begin < end <= 64) for one KV head from rows
 * `stride` elements apart, in ascending order of positions; whatever stood behind `end` is lost. */
typedef struct bv_attention_store_args {
    bv_dtype type;
    size_t kv_heads, d_head, kv; /* kv: the head */
    size_t begin, end, stride;
    const void *k_rows, *v_rows; /* of position `begin` */
    void *k_tile, *v_tile;       /* aligned to 64 */
} bv_attention_store_args;
void bv_attention_store(const bv_attention_store_args *args);

typedef struct bv_attention_kernels {
    /* Work items of forward: (sequence, head, query tile), or (sequence, KV heads together) for a
     * sequence of one row; of backward: (sequence, KV head). */
    size_t (*forward_items)(const bv_attention_args *args);
    size_t (*backward_items)(const bv_attention_args *args);
    /* A thread's scratch, aligned to 64; backward grows with the longest of args->sequences. */
    size_t (*scratch_bytes)(const bv_attention_args *args, bool backward);
    void (*forward)(const bv_attention_args *args, size_t item, void *scratch);
    void (*backward)(const bv_attention_args *args, size_t item, void *scratch);
} bv_attention_kernels;

#endif

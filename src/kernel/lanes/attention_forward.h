/*
 * Forward attention, of a tile of queries or of one row: scratch, the state of the softmax, the
 * output, and where a KV head begins.
 */
#ifndef BV_KERNEL_LANES_ATTENTION_FORWARD_H
#define BV_KERNEL_LANES_ATTENTION_FORWARD_H

#include "kernel/lanes/attention_operand.h"

/* Scratch of one thread. Rows of reals are `width` long: d_head rounded up to lanes. */
typedef struct forward_scratch {
    size_t width;
    void *columns; /* q^T, or k^T of a tile for one row: [d, TILE] */
    void *rows;    /* rows of odd length, padded */
    real *s, *o;   /* scores, then p: [TILE keys, TILE queries]; output: [TILE, width] */
    void *v;       /* [TILE, width] (bf16: words of row pairs) */
    uint32_t *p;   /* bf16: words of pairs of keys [TILE / 2, TILE] */
    size_t bytes;
} forward_scratch;

BV_INLINE forward_scratch place(const bv_attention_args *a, void *scratch) {
    forward_scratch f = {.width = up(a->d_head, BV_LANES)};
    char *at = scratch;
    f.columns = at, at += f.width * TILE * sizeof(real);
    f.s = (void *)at, at += TILE * TILE * sizeof(real);
    f.o = (void *)at, at += f.width * TILE * sizeof(real);
    f.v = at, at += f.width * TILE * sizeof(real);
    f.p = (void *)at, at += TILE / 2 * TILE * sizeof(uint32_t);
    f.rows = at, at += f.width * TILE * sizeof(uint16_t) + TILE * sizeof(uint16_t);
    f.bytes = (size_t)(at - (char *)scratch);
    return f;
}

/* Maximum and sum of each query so far, and the factor that the last tile put on its output. */
typedef struct softmax_state {
    real m[TILE], l[TILE], alpha[TILE];
} softmax_state;

BV_INLINE void begin_state(softmax_state *state) {
    for (size_t i = 0; i < TILE; i++) {
        state->m[i] = -(real)HUGE_VALF;
        state->l[i] = 0;
    }
}

/* exp of a score is taken against this: while nothing is seen any finite number gives 0. */
BV_INLINE vreal reference(vreal m) {
    return v_if_less(v_set(-(real)HUGE_VALF), m, m, v_zero());
}

/* Output and log-sum-exp of `count` queries; query i is row + i * row_step, head + i * head_step.
 */
void write_output(const bv_attention_args *a, const forward_scratch *f, size_t row, size_t row_step,
                  size_t head, size_t head_step, size_t count, softmax_state *state);

/* Columns to multiply by, in words: what of a tile one head has. */
typedef struct word_columns {
    const void *words;
    size_t row, block; /* words from row to row, and from 16 columns to the next */
} word_columns;

BV_INLINE word_columns cache_columns(const void *tile, size_t kv, size_t rows, size_t block,
                                     size_t word) {
    return (word_columns){(const char *)tile + kv * rows * BV_LANES * word, BV_LANES, block / word};
}

/* Keys and values of one KV head as a tile of the KV cache has them. */
BV_INLINE word_columns cache_keys(const bv_attention_args *a, const void *tile, size_t kv) {
    return cache_columns(tile, kv, steps(a->d_head, in_pairs(a)),
                         bv_attention_key_block(a->type, a->kv_heads, a->d_head),
                         word_bytes(in_pairs(a)));
}

BV_INLINE word_columns cache_values(const bv_attention_args *a, const void *tile, size_t kv) {
    return cache_columns(tile, kv, steps(TILE, in_pairs(a)),
                         bv_attention_value_block(a->type, a->kv_heads), word_bytes(in_pairs(a)));
}

/* The same in rows of a tile that is not in the KV cache. */
BV_INLINE const void *head_rows(const bv_attention_args *a, const void *tile, size_t kv) {
    return element(tile, a->type, kv * a->d_head);
}

#endif

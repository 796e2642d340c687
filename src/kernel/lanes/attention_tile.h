/*
 * What forward and backward attention share: one product kernel on tiles in scratch, and which keys
 * a query sees.
 *
 * All products have the form C[m, n] (+)= A[m, k] B[k, n] with n in lanes and A broadcast, one
 * ascending chain over k an element; at bf16 k counts pairs and words hold two elements. So queries
 * are lanes for the scores and the output, channels are lanes for the gradients, and no sum ever
 * runs across lanes.
 */
#ifndef BV_KERNEL_LANES_ATTENTION_TILE_H
#define BV_KERNEL_LANES_ATTENTION_TILE_H

#include "base/random.h"
#include "base/status.h"
#include "kernel/attention.h"
#include "kernel/bf16_dot.h"
#include "kernel/real.h"

#define TILE BV_ATTENTION_TILE
#define TILE_VECS (TILE / BV_LANES)
#define D_HEAD_MAX 256

/* The block of C that stays in registers: as many as a level has. */
#if defined(BV_LEVEL_AVX512)
#define BLOCK_ROWS 4
#define BLOCK_VECS 4
#elif defined(BV_LEVEL_AVX2) || defined(BV_LEVEL_NEON)
#define BLOCK_ROWS 4
#define BLOCK_VECS 1
#else
#define BLOCK_ROWS 1
#define BLOCK_VECS 1
#endif

/* A: elements of the level's real, or words of two bf16. Strides count elements (at bf16, of 16
 * bits, along m; words along k are `a_k` elements apart). B and C: rows of lanes. */
typedef struct tile_product {
    size_t m, n, k; /* n: multiple of 16 */
    const void *a;
    size_t a_m, a_k;
    const void *b;
    size_t b_stride;
    real *c;
    size_t c_stride;
    bool accumulate;
} tile_product;

BV_INLINE uint32_t word_at(const uint16_t *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

BV_INLINE void product_block(const tile_product *t, size_t i, size_t j, int rows, int vecs,
                             bool pairs) {
    vreal acc[BLOCK_ROWS][BLOCK_VECS];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            acc[r][v] = t->accumulate
                            ? v_load(t->c + (i + (size_t)r) * t->c_stride + j + v * BV_LANES)
                            : v_zero();
    for (size_t k = 0; k < t->k; k++) {
        if (pairs) {
            const uint32_t *b = (const uint32_t *)t->b + k * t->b_stride + j;
            vpair column[BLOCK_VECS];
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) column[v] = v_pair_load(b + v * BV_LANES);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) {
                const vpair a = v_pair_set(
                    word_at((const uint16_t *)t->a + (i + (size_t)r) * t->a_m + k * t->a_k));
#pragma GCC unroll 4
                for (int v = 0; v < vecs; v++) acc[r][v] = v_dot_bf16(acc[r][v], a, column[v]);
            }
        } else {
            const real *b = (const real *)t->b + k * t->b_stride + j;
            vreal column[BLOCK_VECS];
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) column[v] = v_load(b + v * BV_LANES);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) {
                const vreal a = v_set(((const real *)t->a)[(i + (size_t)r) * t->a_m + k * t->a_k]);
#pragma GCC unroll 4
                for (int v = 0; v < vecs; v++) acc[r][v] = v_fma(a, column[v], acc[r][v]);
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            v_store(t->c + (i + (size_t)r) * t->c_stride + j + v * BV_LANES, acc[r][v]);
}

BV_INLINE void product_columns(const tile_product *t, size_t j, int vecs, bool pairs) {
    size_t i = 0;
    for (; i + BLOCK_ROWS <= t->m; i += BLOCK_ROWS) product_block(t, i, j, BLOCK_ROWS, vecs, pairs);
    for (; i < t->m; i++) product_block(t, i, j, 1, vecs, pairs);
}

BV_INLINE void product_typed(const tile_product *t, bool pairs) {
    size_t j = 0;
    for (; j + BLOCK_VECS * BV_LANES <= t->n; j += BLOCK_VECS * BV_LANES)
        product_columns(t, j, BLOCK_VECS, pairs);
    for (; j < t->n; j += BV_LANES) product_columns(t, j, 1, pairs);
}

/* Out of line: it is large, and its callers are many. */
static __attribute__((noinline)) void product(const tile_product *t, bool pairs) {
    if (pairs)
        product_typed(t, true);
    else
        product_typed(t, false);
}

/* ---- tiles in scratch ---- */

BV_INLINE size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* Element (row, i) of a matrix of the run's type, as bits of bf16 or as a real. */
BV_INLINE uint32_t half_at(const void *x, size_t at) {
    return ((const uint16_t *)x)[at];
}

/* x: rows `stride` apart, d columns -> [d, TILE], absent rows 0 (bf16: words [d / 2, TILE]). */
BV_INLINE void transpose_tile(void *out, const void *x, size_t stride, size_t rows, size_t d,
                              bool pairs) {
    if (pairs) {
        uint32_t *to = out;
        for (size_t i = 0; i < (d + 1) / 2; i++)
            for (size_t r = 0; r < TILE; r++) {
                const size_t at = r * stride + 2 * i;
                uint32_t word = r < rows ? half_at(x, at) : 0;
                if (r < rows && 2 * i + 1 < d) word |= half_at(x, at + 1) << 16;
                to[i * TILE + r] = word;
            }
        return;
    }
    real *to = out;
    for (size_t i = 0; i < d; i++)
        for (size_t r = 0; r < TILE; r++)
            to[i * TILE + r] = r < rows ? ((const real *)x)[r * stride + i] : 0;
}

/* x: rows `stride` apart -> [TILE, width] with zeros beyond (bf16: words of row pairs
 * [TILE / 2, width]). */
BV_INLINE void copy_tile(void *out, const void *x, size_t stride, size_t rows, size_t d,
                         size_t width, bool pairs) {
    if (pairs) {
        uint32_t *to = out;
        memset(to, 0, TILE / 2 * width * sizeof *to);
        for (size_t r = 0; r < rows; r++) {
            const uint16_t *from = (const uint16_t *)x + r * stride;
            uint32_t *row = to + r / 2 * width;
            if (r % 2)
                for (size_t i = 0; i < d; i++) row[i] |= (uint32_t)from[i] << 16;
            else
                for (size_t i = 0; i < d; i++) row[i] = from[i];
        }
        return;
    }
    real *to = out;
    memset(to, 0, TILE * width * sizeof *to);
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * width, (const real *)x + r * stride, d * sizeof *to);
}

/* Words of pairs of rows of a [TILE, TILE] tile of reals, rounded: [TILE / 2, TILE]. */
BV_INLINE void pair_rows(uint32_t *out, const real *x) {
    for (size_t r = 0; r < TILE; r += 2)
        for (size_t i = 0; i < TILE; i += BV_LANES) {
            uint16_t even[BV_LANES], odd[BV_LANES];
            v_store_bf16(even, v_load(x + r * TILE + i));
            v_store_bf16(odd, v_load(x + (r + 1) * TILE + i));
            for (size_t k = 0; k < BV_LANES; k++)
                out[r / 2 * TILE + i + k] = even[k] | (uint32_t)odd[k] << 16;
        }
}

/* The same tile rounded in place of order: bf16 [TILE, TILE]. */
BV_INLINE void round_tile(uint16_t *out, const real *x) {
    for (size_t i = 0; i < TILE * TILE; i += BV_LANES) v_store_bf16(out + i, v_load(x + i));
}

/* ---- which keys a query sees ---- */

/* Bounds of a tile of queries, as reals: exact below 2^24. */
typedef struct sight {
    real low[TILE], high[TILE]; /* visible keys: low..high */
    size_t lowest, highest;     /* over the tile */
    size_t low_max, high_min;
} sight;

BV_INLINE void see(const bv_attention_args *a, const bv_attention_sequence *s, size_t query,
                   size_t count, sight *out) {
    out->lowest = SIZE_MAX;
    out->highest = 0, out->low_max = 0, out->high_min = SIZE_MAX;
    for (size_t i = 0; i < TILE; i++) {
        const size_t r = i < count ? query + i : query + count - 1;
        const size_t position = s->position + r;
        size_t low = a->band && position + 1 > a->band ? position + 1 - a->band : 0;
        if (a->first_visible && a->first_visible[s->row + r] > low)
            low = a->first_visible[s->row + r];
        out->low[i] = (real)low;
        out->high[i] = (real)position;
        if (low < out->lowest) out->lowest = low;
        if (low > out->low_max) out->low_max = low;
        if (position > out->highest) out->highest = position;
        if (position < out->high_min) out->high_min = position;
    }
}

/* x where the query of lane i + .. sees the key, else y. */
BV_INLINE vreal where_seen(const sight *w, size_t i, size_t key, vreal x, vreal y) {
    const vreal k = v_set((real)key);
    const vreal seen = v_if_less(k, v_load(w->low + i), y, x);
    return v_if_less(v_load(w->high + i), k, y, seen);
}

/* ---- dropout of a probability: 0, or 1 / (1 - p) ---- */

BV_INLINE real dropout_factor(const bv_attention_args *a, const bv_attention_sequence *s,
                              size_t head, size_t query, size_t key) {
    const bv_random4 r = bv_random(a->seed, BV_RANDOM_ATTENTION_DROPOUT, a->site, a->step,
                                   s->sample * (uint32_t)a->heads + (uint32_t)head,
                                   (uint32_t)(query << 16 | key / 4));
    return bv_uniform_f32(r.v[key % 4]) >= (float)a->dropout ? (real)(1 / (1 - a->dropout)) : 0;
}

/* Multiplies a [TILE keys, TILE queries] tile by the factors. */
static inline void drop_tile(const bv_attention_args *a, const bv_attention_sequence *s,
                             size_t head, size_t query, size_t queries, size_t key, size_t keys,
                             real *tile) {
    for (size_t j = 0; j < keys; j++)
        for (size_t i = 0; i < queries; i++)
            tile[j * TILE + i] *= dropout_factor(a, s, head, s->position + query + i, key + j);
}

BV_INLINE const void *element(const void *base, bv_dtype type, size_t at) {
    return (const char *)base + at * bv_dtype_size(type);
}

/* Scores of a tile: [keys, TILE queries] = (k . q) * scale. `q`: transposed tile. */
BV_INLINE void score_tile(const bv_attention_args *a, const void *k, const void *q, size_t keys,
                          size_t lanes, double scale, real *s, bool pairs) {
    const tile_product t = {.m = keys,
                            .n = lanes,
                            .k = pairs ? (a->d_head + 1) / 2 : a->d_head,
                            .a = k,
                            .a_m = a->kv_stride,
                            .a_k = pairs ? 2 : 1,
                            .b = q,
                            .b_stride = TILE,
                            .c = s,
                            .c_stride = TILE};
    product(&t, pairs);
    if (scale == 1) return;
    for (size_t j = 0; j < keys; j++)
        for (size_t i = 0; i < lanes; i += BV_LANES)
            v_store(s + j * TILE + i, v_mul(v_load(s + j * TILE + i), v_set((real)scale)));
}

#endif

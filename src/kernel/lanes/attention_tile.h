/*
 * Tiles of queries, forward and backward: which keys a query sees, scores, and dropout.
 *
 * A key that a query does not see has p = 0, so that its step adds 0 to the chain and may be left
 * out: only the sign of a zero can tell, and zeros are written as +0. That holds while the other
 * factor is finite. Packing looks for values that are not, and where there is one in a tile that
 * some query sees in part, product_seen() takes the steps one by one instead (law 3).
 */
#ifndef BV_KERNEL_LANES_ATTENTION_TILE_H
#define BV_KERNEL_LANES_ATTENTION_TILE_H

#include "kernel/lanes/attention_operand.h"
#include "kernel/lanes/attention_product.h"

#define BLOCKS (TILE / BV_LANES) /* of 16 queries or keys in a tile */

/* ---- which keys a query sees ---- */

/* A tile of queries. Positions as reals: exact below 2^24. A query that is absent sees nothing. */
typedef struct sight {
    real low[TILE], high[TILE]; /* visible keys of a query: low .. high */
    size_t low_min[BLOCKS], low_max[BLOCKS], high_min[BLOCKS], high_max[BLOCKS];
    size_t lowest, highest; /* over the tile */
    size_t queries, blocks;
} sight;

static void look(const bv_attention_args *a, const bv_attention_sequence *s, size_t query,
                 sight *out) {
    out->queries = least(s->rows - query, TILE);
    out->blocks = (out->queries + BV_LANES - 1) / BV_LANES;
    out->lowest = SIZE_MAX;
    out->highest = s->position + query + out->queries - 1;
    for (size_t b = 0; b < out->blocks; b++) {
        size_t low_min = SIZE_MAX, low_max = 0;
        const size_t end = least((b + 1) * BV_LANES, out->queries);
        for (size_t i = b * BV_LANES; i < end; i++) {
            const size_t low = first_key(a, s, query + i);
            if (low < low_min) low_min = low;
            if (low > low_max) low_max = low;
            out->low[i] = (real)low;
            out->high[i] = (real)(s->position + query + i);
        }
        for (size_t i = end; i < (b + 1) * BV_LANES; i++) {
            out->low[i] = 1, out->high[i] = 0;
            low_max = SIZE_MAX;
        }
        out->low_min[b] = low_min, out->low_max[b] = low_max;
        out->high_min[b] = s->position + query + b * BV_LANES;
        out->high_max[b] = s->position + query + end - 1;
        if (low_min < out->lowest) out->lowest = low_min;
    }
}

BV_INLINE bool sees(const sight *w, size_t query, size_t key) {
    return query < w->queries && (real)key >= w->low[query] && (real)key <= w->high[query];
}

/* x where the query of a lane sees the key, else y; lane 0 is query i. */
BV_INLINE vreal where_seen(const sight *w, size_t i, size_t key, vreal x, vreal y) {
    const vreal k = v_set((real)(int32_t)key);
    const vreal seen = v_if_less(k, v_load(w->low + i), y, x);
    return v_if_less(v_load(w->high + i), k, y, seen);
}

typedef enum seen_state { SEEN_NONE, SEEN_SOME, SEEN_ALL } seen_state;

/* A tile of keys seen by a tile of queries, in blocks of 16 x 16. */
typedef struct view {
    const sight *sight;
    size_t base, keys, groups;           /* absolute position, existing keys, blocks of them */
    unsigned char state[BLOCKS][BLOCKS]; /* [keys, queries] */
    bool whole;                          /* every query sees every key */
    size_t first_query[BLOCKS], end_query[BLOCKS]; /* of a block of keys; blocks of queries */
    size_t first_key[BLOCKS], end_key[BLOCKS];     /* of a block of queries; keys of the tile */
} view;

static void make_view(const sight *w, size_t tile, view *out) {
    out->sight = w;
    out->base = tile * TILE;
    out->keys = least(w->highest + 1 - out->base, TILE);
    out->groups = (out->keys + BV_LANES - 1) / BV_LANES;
    out->whole = true;
    for (size_t b = 0; b < BLOCKS; b++) {
        out->first_query[b] = BLOCKS, out->end_query[b] = 0;
        out->first_key[b] = TILE, out->end_key[b] = 0;
    }
    for (size_t g = 0; g < out->groups; g++)
        for (size_t b = 0; b < w->blocks; b++) {
            const size_t end = least((g + 1) * BV_LANES, out->keys);
            const size_t first = out->base + g * BV_LANES, last = out->base + end - 1;
            const bool none = last < w->low_min[b] || first > w->high_max[b];
            const bool all = first >= w->low_max[b] && last <= w->high_min[b];
            out->state[g][b] = none ? SEEN_NONE : all ? SEEN_ALL : SEEN_SOME;
            out->whole = out->whole && all;
            if (none) continue;
            if (b < out->first_query[g]) out->first_query[g] = b;
            out->end_query[g] = b + 1;
            if (g * BV_LANES < out->first_key[b]) out->first_key[b] = g * BV_LANES;
            out->end_key[b] = end;
        }
    for (size_t b = 0; b < BLOCKS; b++) {
        if (out->first_query[b] > out->end_query[b]) out->first_query[b] = out->end_query[b];
        if (out->first_key[b] > out->end_key[b]) out->first_key[b] = out->end_key[b];
    }
}

/* How many keys from the first one on that its block sees the first query of a block may see; each
 * query may see one more. 0: unknown. */
BV_INLINE size_t keys_of_first(const view *w, size_t block) {
    const size_t first = w->base + w->first_key[block], high = w->sight->high_min[block];
    return high < first ? 0 : high - first + 1;
}

/* ---- what comes next ---- */

/* Rows of one head that are read or written soon. They stand far apart, and no hardware fetches
 * them ahead; so they are asked for beside arithmetic, a block of 16 at a time. */
typedef struct coming_rows {
    const char *rows; /* NULL: none */
    size_t stride, bytes, count;
} coming_rows;

BV_INLINE coming_rows coming(const bv_attention_args *a, const void *base, size_t stride,
                             size_t row, size_t head, size_t count) {
    const size_t unit = bv_dtype_size(a->type);
    return (coming_rows){(const char *)base + (row * stride + head * a->d_head) * unit,
                         stride * unit, a->d_head * unit, count};
}

BV_INLINE void fetch_block(const coming_rows *c, size_t block) {
    if (!c->rows) return;
    const size_t end = least((block + 1) * BV_LANES, c->count);
    for (size_t r = block * BV_LANES; r < end; r++)
        for (size_t at = 0; at < c->bytes; at += 64)
            __builtin_prefetch(c->rows + r * c->stride + at, 0, 2);
}

/* ---- scores ---- */

/* out [keys, TILE queries] = scale (rows . columns), blocks that nobody sees left out; `next` is
 * fetched meanwhile. */
static void score_tile(const view *w, word_rows rows, const void *columns, size_t d, real scale,
                       real *out, bool pairs, const coming_rows *next) {
    for (size_t g = 0; g < w->groups; g++) {
        fetch_block(next, g);
        const size_t begin = w->first_query[g] * BV_LANES, key = g * BV_LANES;
        const tile_product t = {.m = least(w->keys - key, BV_LANES),
                                .n = w->end_query[g] * BV_LANES - begin,
                                .k = steps(d, pairs),
                                .a = (const char *)rows.rows + g * rows.block,
                                .a_row = rows.stride,
                                .a_step = rows.step,
                                .b = (const char *)columns + begin * word_bytes(pairs),
                                .b_row = TILE,
                                .b_col = BV_LANES,
                                .c = out + key * TILE + begin,
                                .c_row = TILE,
                                .scale = scale};
        product(&t, pairs);
    }
}

/* The product where 0 times infinity may occur: row i of C and step k are a query and a key (or a
 * key and a query); unseen ones are passed over. i0, k0: of the tile. */
static __attribute__((noinline, cold)) void product_seen(const tile_product *t, const view *w,
                                                         bool rows_are_queries, size_t i0,
                                                         size_t k0, bool pairs) {
    tile_product start = *t;
    start.lower = 0, start.upper = false, start.k = 0;
    product(&start, pairs);
    const size_t parts = pairs ? 2 : 1;
    for (size_t i = 0; i < t->m; i++)
        for (size_t k = 0; k < t->k * parts; k++) {
            /* The odd element of a pair goes first. */
            const size_t e = pairs ? k ^ 1 : k, step = k / parts;
            const size_t query = rows_are_queries ? i0 + i : k0 + e;
            const size_t key = w->base + (rows_are_queries ? k0 + e : i0 + i);
            if (!sees(w->sight, query, key)) continue;
            tile_product one = start;
            uint32_t a, b[D_HEAD_MAX];
            one.m = 1, one.k = 1, one.add = true, one.factor = NULL;
            one.a = (const char *)t->a + i * t->a_row + step * t->a_step;
            one.b = (const char *)t->b + step * t->b_row * (pairs ? 4 : sizeof(real));
            one.c = t->c + i * t->c_row;
            if (pairs) {
                const uint32_t half = e % 2 ? 0xffff0000u : 0xffffu;
                memcpy(&a, one.a, 4);
                a &= half;
                for (size_t j = 0; j < t->n; j++)
                    b[j] = ((const uint32_t *)one.b)[columns_at(t, j) + j % BV_LANES] & half;
                one.a = &a, one.a_step = sizeof a, one.b = b, one.b_col = BV_LANES;
            }
            product(&one, pairs);
        }
}

/* ---- dropout ---- */

/* Multiplies the seen blocks of a [keys, TILE queries] tile by 0 or 1 / (1 - dropout). */
static void drop_tile(const bv_attention_args *a, const bv_attention_sequence *s, size_t head,
                      size_t query, const view *w, real *tile) {
    const uint32_t who = s->sample * (uint32_t)a->heads + (uint32_t)head;
    const vreal keep = v_set((real)(1 / (1 - a->dropout)));
    for (size_t j = 0; j < w->keys; j += 4)
        for (size_t b = 0; b < w->sight->blocks; b++) {
            if (w->state[j / BV_LANES][b] == SEEN_NONE) continue;
            uint32_t words[4][BV_LANES];
            random_block(a, who, s->position + query + b * BV_LANES, w->base + j, words);
            for (size_t k = 0; k < 4 && j + k < w->keys; k++) {
                real *p = tile + (j + k) * TILE + b * BV_LANES;
                v_store(p, v_mul(v_load(p), v_keep(words[k], a->dropout, keep)));
            }
        }
}

#endif

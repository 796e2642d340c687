/*
 * Backward attention at one level. A work item owns one sequence and one KV head, so the chains of
 * its dK and dV belong to one thread: heads of the KV head ascending, query tiles ascending,
 * queries ascending; dQ: key tiles ascending, keys ascending.
 *
 *   P = exp(S - lse), dV += P^T dO, dP = dO V^T, dS = P (dP - D) scale, dQ += dS K, dK += dS^T Q
 */
#include "kernel/lanes/attention.h"
#include "kernel/lanes/attention_tile.h"

/* Tiles of one (query tile, key tile), and the sums of dK and dV over the whole sequence. */
typedef struct backward_scratch {
    size_t width;                    /* d_head rounded up to lanes */
    void *q_columns, *do_columns;    /* [d, TILE] transposed */
    void *q_rows, *do_rows, *k_rows; /* [TILE, width] (bf16: words of row pairs) */
    real *p, *ds;                    /* [TILE keys, TILE queries] */
    uint16_t *p_half, *ds_half;      /* rounded, for pairs of queries */
    uint32_t *ds_words;              /* for pairs of keys */
    real *dq;                        /* [TILE, width] */
    real *dk, *dv;                   /* [rows, width] */
    real lse[TILE], d[TILE];
} backward_scratch;

static size_t rows_max(const bv_attention_args *a) {
    size_t rows = 0;
    for (size_t i = 0; i < a->sequence_count; i++)
        if (a->sequences[i].rows > rows) rows = a->sequences[i].rows;
    return round_up(rows, TILE);
}

/* Hands out scratch; with base NULL it only counts. */
static size_t place(const bv_attention_args *a, char *base, backward_scratch *s) {
    const size_t width = round_up(a->d_head, BV_LANES), rows = rows_max(a);
    size_t used = 0;
    s->width = width;
#define TAKE(member, count, type)                                                                  \
    do {                                                                                           \
        s->member = (void *)(base + used);                                                         \
        used += round_up((count) * sizeof(type), 64);                                              \
    } while (0)
    TAKE(q_columns, width * TILE, real);
    TAKE(do_columns, width * TILE, real);
    TAKE(q_rows, width * TILE, real);
    TAKE(do_rows, width * TILE, real);
    TAKE(k_rows, width * TILE, real);
    TAKE(p, TILE * TILE, real);
    TAKE(ds, TILE * TILE, real);
    TAKE(p_half, TILE * TILE, uint16_t);
    TAKE(ds_half, TILE * TILE, uint16_t);
    TAKE(ds_words, TILE / 2 * TILE, uint32_t);
    TAKE(dq, width * TILE, real);
    TAKE(dk, width * rows, real);
    TAKE(dv, width * rows, real);
#undef TAKE
    return used;
}

size_t BV_NAME(bv_attention_backward_bytes)(const bv_attention_args *args) {
    static char nowhere[64];
    backward_scratch s;
    return place(args, nowhere, &s);
}

/* D of each query: sum over channels of dO O, 16 virtual lanes and the fixed tree. */
BV_INLINE void query_constants(const bv_attention_args *a, const bv_attention_sequence *s,
                               size_t head, size_t query, size_t queries, backward_scratch *b,
                               bv_dtype type) {
    for (size_t i = 0; i < TILE; i++) {
        b->lse[i] = b->d[i] = 0;
        if (i >= queries) continue;
        const size_t row = s->row + query + i, at = row * a->out_stride + head * a->d_head;
        vreal sum = v_zero();
        for (size_t k = 0; k < a->d_head; k += BV_LANES) {
            const size_t n = a->d_head - k < BV_LANES ? a->d_head - k : BV_LANES;
            sum = v_fma(v_get_first(a->dout, type, at + k, n), v_get_first(a->out, type, at + k, n),
                        sum);
        }
        b->d[i] = v_sum(sum);
        b->lse[i] = ((const real *)a->lse)[row * a->heads + head];
    }
}

/* P and dS of one pair of tiles. dP stands in ds before. */
BV_INLINE void probabilities(const bv_attention_args *a, const bv_attention_sequence *s,
                             size_t head, size_t query, size_t queries, const sight *seen,
                             size_t base, size_t keys, backward_scratch *b) {
    const vreal scale = v_set((real)a->scale);
    for (size_t j = 0; j < TILE; j++)
        for (size_t i = 0; i < TILE; i += BV_LANES) {
            real *p = b->p + j * TILE + i;
            vreal x = v_zero();
            if (j < keys && i < queries) {
                x = v_exp(v_sub(v_load(p), v_load(b->lse + i)));
                x = where_seen(seen, i, base + j, x, v_zero());
                if (i + BV_LANES > queries) x = v_first(queries - i, x, v_zero());
            }
            v_store(p, x);
        }
    if (a->dropout > 0) drop_tile(a, s, head, query, queries, base, keys, b->ds);
    for (size_t j = 0; j < TILE; j++)
        for (size_t i = 0; i < TILE; i += BV_LANES) {
            real *ds = b->ds + j * TILE + i;
            const vreal p = v_load(b->p + j * TILE + i);
            vreal x = v_zero();
            if (j < keys && i < queries) {
                x = v_mul(v_mul(p, v_sub(v_load(ds), v_load(b->d + i))), scale);
                x = where_seen(seen, i, base + j, x, v_zero());
                if (i + BV_LANES > queries) x = v_first(queries - i, x, v_zero());
            }
            v_store(ds, x);
        }
    if (a->dropout > 0) drop_tile(a, s, head, query, queries, base, keys, b->p);
}

/* C [rows of lanes] += A B with A from a [TILE, TILE] tile. */
BV_INLINE void accumulate(size_t m, size_t k, const void *tile, size_t a_m, size_t a_k,
                          const void *rows, size_t width, real *c, bool pairs) {
    const tile_product t = {.m = m,
                            .n = width,
                            .k = k,
                            .a = tile,
                            .a_m = a_m,
                            .a_k = a_k,
                            .b = rows,
                            .b_stride = width,
                            .c = c,
                            .c_stride = width,
                            .accumulate = true};
    product(&t, pairs);
}

BV_INLINE void visit_tiles(const bv_attention_args *a, const bv_attention_sequence *s, size_t head,
                           size_t query, size_t queries, const sight *seen, size_t tile,
                           backward_scratch *b, bool pairs) {
    const size_t base = tile * TILE, lanes = round_up(queries, BV_LANES);
    const size_t left = seen->highest + 1 - base, keys = left < TILE ? left : TILE;
    const size_t kv = head / (a->heads / a->kv_heads) * a->d_head;
    const void *k = element(s->k_tiles[tile], a->type, kv);
    const void *v = element(s->v_tiles[tile], a->type, kv);
    score_tile(a, k, b->q_columns, keys, lanes, a->scale, b->p, pairs);
    score_tile(a, v, b->do_columns, keys, lanes, 1, b->ds, pairs);
    probabilities(a, s, head, query, queries, seen, base, keys, b);
    copy_tile(b->k_rows, k, a->kv_stride, keys, a->d_head, b->width, pairs);
    real *dk = b->dk + base * b->width, *dv = b->dv + base * b->width;
    if (pairs) {
        round_tile(b->p_half, b->p);
        round_tile(b->ds_half, b->ds);
        pair_rows(b->ds_words, b->ds);
        accumulate(keys, TILE / 2, b->p_half, TILE, 2, b->do_rows, b->width, dv, true);
        accumulate(keys, TILE / 2, b->ds_half, TILE, 2, b->q_rows, b->width, dk, true);
        accumulate(queries, (keys + 1) / 2, b->ds_words, 2, 2 * TILE, b->k_rows, b->width, b->dq,
                   true);
        return;
    }
    accumulate(keys, queries, b->p, TILE, 1, b->do_rows, b->width, dv, false);
    accumulate(keys, queries, b->ds, TILE, 1, b->q_rows, b->width, dk, false);
    accumulate(queries, keys, b->ds, 1, TILE, b->k_rows, b->width, b->dq, false);
}

BV_INLINE void write_rows(void *out, bv_dtype type, size_t at, size_t stride, const real *rows,
                          size_t count, size_t width, size_t d) {
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < d; i += BV_LANES) {
            const size_t n = d - i < BV_LANES ? d - i : BV_LANES;
            const vreal x = v_load(rows + r * width + i);
            if (type == BV_BF16)
                v_put_first(out, BV_BF16, at + r * stride + i, x, n);
            else
                v_put_first(out, BV_REAL_TYPE, at + r * stride + i, x, n);
        }
}

BV_INLINE void query_tile(const bv_attention_args *a, const bv_attention_sequence *s, size_t head,
                          size_t query, backward_scratch *b, bool pairs) {
    const size_t queries = s->rows - query < TILE ? s->rows - query : TILE;
    const size_t q_at = (s->row + query) * a->q_stride + head * a->d_head;
    const size_t o_at = (s->row + query) * a->out_stride + head * a->d_head;
    const void *q = element(a->q, a->type, q_at), *dout = element(a->dout, a->type, o_at);
    sight seen;
    see(a, s, query, queries, &seen);
    query_constants(a, s, head, query, queries, b, pairs ? BV_BF16 : BV_REAL_TYPE);
    transpose_tile(b->q_columns, q, a->q_stride, queries, a->d_head, pairs);
    transpose_tile(b->do_columns, dout, a->out_stride, queries, a->d_head, pairs);
    copy_tile(b->q_rows, q, a->q_stride, queries, a->d_head, b->width, pairs);
    copy_tile(b->do_rows, dout, a->out_stride, queries, a->d_head, b->width, pairs);
    memset(b->dq, 0, TILE * b->width * sizeof *b->dq);
    for (size_t tile = seen.lowest / TILE; tile <= seen.highest / TILE; tile++)
        visit_tiles(a, s, head, query, queries, &seen, tile, b, pairs);
    write_rows(a->dq, a->type, q_at, a->q_stride, b->dq, queries, b->width, a->d_head);
}

BV_INLINE void backward_body(const bv_attention_args *a, size_t item, void *scratch, bool pairs) {
    const bv_attention_sequence *s = &a->sequences[item / a->kv_heads];
    const size_t kv = item % a->kv_heads, group = a->heads / a->kv_heads;
    backward_scratch b;
    place(a, scratch, &b);
    memset(b.dk, 0, s->rows * b.width * sizeof *b.dk);
    memset(b.dv, 0, s->rows * b.width * sizeof *b.dv);
    for (size_t head = kv * group; head < (kv + 1) * group; head++)
        for (size_t query = 0; query < s->rows; query += TILE)
            query_tile(a, s, head, query, &b, pairs);
    const size_t at = s->row * a->kv_stride + kv * a->d_head;
    write_rows(a->dk, a->type, at, a->kv_stride, b.dk, s->rows, b.width, a->d_head);
    write_rows(a->dv, a->type, at, a->kv_stride, b.dv, s->rows, b.width, a->d_head);
}

void BV_NAME(bv_attention_backward)(const bv_attention_args *args, size_t item, void *scratch) {
    if (args->type == BV_BF16)
        backward_body(args, item, scratch, true);
    else
        backward_body(args, item, scratch, false);
}

/* Attention at one level: forward, and the table. */
#include "kernel/lanes/attention.h"
#include "kernel/lanes/attention_tile.h"
#include "kernel/lanes/tables.h"
#include "kernel/real_host.h"

static size_t query_tiles(const bv_attention_sequence *s) {
    return (s->rows + TILE - 1) / TILE;
}

static size_t forward_items(const bv_attention_args *a) {
    size_t items = 0;
    for (size_t i = 0; i < a->sequence_count; i++) items += query_tiles(&a->sequences[i]);
    return items * a->heads;
}

/* Scratch of forward: q^T [d, TILE], scores [TILE, TILE], output [d, TILE], and at bf16 words of
 * the probabilities [TILE / 2, TILE] and of V [TILE / 2, d]. */
typedef struct forward_scratch {
    void *q;
    real *s, *o;
    uint32_t *p_words, *v_words;
} forward_scratch;

static size_t forward_bytes(const bv_attention_args *a) {
    const size_t d = round_up(a->d_head, BV_LANES);
    return (2 * d * TILE + TILE * TILE) * sizeof(real) +
           (TILE / 2 * TILE + TILE / 2 * d) * sizeof(uint32_t);
}

static forward_scratch place(const bv_attention_args *a, void *scratch) {
    const size_t d = round_up(a->d_head, BV_LANES);
    forward_scratch f = {.q = scratch};
    f.s = (real *)scratch + d * TILE;
    f.o = f.s + TILE * TILE;
    f.p_words = (uint32_t *)(f.o + d * TILE);
    f.v_words = f.p_words + TILE / 2 * TILE;
    return f;
}

/* Maximum and sum of each query so far. */
typedef struct softmax_state {
    vreal m[TILE_VECS], l[TILE_VECS], alpha[TILE_VECS];
} softmax_state;

/* Law 2: scores become probabilities, in place; rows beyond `keys` become 0. */
BV_INLINE void softmax_tile(real *s, size_t keys, size_t vecs, softmax_state *state) {
    const vreal nothing = v_set(-(real)HUGE_VALF);
    for (size_t v = 0; v < vecs; v++) {
        real *column = s + v * BV_LANES;
        vreal m = state->m[v];
        for (size_t j = 0; j < keys; j++) m = v_max(v_load(column + j * TILE), m);
        /* Nothing seen yet: any finite reference gives p = 0. */
        const vreal reference = v_if_less(nothing, m, m, v_zero());
        vreal lane[BV_LANES];
        for (size_t i = 0; i < BV_LANES; i++) lane[i] = v_zero();
        for (size_t j = 0; j < keys; j++) {
            const vreal p = v_exp(v_sub(v_load(column + j * TILE), reference));
            v_store(column + j * TILE, p);
            lane[j % BV_LANES] = v_add(lane[j % BV_LANES], p);
        }
        for (size_t j = keys; j < TILE; j++) v_store(column + j * TILE, v_zero());
        for (size_t half = BV_LANES / 2; half > 0; half /= 2)
            for (size_t i = 0; i < half; i++) lane[i] = v_add(lane[i], lane[i + half]);
        const vreal before = v_if_less(nothing, state->m[v], state->m[v], nothing);
        state->alpha[v] = v_exp(v_sub(before, reference));
        state->l[v] = v_fma(state->l[v], state->alpha[v], lane[0]);
        state->m[v] = m;
    }
}

BV_INLINE void scale_output(real *o, size_t d, size_t vecs, const softmax_state *state,
                            bool pairs) {
    for (size_t i = 0; i < d; i++)
        for (size_t v = 0; v < vecs; v++) {
            real *at = o + i * TILE + v * BV_LANES;
            const vreal x = v_mul(v_load(at), state->alpha[v]);
            v_store(at, pairs ? v_flush(x) : x);
        }
}

/* o += V^T P over all keys of a tile that every query sees. */
BV_INLINE void add_values(const bv_attention_args *a, const forward_scratch *f, const void *v,
                          size_t keys, size_t lanes, bool pairs) {
    const size_t width = round_up(a->d_head, BV_LANES);
    tile_product t = {.m = a->d_head,
                      .n = lanes,
                      .k = keys,
                      .a = v,
                      .a_m = 1,
                      .a_k = a->kv_stride,
                      .b = f->s,
                      .b_stride = TILE,
                      .c = f->o,
                      .c_stride = TILE,
                      .accumulate = true};
    if (pairs) {
        t.k = (keys + 1) / 2;
        t.a = f->v_words;
        t.a_m = 2; /* counts 16 bits */
        t.a_k = 2 * width;
        t.b = f->p_words;
    }
    product(&t, pairs);
}

/* The same where some queries do not see some keys: key by key, blended (law 3). */
BV_INLINE void add_seen_values(const bv_attention_args *a, const forward_scratch *f, const sight *w,
                               const void *v, size_t base, size_t keys, size_t lanes, bool pairs) {
    for (size_t pair = 0; pair < keys; pair += pairs ? 2 : 1)
        for (size_t half = pairs ? 2 : 1; half-- > 0;) { /* the odd key of a pair first */
            const size_t j = pair + half;
            if (j >= keys) continue;
            for (size_t i = 0; i < a->d_head; i++)
                for (size_t n = 0; n < lanes; n += BV_LANES) {
                    real *o = f->o + i * TILE + n;
                    const vreal before = v_load(o);
                    vreal after;
                    if (pairs) {
                        const uint32_t keep = half ? 0xffff0000u : 0xffffu;
                        uint32_t p[BV_LANES];
                        for (size_t k = 0; k < BV_LANES; k++)
                            p[k] = f->p_words[pair / 2 * TILE + n + k] & keep;
                        const uint32_t value = half_at(v, j * a->kv_stride + i) << 16 * half;
                        after = v_dot_bf16(before, v_pair_set(value), v_pair_load(p));
                    } else {
                        after = v_fma(v_set(((const real *)v)[j * a->kv_stride + i]),
                                      v_load(f->s + j * TILE + n), before);
                    }
                    v_store(o, where_seen(w, n, base + j, after, before));
                }
        }
}

/* What one call works on. */
typedef struct work {
    const bv_attention_sequence *s;
    size_t head, query, queries; /* queries query .. query + queries of the sequence */
} work;

static work find(const bv_attention_args *a, size_t item) {
    work w = {.head = item % a->heads};
    size_t tile = item / a->heads;
    for (w.s = a->sequences; tile >= query_tiles(w.s); w.s++) tile -= query_tiles(w.s);
    w.query = tile * TILE;
    w.queries = w.s->rows - w.query < TILE ? w.s->rows - w.query : TILE;
    return w;
}

BV_INLINE void visit_tile(const bv_attention_args *a, const work *w, const sight *seen, size_t tile,
                          const forward_scratch *f, softmax_state *state, bool pairs) {
    const size_t base = tile * TILE, lanes = round_up(w->queries, BV_LANES);
    const size_t vecs = lanes / BV_LANES, kv = w->head / (a->heads / a->kv_heads) * a->d_head;
    const size_t left = seen->highest + 1 - base, keys = left < TILE ? left : TILE;
    const void *k = element(w->s->k_tiles[tile], a->type, kv);
    const void *v = element(w->s->v_tiles[tile], a->type, kv);
    const bool whole = base >= seen->low_max && base + keys - 1 <= seen->high_min;
    score_tile(a, k, f->q, keys, lanes, a->scale, f->s, pairs);
    if (!whole)
        for (size_t j = 0; j < keys; j++)
            for (size_t i = 0; i < lanes; i += BV_LANES) {
                real *at = f->s + j * TILE + i;
                v_store(at, where_seen(seen, i, base + j, v_load(at), v_set(-(real)HUGE_VALF)));
            }
    softmax_tile(f->s, keys, vecs, state);
    if (a->dropout > 0) drop_tile(a, w->s, w->head, w->query, w->queries, base, keys, f->s);
    if (pairs) pair_rows(f->p_words, f->s);
    scale_output(f->o, a->d_head, vecs, state, pairs);
    if (!whole) {
        add_seen_values(a, f, seen, v, base, keys, lanes, pairs);
        return;
    }
    if (pairs)
        copy_tile(f->v_words, v, a->kv_stride, keys, a->d_head, round_up(a->d_head, BV_LANES),
                  true);
    add_values(a, f, v, keys, lanes, pairs);
}

BV_INLINE void write_output(const bv_attention_args *a, const work *w, const forward_scratch *f,
                            const softmax_state *state) {
    real l[TILE], m[TILE];
    for (size_t v = 0; v < TILE_VECS; v++) {
        v_store(l + v * BV_LANES, state->l[v]);
        v_store(m + v * BV_LANES, state->m[v]);
    }
    real head[D_HEAD_MAX];
    for (size_t i = 0; i < w->queries; i++) {
        const size_t row = w->s->row + w->query + i;
        for (size_t k = 0; k < a->d_head; k++) head[k] = f->o[k * TILE + i] / l[i];
        const size_t at = row * a->out_stride + w->head * a->d_head;
        for (size_t k = 0; k < a->d_head; k += BV_LANES) {
            const size_t n = a->d_head - k < BV_LANES ? a->d_head - k : BV_LANES;
            const vreal x = v_load_first(head + k, n);
            if (a->type == BV_BF16)
                v_put_first(a->out, BV_BF16, at + k, x, n);
            else
                v_put_first(a->out, BV_REAL_TYPE, at + k, x, n);
        }
        if (a->lse) ((real *)a->lse)[row * a->heads + w->head] = m[i] + (real)bv_log((double)l[i]);
    }
}

BV_INLINE void forward_body(const bv_attention_args *a, size_t item, void *scratch, bool pairs) {
    const work w = find(a, item);
    const forward_scratch f = place(a, scratch);
    const size_t q_at = (w.s->row + w.query) * a->q_stride + w.head * a->d_head;
    sight seen;
    softmax_state state;
    see(a, w.s, w.query, w.queries, &seen);
    for (size_t v = 0; v < TILE_VECS; v++) {
        state.m[v] = v_set(-(real)HUGE_VALF);
        state.l[v] = v_zero();
    }
    transpose_tile(f.q, element(a->q, a->type, q_at), a->q_stride, w.queries, a->d_head, pairs);
    memset(f.o, 0, a->d_head * TILE * sizeof *f.o);
    for (size_t tile = seen.lowest / TILE; tile <= seen.highest / TILE; tile++)
        visit_tile(a, &w, &seen, tile, &f, &state, pairs);
    write_output(a, &w, &f, &state);
}

static void forward(const bv_attention_args *a, size_t item, void *scratch) {
    if (a->type == BV_BF16)
        forward_body(a, item, scratch, true);
    else
        forward_body(a, item, scratch, false);
}

static size_t scratch_bytes(const bv_attention_args *a, bool backward) {
    BV_ASSERT(a->d_head <= D_HEAD_MAX);
    return round_up(backward ? BV_NAME(bv_attention_backward_bytes)(a) : forward_bytes(a), 64);
}

static size_t backward_items(const bv_attention_args *a) {
    return a->sequence_count * a->kv_heads;
}

const bv_attention_kernels BV_NAME(bv_attention_table) = {
    .forward_items = forward_items,
    .backward_items = backward_items,
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward = BV_NAME(bv_attention_backward),
};

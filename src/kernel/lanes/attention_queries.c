/*
 * Forward attention of a tile of 64 queries of one head: queries are in lanes for the softmax.
 */
#include "kernel/lanes/attention_forward.h"
#include "kernel/lanes/attention_tile.h"

size_t BV_NAME(bv_attention_forward_bytes)(const bv_attention_args *args) {
    static char nowhere[64];
    return place(args, nowhere).bytes;
}

/* The largest score of each query of a block among those that it sees, or m. */
BV_INLINE vreal largest_score(const view *w, const real *column, size_t b, vreal m) {
    const vreal nothing = v_set(-(real)HUGE_VALF);
    for (size_t g = 0; g < w->groups; g++) {
        const size_t end = least((g + 1) * BV_LANES, w->keys);
        if (w->state[g][b] == SEEN_ALL)
            for (size_t j = g * BV_LANES; j < end; j++) m = v_max(v_load(column + j * TILE), m);
        if (w->state[g][b] == SEEN_SOME)
            for (size_t j = g * BV_LANES; j < end; j++)
                m = v_max(where_seen(w->sight, b * BV_LANES, w->base + j, v_load(column + j * TILE),
                                     nothing),
                          m);
    }
    return m;
}

/* Scores of 16 x 16 become probabilities, and are added to their lanes. What is not seen is blended
 * out behind the exponential: minus infinity in front of it would take its slow way. */
BV_INLINE void exp_block(const view *w, size_t g, size_t b, real *column, vreal from,
                         vreal lane[BV_LANES], bool some) {
    const size_t key = g * BV_LANES, count = least(w->keys - key, BV_LANES);
    for (size_t j = 0; j < count; j++) {
        real *at = column + (key + j) * TILE;
        vreal p = v_exp(v_sub(v_load(at), from));
        if (some) p = where_seen(w->sight, b * BV_LANES, w->base + key + j, p, v_zero());
        v_store(at, p);
        lane[j] = v_add(lane[j], p);
    }
}

/* Law 2 for one block of queries: scores become probabilities where there are any. */
BV_INLINE void softmax_block(const view *w, real *column, size_t b, softmax_state *state) {
    const vreal before = v_load(state->m + b * BV_LANES);
    const vreal m = largest_score(w, column, b, before), from = reference(m);
    vreal lane[BV_LANES];
    for (size_t i = 0; i < BV_LANES; i++) lane[i] = v_zero();
    for (size_t g = 0; g < w->groups; g++) {
        if (w->state[g][b] == SEEN_ALL) exp_block(w, g, b, column, from, lane, false);
        if (w->state[g][b] == SEEN_SOME) exp_block(w, g, b, column, from, lane, true);
    }
    for (size_t half = BV_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) lane[i] = v_add(lane[i], lane[i + half]);
    const vreal alpha = v_exp(v_sub(before, from));
    v_store(state->alpha + b * BV_LANES, alpha);
    v_store(state->l + b * BV_LANES, v_fma(v_load(state->l + b * BV_LANES), alpha, lane[0]));
    v_store(state->m + b * BV_LANES, m);
}

static void softmax_tile(const view *w, real *s, softmax_state *state, const coming_rows *next) {
    for (size_t b = 0; b < w->sight->blocks; b++) {
        fetch_block(next, b);
        softmax_block(w, s + b * BV_LANES, b, state);
    }
}

/* Pairs of keys as words, where there are probabilities. */
static void round_tile(const view *w, const real *s, uint32_t *words) {
    for (size_t b = 0; b < w->sight->blocks; b++)
        for (size_t j = w->first_key[b]; j < w->end_key[b]; j += 2) {
            const real *at = s + j * TILE + b * BV_LANES;
            const vreal odd = j + 1 < w->keys ? v_load(at + TILE) : v_zero();
            v_store_pairs(words + j / 2 * TILE + b * BV_LANES, v_load(at), odd);
        }
}

/* What is read and written after a tile of keys: the next tile, or what the next item begins with.
 */
typedef struct forward_ahead {
    coming_rows keys, values, queries, out;
} forward_ahead;

/* o = alpha o + p v. */
static void add_values(const view *w, const forward_scratch *f, word_columns v,
                       const softmax_state *state, bool first, bool finite,
                       const forward_ahead *ahead, bool pairs) {
    for (size_t b = 0; b < w->sight->blocks; b++) {
        fetch_block(&ahead->queries, b);
        fetch_block(&ahead->out, b);
        const size_t i = b * BV_LANES, begin = w->first_key[b], parts = pairs ? 2 : 1;
        const tile_product t = {
            .m = BV_LANES,
            .n = f->width,
            .k = steps(w->end_key[b] - begin, pairs),
            .a = pairs ? (void *)(f->p + begin / 2 * TILE + i) : (void *)(f->s + begin * TILE + i),
            .a_row = pairs ? 4 : sizeof(real),
            .a_step = TILE * (pairs ? 4 : sizeof(real)),
            .b = (const char *)v.words + begin / parts * v.row * word_bytes(pairs),
            .b_row = v.row,
            .b_col = v.block,
            .c = f->o + i * f->width,
            .c_row = f->width,
            .scale = 1,
            .add = !first,
            .factor = first ? NULL : state->alpha + i,
            .lower = keys_of_first(w, b)};
        if (finite || (w->whole && w->keys % 2 == 0))
            product(&t, pairs);
        else
            product_seen(&t, w, true, i, begin, pairs);
    }
}

/* Keys of a tile as rows of words. */
static word_rows key_rows(const bv_attention_args *a, const forward_scratch *f, const void *tile,
                          size_t kv, size_t count) {
    const bool pairs = in_pairs(a);
    if (a->paged) {
        const word_columns c = cache_keys(a, tile, kv);
        const size_t size = word_bytes(pairs);
        return (word_rows){c.words, size, c.row * size, c.block * size};
    }
    return read_words(f->rows, head_rows(a, tile, kv), a->kv_stride, count, a->d_head, pairs);
}

/* Are all words of `count` rows finite? */
static bool all_finite(word_columns v, size_t count, size_t width, bool pairs) {
    vreal probe = v_zero();
    uint32_t bad = 0;
    for (size_t r = 0; r < count; r++)
        for (size_t c = 0; c < width; c += BV_LANES) {
            const size_t at = r * v.row + c / BV_LANES * v.block;
            if (!pairs) probe = v_fma(v_load((const real *)v.words + at), v_zero(), probe);
            for (size_t i = 0; pairs && i < BV_LANES; i++) {
                const uint32_t word = ((const uint32_t *)v.words)[at + i];
                bad |= (uint32_t)((word & 0x7f80u) == 0x7f80u) |
                       (uint32_t)((word & 0x7f800000u) == 0x7f800000u);
            }
        }
    const real sum = v_sum(probe);
    return sum == sum && bad == 0;
}

/* Values of a tile as packed rows; finite: are they, as far as it matters? Behind an odd last key
 * a page may hold a later one. */
static word_columns value_rows(const bv_attention_args *a, const forward_scratch *f, const view *w,
                               const void *tile, size_t kv, bool *finite) {
    const bool pairs = in_pairs(a);
    if (!a->paged) {
        *finite =
            pack_rows(f->v, head_rows(a, tile, kv), a->kv_stride, 0, w->keys, a->d_head, pairs);
        return (word_columns){f->v, f->width, BV_LANES};
    }
    const bool all = w->whole && w->keys % 2 == 0;
    const word_columns v = cache_values(a, tile, kv);
    *finite = all || all_finite(v, steps(w->keys, pairs), f->width, pairs);
    return v;
}

static void look_ahead(const bv_attention_args *a, query_tile at, query_tile next, size_t tile,
                       size_t last, forward_ahead *out) {
    *out = (forward_ahead){0};
    query_tile keys = at;
    size_t begin = (tile + 1) * TILE;
    if (tile == last) {
        out->out = coming(a, a->out, a->out_stride, at.s->row + at.query, at.head,
                          least(at.s->rows - at.query, TILE));
        if (!next.s || next.s->rows == 1) return;
        out->queries = coming(a, a->q, a->q_stride, next.s->row + next.query, next.head,
                              least(next.s->rows - next.query, TILE));
        if (next.s == at.s && next.head == at.head) return;
        keys = next, begin = 0;
    }
    if (a->paged) return;
    const size_t kv = keys.head / (a->heads / a->kv_heads);
    const size_t count = least(keys.s->position + keys.s->rows - begin, TILE);
    out->keys = coming(a, keys.s->k_tiles[begin / TILE], a->kv_stride, 0, kv, count);
    out->values = coming(a, keys.s->v_tiles[begin / TILE], a->kv_stride, 0, kv, count);
}

void BV_NAME(bv_attention_queries)(const bv_attention_args *a, query_tile at, query_tile next,
                                   void *scratch) {
    const bv_attention_sequence *s = at.s;
    const bool pairs = in_pairs(a);
    const size_t q_at = (s->row + at.query) * a->q_stride + at.head * a->d_head;
    const size_t kv = at.head / (a->heads / a->kv_heads);
    const forward_scratch f = place(a, scratch);
    sight seen;
    softmax_state state;
    look(a, s, at.query, &seen);
    begin_state(&state);
    pack_columns(f.columns, element(a->q, a->type, q_at), a->q_stride * bv_dtype_size(a->type),
                 seen.queries, a->d_head, pairs);
    const size_t first = seen.lowest / TILE, last = seen.highest / TILE;
    for (size_t tile = first; tile <= last; tile++) {
        view w;
        forward_ahead ahead;
        make_view(&seen, tile, &w);
        look_ahead(a, at, next, tile, last, &ahead);
        const word_rows k = key_rows(a, &f, s->k_tiles[tile], kv, w.keys);
        score_tile(&w, k, f.columns, a->d_head, (real)a->scale, f.s, pairs, &ahead.keys);
        softmax_tile(&w, f.s, &state, &ahead.values);
        if (a->dropout > 0) drop_tile(a, s, at.head, at.query, &w, f.s);
        if (pairs) round_tile(&w, f.s, f.p);
        bool finite;
        const word_columns v = value_rows(a, &f, &w, s->v_tiles[tile], kv, &finite);
        add_values(&w, &f, v, &state, tile == first, finite, &ahead, pairs);
    }
    write_output(a, &f, s->row + at.query, 1, at.head, 0, seen.queries, &state);
}

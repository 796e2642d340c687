/*
 * Forward attention at one level, and the table. A work item is a tile of 64 queries of one head
 * (queries in lanes for the softmax), or, when a sequence has one row, all heads of one KV head
 * (keys in lanes, so that keys and values are read once). Both give a query the same bits.
 */
#include "kernel/lanes/attention.h"

#include "kernel/lanes/attention_tile.h"
#include "kernel/lanes/tables.h"
#include "kernel/real_host.h"

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

static forward_scratch place(const bv_attention_args *a, void *scratch) {
    forward_scratch f = {.width = round_up(a->d_head, BV_LANES)};
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

static void begin_state(softmax_state *state) {
    for (size_t i = 0; i < TILE; i++) {
        state->m[i] = -(real)HUGE_VALF;
        state->l[i] = 0;
    }
}

/* exp of a score is taken against this: while nothing is seen any finite number gives 0. */
BV_INLINE vreal reference(vreal m) {
    return v_if_less(v_set(-(real)HUGE_VALF), m, m, v_zero());
}

/* ---- a tile of queries ---- */

BV_INLINE vreal largest_score(const view *w, real *column, size_t b, vreal m) {
    for (size_t g = 0; g < w->groups; g++) {
        if (w->state[g][b] == SEEN_NONE) continue;
        const size_t end = smaller((g + 1) * BV_LANES, w->keys);
        if (w->state[g][b] == SEEN_SOME)
            for (size_t j = g * BV_LANES; j < end; j++)
                v_store(column + j * TILE,
                        where_seen(w->sight, b * BV_LANES, w->base + j, v_load(column + j * TILE),
                                   v_set(-(real)HUGE_VALF)));
        for (size_t j = g * BV_LANES; j < end; j++) m = v_max(v_load(column + j * TILE), m);
    }
    return m;
}

/* Law 2 for one block of queries: scores become probabilities, rows without a score 0. */
BV_INLINE void softmax_block(const view *w, real *column, size_t b, softmax_state *state) {
    const vreal before = v_load(state->m + b * BV_LANES);
    const vreal m = largest_score(w, column, b, before), from = reference(m);
    vreal lane[BV_LANES];
    for (size_t i = 0; i < BV_LANES; i++) {
        vreal sum = v_zero();
        for (size_t g = 0; g < w->groups; g++) {
            real *at = column + (g * BV_LANES + i) * TILE;
            if (w->state[g][b] == SEEN_NONE || g * BV_LANES + i >= w->keys) {
                v_store(at, v_zero());
                continue;
            }
            const vreal p = softmax_exp(v_sub(v_load(at), from));
            v_store(at, p);
            sum = v_add(sum, p);
        }
        lane[i] = sum;
    }
    for (size_t half = BV_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) lane[i] = v_add(lane[i], lane[i + half]);
    const vreal alpha = softmax_exp(v_sub(before, from));
    v_store(state->alpha + b * BV_LANES, alpha);
    v_store(state->l + b * BV_LANES, v_fma(v_load(state->l + b * BV_LANES), alpha, lane[0]));
    v_store(state->m + b * BV_LANES, m);
}

static void softmax_tile(const view *w, real *s, softmax_state *state) {
    for (size_t b = 0; b < w->sight->blocks; b++) softmax_block(w, s + b * BV_LANES, b, state);
}

static void round_tile(const view *w, const real *s, uint32_t *words) {
    for (size_t j = 0; j < w->keys; j += 2)
        for (size_t i = 0; i < w->sight->blocks * BV_LANES; i += BV_LANES)
            store_pair(words + j / 2 * TILE + i, v_load(s + j * TILE + i),
                       v_load(s + (j + 1) * TILE + i));
}

/* o = alpha o + p v. */
static void add_values(const view *w, const forward_scratch *f, const void *v,
                       const softmax_state *state, bool first, bool finite, bool pairs) {
    for (size_t b = 0; b < w->sight->blocks; b++) {
        const size_t i = b * BV_LANES, begin = w->first_key[b], parts = pairs ? 2 : 1;
        const tile_product t = {.m = BV_LANES,
                                .n = f->width,
                                .k = steps(w->end_key[b] - begin, pairs),
                                .a = pairs ? (void *)(f->p + begin / 2 * TILE + i)
                                           : (void *)(f->s + begin * TILE + i),
                                .a_row = pairs ? 4 : sizeof(real),
                                .a_step = TILE * (pairs ? 4 : sizeof(real)),
                                .b = (const char *)v + begin / parts * f->width * word_bytes(pairs),
                                .b_row = f->width,
                                .c = f->o + i * f->width,
                                .c_row = f->width,
                                .scale = 1,
                                .add = !first,
                                .factor = first ? NULL : state->alpha + i};
        if (finite || (w->whole && w->keys % 2 == 0))
            product(&t, pairs);
        else
            product_seen(&t, w, true, i, begin, pairs);
    }
}

/* log of sums in lanes: Cephes' logf (Moshier 1989) with fused multiply-adds, error below 2 ulp;
 * what is not finite stays as it is. Sums are at least 1 unless scores are infinite. */
#ifdef BV_LEVEL_F64
static void log_sums(real *x) {
    for (size_t i = 0; i < BV_LANES; i++) x[i] = bv_log(x[i]);
}
#else
static void log_sums(real *x) {
    real exponent[BV_LANES], mantissa[BV_LANES];
    for (size_t i = 0; i < BV_LANES; i++) {
        uint32_t u;
        memcpy(&u, x + i, sizeof u);
        const uint32_t m = (u & 0x7fffffu) | 0x3f000000u;
        memcpy(mantissa + i, &m, sizeof m);
        exponent[i] = (real)((int32_t)(u >> 23) - 126);
    }
    const vreal m = v_load(mantissa), root = v_set(0.707106781186547524f);
    const vreal e = v_sub(v_load(exponent), v_if_less(m, root, v_set(1), v_zero()));
    const vreal r = v_sub(v_add(m, v_if_less(m, root, m, v_zero())), v_set(1));
    vreal p = v_set(7.0376836292e-2f);
    p = v_fma(p, r, v_set(-1.1514610310e-1f));
    p = v_fma(p, r, v_set(1.1676998740e-1f));
    p = v_fma(p, r, v_set(-1.2420140846e-1f));
    p = v_fma(p, r, v_set(1.4249322787e-1f));
    p = v_fma(p, r, v_set(-1.6668057665e-1f));
    p = v_fma(p, r, v_set(2.0000714765e-1f));
    p = v_fma(p, r, v_set(-2.4999993993e-1f));
    p = v_fma(p, r, v_set(3.3333331174e-1f));
    const vreal square = v_mul(r, r);
    p = v_mul(v_mul(p, r), square);
    p = v_fma(e, v_set(-2.12194440e-4f), p);
    p = v_fma(square, v_set(-0.5f), p);
    p = v_fma(e, v_set(0.693359375f), v_add(r, p));
    const vreal l = v_load(x);
    v_store(x, v_if_less(l, v_set(HUGE_VALF), p, l));
}
#endif

/* Output and log-sum-exp of `count` queries; query i is row + i * row_step, head + i * head_step.
 */
static void write_output(const bv_attention_args *a, const forward_scratch *f, size_t row,
                         size_t row_step, size_t head, size_t head_step, size_t count,
                         softmax_state *state) {
    for (size_t i = 0; i < count; i++) {
        const size_t at = (row + i * row_step) * a->out_stride + (head + i * head_step) * a->d_head;
        write_row(a, a->out, at, f->o + i * f->width, 1 / state->l[i]);
    }
    if (!a->lse) return;
    for (size_t i = 0; i < count; i += BV_LANES) log_sums(state->l + i);
    for (size_t i = 0; i < count; i++)
        ((real *)a->lse)[(row + i * row_step) * a->heads + head + i * head_step] =
            state->m[i] + state->l[i];
}

/* Where a KV head begins in a tile of keys or of values. */
static const void *head_keys(const bv_attention_args *a, const void *tile, size_t kv) {
    if (a->paged) return (const char *)tile + kv * bv_attention_key_bytes(a->type, a->d_head);
    return element(tile, a->type, kv * a->d_head);
}

static const void *head_values(const bv_attention_args *a, const void *tile, size_t kv) {
    if (a->paged) return (const char *)tile + kv * bv_attention_value_bytes(a->type, a->d_head);
    return element(tile, a->type, kv * a->d_head);
}

/* Keys of a tile as rows of words. */
static word_rows key_rows(const bv_attention_args *a, const forward_scratch *f, const void *keys,
                          size_t count) {
    const bool pairs = in_pairs(a);
    if (a->paged) return (word_rows){keys, word_bytes(pairs), TILE * word_bytes(pairs)};
    return read_words(f->rows, keys, a->kv_stride, count, a->d_head, pairs);
}

/* Are all of `count` words finite? A multiple of 16. */
static bool all_finite(const void *words, size_t count, bool pairs) {
    vreal probe = v_zero();
    uint32_t bad = 0;
    for (size_t i = 0; !pairs && i < count; i += BV_LANES)
        probe = v_fma(v_load((const real *)words + i), v_zero(), probe);
    for (size_t i = 0; pairs && i < count; i++) {
        const uint32_t word = ((const uint32_t *)words)[i];
        bad |= (uint32_t)((word & 0x7f80u) == 0x7f80u) |
               (uint32_t)((word & 0x7f800000u) == 0x7f800000u);
    }
    const real sum = v_sum(probe);
    return sum == sum && bad == 0;
}

/* Values of a tile as packed rows; finite: are they, as far as it matters? Behind an odd last key
 * a page may hold a later one. */
static const void *value_rows(const bv_attention_args *a, const forward_scratch *f, const view *w,
                              const void *values, bool *finite) {
    const bool pairs = in_pairs(a);
    if (!a->paged) {
        *finite = pack_rows(f->v, values, a->kv_stride, 0, w->keys, a->d_head, pairs);
        return f->v;
    }
    const bool all = w->whole && w->keys % 2 == 0;
    *finite = all || all_finite(values, steps(w->keys, pairs) * f->width, pairs);
    return values;
}

static void forward_tile(const bv_attention_args *a, const bv_attention_sequence *s, size_t head,
                         size_t query, void *scratch) {
    const bool pairs = in_pairs(a);
    const size_t q_at = (s->row + query) * a->q_stride + head * a->d_head;
    const size_t kv = head / (a->heads / a->kv_heads);
    const forward_scratch f = place(a, scratch);
    sight seen;
    softmax_state state;
    look(a, s, query, &seen);
    begin_state(&state);
    pack_columns(f.columns, element(a->q, a->type, q_at), a->q_stride * bv_dtype_size(a->type),
                 seen.queries, a->d_head, pairs);
    for (size_t tile = seen.lowest / TILE; tile <= seen.highest / TILE; tile++) {
        view w;
        make_view(&seen, tile, &w);
        const word_rows k = key_rows(a, &f, head_keys(a, s->k_tiles[tile], kv), w.keys);
        score_tile(&w, k, f.columns, a->d_head, (real)a->scale, f.s, pairs);
        softmax_tile(&w, f.s, &state);
        if (a->dropout > 0) drop_tile(a, s, head, query, &w, f.s);
        if (pairs) round_tile(&w, f.s, f.p);
        bool finite;
        const void *v = value_rows(a, &f, &w, head_values(a, s->v_tiles[tile], kv), &finite);
        add_values(&w, &f, v, &state, tile == seen.lowest / TILE, finite, pairs);
    }
    write_output(a, &f, s->row + query, 1, head, 0, seen.queries, &state);
}

/* ---- one row ---- */

/* A tile of keys seen by one position: keys begin .. end - 1 of the tile. */
typedef struct stretch {
    size_t begin, end;
} stretch;

/* Law 2 with keys in lanes. */
static void softmax_row(real *s, stretch seen, real *m, real *l, real *alpha) {
    const vreal nothing = v_set(-(real)HUGE_VALF);
    const size_t end = round_up(seen.end, BV_LANES);
    vreal largest = v_set(*m), sum = v_zero();
    for (size_t j = 0; j < end; j += BV_LANES) {
        const size_t skip = seen.begin > j ? smaller(seen.begin - j, BV_LANES) : 0;
        vreal x = v_load(s + j);
        if (skip) x = v_first(skip, nothing, x);
        if (seen.end < j + BV_LANES) x = v_first(seen.end - j, x, nothing);
        v_store(s + j, x);
        largest = v_max(x, largest);
    }
    const vreal before = v_set(*m), after = v_set(v_largest(largest)), from = reference(after);
    for (size_t j = 0; j < end; j += BV_LANES) {
        const vreal p = softmax_exp(v_sub(v_load(s + j), from));
        v_store(s + j, p);
        sum = v_add(sum, p);
    }
    real first[BV_LANES];
    v_store(first, softmax_exp(v_sub(before, from)));
    *alpha = first[0];
    *l = real_fma(*l, first[0], v_sum(sum));
    v_store(first, after);
    *m = first[0];
}

static void drop_row(const bv_attention_args *a, const bv_attention_sequence *s, size_t head,
                     size_t base, size_t keys, real *p) {
    const uint32_t who = s->sample * (uint32_t)a->heads + (uint32_t)head;
    for (size_t j = 0; j < keys; j += 4) {
        uint32_t words[4][BV_LANES];
        random_block(a, who, s->position, base + j, words);
        for (size_t k = 0; k < 4 && j + k < keys; k++)
            p[j + k] *=
                bv_uniform_f32(words[k][0]) >= (float)a->dropout ? (real)(1 / (1 - a->dropout)) : 0;
    }
}

/* Keys of a tile as columns. */
static const void *key_columns(const bv_attention_args *a, const forward_scratch *f,
                               const void *keys, size_t count) {
    if (a->paged) return keys;
    pack_columns(f->columns, keys, a->kv_stride * bv_dtype_size(a->type), count, a->d_head,
                 in_pairs(a));
    return f->columns;
}

/* Values of a tile for a row: the steps from the one with key seen.begin on, and the distance from
 * step to step. A pair of which only the odd key is seen is copied without the other. */
static const void *value_steps(const bv_attention_args *a, const forward_scratch *f,
                               const void *values, stretch seen, size_t *stride) {
    const bool pairs = in_pairs(a), cut = pairs && seen.begin % 2;
    const size_t first = seen.begin / (pairs ? 2 : 1), count = steps(seen.end, pairs) - first;
    const size_t row_bytes = f->width * word_bytes(pairs);
    *stride = f->width;
    if (a->paged && !cut) return (const char *)values + first * row_bytes;
    if (a->paged) {
        memcpy(f->v, (const char *)values + first * row_bytes, count * row_bytes);
        for (size_t c = 0; c < f->width; c++) ((uint32_t *)f->v)[c] &= 0xffff0000u;
        return f->v;
    }
    if (!pairs && a->d_head % BV_LANES == 0) {
        *stride = a->kv_stride;
        return (const real *)values + first * a->kv_stride;
    }
    pack_rows(f->v, values, a->kv_stride, seen.begin, seen.end, a->d_head, pairs);
    return (const char *)f->v + first * row_bytes;
}

/* Law 2 for one tile of `count` queries whose scores are in f->s: [count, TILE]. */
static void row_probabilities(const bv_attention_args *a, const bv_attention_sequence *s,
                              size_t head, size_t count, size_t base, stretch seen,
                              const forward_scratch *f, softmax_state *state) {
    for (size_t i = 0; i < count; i++) {
        real *p = f->s + i * TILE;
        softmax_row(p, seen, &state->m[i], &state->l[i], &state->alpha[i]);
        if (a->dropout > 0) drop_row(a, s, head + i, base, seen.end, p);
        for (size_t j = 0; in_pairs(a) && j < round_up(seen.end, BV_LANES); j += BV_LANES)
            v_store_bf16((uint16_t *)f->p + i * TILE + j, v_load(p + j));
    }
}

/* One tile of keys for `count` heads of a KV head. s: [count, TILE]. */
static void row_tile(const bv_attention_args *a, const bv_attention_sequence *s, size_t head,
                     size_t count, word_rows q, size_t tile, const forward_scratch *f,
                     softmax_state *state, bool first) {
    const bool pairs = in_pairs(a);
    const size_t d = a->d_head, kv = head / (a->heads / a->kv_heads), base = tile * TILE;
    const size_t low = first_key(a, s, 0);
    const stretch seen = {low > base ? low - base : 0, smaller(s->position + 1 - base, TILE)};
    const void *v = head_values(a, s->v_tiles[tile], kv);
    const bool last = !a->paged || (tile + 1) * TILE > s->position;
    const tile_product scores = {
        .m = count,
        .n = round_up(seen.end, BV_LANES),
        .k = steps(d, pairs),
        .a = q.rows,
        .a_row = q.stride,
        .a_step = q.step,
        .b = key_columns(a, f, head_keys(a, s->k_tiles[tile], kv), seen.end),
        .b_row = TILE,
        .c = f->s,
        .c_row = TILE,
        .scale = (real)a->scale,
        .fetch = last ? NULL : head_keys(a, s->k_tiles[tile + 1], kv)};
    product(&scores, pairs);
    row_probabilities(a, s, head, count, base, seen, f, state);
    size_t b_row;
    const size_t begin = seen.begin / (pairs ? 2 : 1);
    const tile_product values = {.m = count,
                                 .n = f->width,
                                 .k = steps(seen.end, pairs) - begin,
                                 .a = pairs ? (void *)((uint16_t *)f->p + begin * 2)
                                            : (void *)(f->s + begin),
                                 .a_row = TILE * (pairs ? 2 : sizeof(real)),
                                 .a_step = word_bytes(pairs),
                                 .b = value_steps(a, f, v, seen, &b_row),
                                 .b_row = b_row,
                                 .c = f->o,
                                 .c_row = f->width,
                                 .scale = 1,
                                 .add = !first,
                                 .factor = first ? NULL : state->alpha,
                                 .fetch = last ? NULL : head_values(a, s->v_tiles[tile + 1], kv)};
    product(&values, pairs);
}

static void forward_row(const bv_attention_args *a, const bv_attention_sequence *s, size_t kv,
                        void *scratch) {
    const size_t group = a->heads / a->kv_heads, low = first_key(a, s, 0);
    const forward_scratch f = place(a, scratch);
    for (size_t begin = 0; begin < group; begin += TILE) {
        const size_t head = kv * group + begin, count = smaller(group - begin, TILE);
        const void *q = element(a->q, a->type, s->row * a->q_stride + head * a->d_head);
        const word_rows words = read_words(f.rows, q, a->d_head, count, a->d_head, in_pairs(a));
        softmax_state state;
        begin_state(&state);
        for (size_t tile = low / TILE; tile <= s->position / TILE; tile++)
            row_tile(a, s, head, count, words, tile, &f, &state, tile == low / TILE);
        write_output(a, &f, s->row, 0, head, 1, count, &state);
    }
}

/* ---- items ---- */

static size_t sequence_items(const bv_attention_args *a, const bv_attention_sequence *s) {
    return s->rows == 1 ? a->kv_heads : a->heads * ((s->rows + TILE - 1) / TILE);
}

static size_t forward_items(const bv_attention_args *a) {
    size_t items = 0;
    for (size_t i = 0; i < a->sequence_count; i++) items += sequence_items(a, &a->sequences[i]);
    return items;
}

/* Tiles of a head follow each other, the longest first: its keys stay in the cache. */
static void forward(const bv_attention_args *a, size_t item, void *scratch) {
    const bv_attention_sequence *s = a->sequences;
    for (; item >= sequence_items(a, s); s++) item -= sequence_items(a, s);
    if (s->rows == 1) {
        forward_row(a, s, item, scratch);
        return;
    }
    const size_t tiles = (s->rows + TILE - 1) / TILE;
    forward_tile(a, s, item / tiles, (tiles - 1 - item % tiles) * TILE, scratch);
}

static size_t backward_items(const bv_attention_args *a) {
    return a->sequence_count * a->kv_heads;
}

static size_t scratch_bytes(const bv_attention_args *a, bool backward) {
    BV_ASSERT(a->d_head >= 1 && a->d_head <= D_HEAD_MAX);
    static char nowhere[64];
    return round_up(backward ? BV_NAME(bv_attention_backward_bytes)(a) : place(a, nowhere).bytes,
                    64);
}

const bv_attention_kernels BV_NAME(bv_attention_table) = {
    .forward_items = forward_items,
    .backward_items = backward_items,
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward = BV_NAME(bv_attention_backward),
};

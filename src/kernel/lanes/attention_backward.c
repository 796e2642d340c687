/*
 * Backward attention at one level. A work item owns one sequence and one KV head, so the chains of
 * its dK and dV belong to one thread: heads of the KV head ascending, query tiles ascending,
 * queries ascending; dQ: key tiles ascending, keys ascending.
 *
 *   P = exp(S - lse), dV += P^T dO, dP = dO V^T, dS = P (dP - D) scale, dQ += dS K, dK += dS^T Q
 *
 * with D = sum dO O. With dropout, dV takes P times its factor F, and dS takes dP F.
 */
#include "kernel/lanes/attention.h"

#include "kernel/lanes/attention_tile.h"

/* Scratch of one thread. Rows of reals are `width` long; at bf16 rows are words of row pairs. */
typedef struct backward_scratch {
    size_t width;
    void *q_columns, *do_columns;    /* [d, TILE] transposed */
    void *q_rows, *do_rows, *k_rows; /* [TILE, width] */
    void *words;                     /* rows of odd length, padded */
    real *p, *ds, *drop;             /* [TILE keys, TILE queries]; dP stands in ds before */
    uint16_t *p_half, *ds_half;      /* bf16: rounded, pairs of queries are words */
    uint32_t *ds_words;              /* bf16: words of pairs of keys [TILE / 2, TILE] */
    real *dq;                        /* [TILE, width] */
    real *dk, *dv;                   /* [rows, width], the whole sequence */
    real lse[TILE], d[TILE];
    bool q_finite, do_finite, k_finite;
    /* What is read after a tile of keys, and what is written. */
    struct {
        coming_rows k, v, q, dout, out, dk, dv, dq;
    } ahead;
} backward_scratch;

static size_t rows_max(const bv_attention_args *a) {
    size_t rows = 0;
    for (size_t i = 0; i < a->sequence_count; i++)
        if (a->sequences[i].rows > rows) rows = a->sequences[i].rows;
    return up(rows, TILE);
}

static size_t place(const bv_attention_args *a, char *base, backward_scratch *s) {
    const size_t width = up(a->d_head, BV_LANES), rows = rows_max(a);
    const size_t tile = width * TILE * sizeof(real);
    char *at = base;
    s->width = width;
    s->q_columns = at, at += tile;
    s->do_columns = at, at += tile;
    s->q_rows = at, at += tile;
    s->do_rows = at, at += tile;
    s->k_rows = at, at += tile;
    s->words = at, at += tile + TILE * sizeof(real);
    s->p = (void *)at, at += TILE * TILE * sizeof(real);
    s->ds = (void *)at, at += TILE * TILE * sizeof(real);
    s->drop = (void *)at, at += a->dropout > 0 ? TILE * TILE * sizeof(real) : 0;
    s->p_half = (void *)at, at += TILE * TILE * sizeof(uint16_t);
    s->ds_half = (void *)at, at += TILE * TILE * sizeof(uint16_t);
    s->ds_words = (void *)at, at += TILE / 2 * TILE * sizeof(uint32_t);
    s->dq = (void *)at, at += tile;
    s->dk = (void *)at, at += width * rows * sizeof(real);
    s->dv = (void *)at, at += width * rows * sizeof(real);
    return (size_t)(at - base);
}

size_t BV_NAME(bv_attention_backward_bytes)(const bv_attention_args *args) {
    static char nowhere[64];
    backward_scratch s;
    return place(args, nowhere, &s);
}

/* D of each query: 16 virtual lanes over channels and the fixed tree. */
BV_INLINE void dots(const bv_attention_args *a, size_t at, size_t count, real *out, bool pairs) {
    const bv_dtype type = pairs ? BV_BF16 : BV_REAL_TYPE;
    for (size_t i = 0; i < count; i++, at += a->out_stride) {
        vreal sum = v_zero();
        for (size_t k = 0; k < a->d_head; k += BV_LANES) {
            const size_t n = least(a->d_head - k, BV_LANES);
            sum = v_fma(v_get_first(a->dout, type, at + k, n), v_get_first(a->out, type, at + k, n),
                        sum);
        }
        out[i] = v_sum(sum);
    }
}

static void query_constants(const bv_attention_args *a, size_t row, size_t head, const sight *seen,
                            backward_scratch *b) {
    const size_t at = row * a->out_stride + head * a->d_head;
    const real *lse = (const real *)a->lse + row * a->heads + head;
    if (in_pairs(a))
        dots(a, at, seen->queries, b->d, true);
    else
        dots(a, at, seen->queries, b->d, false);
    for (size_t i = 0; i < seen->queries; i++) b->lse[i] = lse[i * a->heads];
    for (size_t i = seen->queries; i < TILE; i++) b->lse[i] = b->d[i] = 0;
}

/* P and dS of 16 x 16; drop: factors or NULL. `some`: not all is seen. */
BV_INLINE void probability_block(const view *w, size_t g, size_t i, real scale, const real *drop,
                                 backward_scratch *b, bool some) {
    const vreal lse = v_load(b->lse + i), d = v_load(b->d + i), s = v_set(scale);
    const size_t end = least((g + 1) * BV_LANES, w->keys);
    for (size_t j = g * BV_LANES; j < end; j++) {
        real *p_at = b->p + j * TILE + i, *ds_at = b->ds + j * TILE + i;
        vreal p = v_exp(v_sub(v_load(p_at), lse)), dp = v_load(ds_at), kept = p;
        if (drop) {
            const vreal factor = v_load(drop + j * TILE + i);
            dp = v_mul(dp, factor);
            kept = v_mul(p, factor);
        }
        vreal ds = v_mul(v_mul(p, v_sub(dp, d)), s);
        if (some) {
            kept = where_seen(w->sight, i, w->base + j, kept, v_zero());
            ds = where_seen(w->sight, i, w->base + j, ds, v_zero());
        }
        v_store(p_at, kept);
        v_store(ds_at, ds);
    }
}

static void clear_block(size_t begin, size_t end, size_t i, backward_scratch *b) {
    for (size_t j = begin; j < end; j++) {
        v_store(b->p + j * TILE + i, v_zero());
        v_store(b->ds + j * TILE + i, v_zero());
    }
}

/* Of the blocks from the first that sees a key of a group to the last one. */
static void probabilities(const view *w, real scale, const real *drop, backward_scratch *b) {
    for (size_t g = 0; g < w->groups; g++) {
        fetch_block(&b->ahead.dk, g);
        fetch_block(&b->ahead.dv, g);
        for (size_t q = w->first_query[g]; q < w->end_query[g]; q++) {
            const size_t i = q * BV_LANES, begin = g * BV_LANES;
            if (w->state[g][q] == SEEN_NONE)
                clear_block(begin, begin + BV_LANES, i, b);
            else if (w->state[g][q] == SEEN_ALL)
                probability_block(w, g, i, scale, drop, b, false);
            else
                probability_block(w, g, i, scale, drop, b, true);
            if (g + 1 == w->groups) clear_block(w->keys, up(w->keys, BV_LANES), i, b);
        }
    }
}

static void round_pair(size_t at, size_t word, backward_scratch *b) {
    const vreal even = v_load(b->ds + at), odd = v_load(b->ds + at + TILE);
    v_store_pairs(b->ds_words + word, even, odd);
    v_store_bf16(b->ds_half + at, even);
    v_store_bf16(b->ds_half + at + TILE, odd);
    v_store_bf16(b->p_half + at, v_load(b->p + at));
    v_store_bf16(b->p_half + at + TILE, v_load(b->p + at + TILE));
}

static void round_tiles(const view *w, backward_scratch *b) {
    for (size_t j = 0; j < w->keys; j += 2)
        for (size_t q = w->first_query[j / BV_LANES]; q < w->end_query[j / BV_LANES]; q++)
            round_pair(j * TILE + q * BV_LANES, j / 2 * TILE + q * BV_LANES, b);
}

/* C of keys += tile rows of queries, for dV and dK. tile: p or ds; at bf16 rounded. */
static void add_to_keys(const view *w, const void *tile, const void *rows, bool finite,
                        size_t width, real *c, const coming_rows *next, bool pairs) {
    const size_t unit = pairs ? sizeof(uint16_t) : sizeof(real), parts = pairs ? 2 : 1;
    for (size_t g = 0; g < w->groups; g++) {
        fetch_block(next, g);
        const size_t key = g * BV_LANES, begin = w->first_query[g] * BV_LANES;
        const size_t end = least(w->end_query[g] * BV_LANES, w->sight->queries);
        if (end <= begin) continue;
        const tile_product t = {.m = least(w->keys - key, BV_LANES),
                                .n = width,
                                .k = steps(end - begin, pairs),
                                .a = (const char *)tile + (key * TILE + begin) * unit,
                                .a_row = TILE * unit,
                                .a_step = parts * unit,
                                .b = (const real *)rows + begin / parts * width,
                                .b_row = width,
                                .b_col = BV_LANES,
                                .c = c + key * width,
                                .c_row = width,
                                .add = true,
                                .upper = w->base + key == w->sight->high_min[begin / BV_LANES]};
        if (finite || w->whole)
            product(&t, pairs);
        else
            product_seen(&t, w, false, key, begin, pairs);
    }
}

static void add_to_queries(const view *w, backward_scratch *b, bool pairs) {
    const size_t parts = pairs ? 2 : 1;
    for (size_t q = 0; q < w->sight->blocks; q++) {
        const size_t i = q * BV_LANES, begin = w->first_key[q];
        fetch_block(&b->ahead.dq, q);
        fetch_block(&b->ahead.out, q);
        if (w->end_key[q] <= begin) continue;
        const tile_product t = {.m = BV_LANES,
                                .n = b->width,
                                .k = steps(w->end_key[q] - begin, pairs),
                                .a = pairs ? (void *)(b->ds_words + begin / 2 * TILE + i)
                                           : (void *)(b->ds + begin * TILE + i),
                                .a_row = pairs ? 4 : sizeof(real),
                                .a_step = TILE * (pairs ? 4 : sizeof(real)),
                                .b = (const real *)b->k_rows + begin / parts * b->width,
                                .b_row = b->width,
                                .b_col = BV_LANES,
                                .c = b->dq + i * b->width,
                                .c_row = b->width,
                                .add = true,
                                .lower = keys_of_first(w, q)};
        if (b->k_finite || w->whole)
            product(&t, pairs);
        else
            product_seen(&t, w, true, i, begin, pairs);
    }
}

static void visit(const bv_attention_args *a, query_tile at, const view *w, backward_scratch *b) {
    const bool pairs = in_pairs(a);
    const size_t tile = w->base / TILE, kv = at.head / (a->heads / a->kv_heads) * a->d_head;
    const void *k = element(at.s->k_tiles[tile], a->type, kv);
    const void *v = element(at.s->v_tiles[tile], a->type, kv);
    word_rows words = read_words(b->words, k, a->kv_stride, w->keys, a->d_head, pairs);
    score_tile(w, words, b->q_columns, a->d_head, (real)a->scale, b->p, pairs, &b->ahead.k);
    words = read_words(b->words, v, a->kv_stride, w->keys, a->d_head, pairs);
    score_tile(w, words, b->do_columns, a->d_head, 1, b->ds, pairs, &b->ahead.v);
    if (a->dropout > 0) {
        for (size_t i = 0; i < TILE * TILE; i++) b->drop[i] = 1;
        drop_tile(a, at.s, at.head, at.query, w, b->drop);
    }
    probabilities(w, (real)a->scale, a->dropout > 0 ? b->drop : NULL, b);
    b->k_finite = pack_rows(b->k_rows, k, a->kv_stride, 0, w->keys, a->d_head, pairs);
    if (pairs) round_tiles(w, b);
    const void *p = pairs ? (void *)b->p_half : (void *)b->p;
    const void *ds = pairs ? (void *)b->ds_half : (void *)b->ds;
    real *dk = b->dk + w->base * b->width, *dv = b->dv + w->base * b->width;
    add_to_keys(w, p, b->do_rows, b->do_finite, b->width, dv, &b->ahead.q, pairs);
    add_to_keys(w, ds, b->q_rows, b->q_finite, b->width, dk, &b->ahead.dout, pairs);
    add_to_queries(w, b, pairs);
}

/* The tile of queries after this one: of the next head, the next sequence. */
static query_tile following(const bv_attention_args *a, query_tile at) {
    at.query += TILE;
    if (at.query < at.s->rows) return at;
    at.head++, at.query = 0;
    if (at.head < a->heads) return at;
    at.s++, at.head = 0;
    if (at.s == a->sequences + a->sequence_count) at.s = NULL;
    return at;
}

static void look_ahead(const bv_attention_args *a, query_tile at, size_t tile, size_t last,
                       backward_scratch *b) {
    const size_t group = a->heads / a->kv_heads;
    const query_tile next = following(a, at);
    const bool ends = !next.s || next.s != at.s || next.head / group != at.head / group;
    const size_t q = a->q_stride, o = a->out_stride, kv = a->kv_stride;
    memset(&b->ahead, 0, sizeof b->ahead);
    if (ends) {
        const size_t row = at.s->row + tile * TILE, count = least(at.s->rows - tile * TILE, TILE);
        b->ahead.dk = coming(a, a->dk, kv, row, at.head / group, count);
        b->ahead.dv = coming(a, a->dv, kv, row, at.head / group, count);
    }
    if (tile == last) {
        b->ahead.dq =
            coming(a, a->dq, q, at.s->row + at.query, at.head, least(at.s->rows - at.query, TILE));
        if (!next.s) return;
        const size_t row = next.s->row + next.query, count = least(next.s->rows - next.query, TILE);
        b->ahead.q = coming(a, a->q, q, row, next.head, count);
        b->ahead.dout = coming(a, a->dout, o, row, next.head, count);
        b->ahead.out = coming(a, a->out, o, row, next.head, count);
        if (!ends) return;
    }
    const query_tile keys = tile == last ? next : at;
    const size_t begin = tile == last ? 0 : tile + 1,
                 count = least(keys.s->rows - begin * TILE, TILE);
    b->ahead.k = coming(a, keys.s->k_tiles[begin], kv, 0, keys.head / group, count);
    b->ahead.v = coming(a, keys.s->v_tiles[begin], kv, 0, keys.head / group, count);
}

static void visit_keys(const bv_attention_args *a, query_tile at, backward_scratch *b) {
    const bool pairs = in_pairs(a);
    const size_t d = a->d_head, row = at.s->row + at.query, unit = bv_dtype_size(a->type);
    const size_t q_at = row * a->q_stride + at.head * d, o_at = row * a->out_stride + at.head * d;
    const void *q = element(a->q, a->type, q_at), *dout = element(a->dout, a->type, o_at);
    sight seen;
    look(a, at.s, at.query, &seen);
    query_constants(a, row, at.head, &seen, b);
    pack_columns(b->q_columns, q, a->q_stride * unit, seen.queries, d, pairs);
    pack_columns(b->do_columns, dout, a->out_stride * unit, seen.queries, d, pairs);
    b->q_finite = pack_rows(b->q_rows, q, a->q_stride, 0, seen.queries, d, pairs);
    b->do_finite = pack_rows(b->do_rows, dout, a->out_stride, 0, seen.queries, d, pairs);
    memset(b->dq, 0, TILE * b->width * sizeof *b->dq);
    const size_t last = seen.highest / TILE;
    for (size_t tile = seen.lowest / TILE; tile <= last; tile++) {
        view w;
        make_view(&seen, tile, &w);
        look_ahead(a, at, tile, last, b);
        visit(a, at, &w, b);
    }
    write_rows(a, a->dq, q_at, a->q_stride, b->dq, seen.queries, NULL);
}

void BV_NAME(bv_attention_backward)(const bv_attention_args *a, size_t item, void *scratch) {
    const bv_attention_sequence *s = &a->sequences[item / a->kv_heads];
    const size_t kv = item % a->kv_heads, group = a->heads / a->kv_heads;
    BV_ASSERT(s->position == 0);
    backward_scratch b;
    place(a, scratch, &b);
    memset(b.dk, 0, up(s->rows, TILE) * b.width * sizeof *b.dk);
    memset(b.dv, 0, up(s->rows, TILE) * b.width * sizeof *b.dv);
    for (size_t head = kv * group; head < (kv + 1) * group; head++)
        for (size_t query = 0; query < s->rows; query += TILE)
            visit_keys(a, (query_tile){s, head, query}, &b);
    const size_t at = s->row * a->kv_stride + kv * a->d_head;
    write_rows(a, a->dk, at, a->kv_stride, b.dk, s->rows, NULL);
    write_rows(a, a->dv, at, a->kv_stride, b.dv, s->rows, NULL);
}

/*
 * Forward attention of a sequence with one row, as a token that is written has: keys are in lanes
 * for the softmax. Heads go through a tile of keys together, scores of all, then probabilities,
 * then outputs: heads of one KV head read it once, and the streams of the cache go on from one KV
 * head to the next. A query gets the bits that it gets in a tile (attention_queries.c).
 */
#include "kernel/lanes/attention_forward.h"
#include "kernel/lanes/attention_product.h"

/* A tile of keys seen by one position: keys begin .. end - 1 of the tile. */
typedef struct stretch {
    size_t begin, end;
} stretch;

/* Law 2 with keys in lanes. */
static void softmax_row(real *s, stretch seen, real *m, real *l, real *alpha) {
    const vreal nothing = v_set(-(real)HUGE_VALF);
    const size_t end = up(seen.end, BV_LANES);
    vreal largest = v_set(*m), sum = v_zero();
    for (size_t j = 0; j < end; j += BV_LANES) {
        const size_t skip = seen.begin > j ? least(seen.begin - j, BV_LANES) : 0;
        vreal x = v_load(s + j);
        if (skip) x = v_first(skip, nothing, x);
        if (seen.end < j + BV_LANES) x = v_first(seen.end - j, x, nothing);
        v_store(s + j, x);
        largest = v_max(x, largest);
    }
    const vreal before = v_set(*m), after = v_set(v_largest(largest)), from = reference(after);
    for (size_t j = 0; j < end; j += BV_LANES) {
        const vreal p = v_exp(v_sub(v_load(s + j), from));
        v_store(s + j, p);
        sum = v_add(sum, p);
    }
    real first[BV_LANES];
    v_store(first, v_exp(v_sub(before, from)));
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

/* The cache is walked block beside block, so that the hardware sees several streams. Fetches lines
 * first .. end - 1 of each block of `n` columns before it is their turn: the hardware begins its
 * streams, and memory works while the softmax does. */
static void fetch_lines(word_columns c, size_t n, size_t first, size_t end, bool pairs) {
    const size_t word = word_bytes(pairs);
    for (size_t line = first; line < end; line++)
        for (size_t i = 0; i < n; i += BV_LANES)
            __builtin_prefetch((const char *)c.words + i / BV_LANES * c.block * word + line * 64, 0,
                               2);
}

/* Keys of a tile as columns. */
static word_columns key_columns(const bv_attention_args *a, const forward_scratch *f,
                                const void *tile, size_t kv, size_t count) {
    if (a->paged) return cache_keys(a, tile, kv);
    pack_columns(f->columns, head_rows(a, tile, kv), a->kv_stride * bv_dtype_size(a->type), count,
                 a->d_head, in_pairs(a));
    return (word_columns){f->columns, TILE, BV_LANES};
}

/* A pair of which only the odd key is seen, copied without the other. */
static word_columns cut_values(const forward_scratch *f, word_columns v, size_t count) {
    uint32_t *to = f->v;
    for (size_t c = 0; c < f->width; c += BV_LANES) {
        memcpy(to + c * count, (const uint32_t *)v.words + c / BV_LANES * v.block,
               count * BV_LANES * sizeof *to);
        for (size_t i = 0; i < BV_LANES; i++) to[c * count + i] &= 0xffff0000u;
    }
    return (word_columns){to, BV_LANES, count * BV_LANES};
}

/* Values of a tile for a row: the steps from the one with key seen.begin on. */
static word_columns value_steps(const bv_attention_args *a, const forward_scratch *f,
                                const void *tile, size_t kv, stretch seen) {
    const bool pairs = in_pairs(a);
    const size_t first = seen.begin / (pairs ? 2 : 1);
    if (a->paged) {
        word_columns v = cache_values(a, tile, kv);
        v.words = (const char *)v.words + first * v.row * word_bytes(pairs);
        return pairs && seen.begin % 2 ? cut_values(f, v, steps(seen.end, pairs) - first) : v;
    }
    const real *rows = head_rows(a, tile, kv);
    if (!pairs && a->d_head % BV_LANES == 0)
        return (word_columns){rows + first * a->kv_stride, a->kv_stride, BV_LANES};
    pack_rows(f->v, rows, a->kv_stride, seen.begin, seen.end, a->d_head, pairs);
    return (word_columns){(const char *)f->v + first * f->width * word_bytes(pairs), f->width,
                          BV_LANES};
}

/* Heads first .. first + count - 1 of a row, at most TILE, and where they are. */
typedef struct row_heads {
    const bv_attention_args *args;
    const bv_attention_sequence *sequence;
    size_t first, count;
    word_rows queries;
    forward_scratch f;
    softmax_state state;
} row_heads;

/* How many of the heads from the i-th on share its KV head. */
static size_t of_one_kv(const row_heads *r, size_t i) {
    const size_t group = r->args->heads / r->args->kv_heads;
    return least(group - (r->first + i) % group, r->count - i);
}

static size_t kv_of(const row_heads *r, size_t i) {
    return (r->first + i) / (r->args->heads / r->args->kv_heads);
}

/* f.s [count, TILE] = scale (q . keys). */
static void row_scores(const row_heads *r, const void *tile, size_t keys) {
    const bv_attention_args *a = r->args;
    const bool pairs = in_pairs(a);
    for (size_t i = 0, n; i < r->count; i += n) {
        n = of_one_kv(r, i);
        const word_columns k = key_columns(a, &r->f, tile, kv_of(r, i), keys);
        const tile_product scores = {.m = n,
                                     .n = up(keys, BV_LANES),
                                     .k = steps(a->d_head, pairs),
                                     .a = (const char *)r->queries.rows + i * r->queries.stride,
                                     .a_row = r->queries.stride,
                                     .a_step = r->queries.step,
                                     .b = k.words,
                                     .b_row = k.row,
                                     .b_col = k.block,
                                     .c = r->f.s + i * TILE,
                                     .c_row = TILE,
                                     .scale = (real)a->scale};
        product(&scores, pairs);
    }
}

/* Law 2 for one tile whose scores are in f.s. */
static void row_probabilities(row_heads *r, size_t base, stretch seen) {
    const bool pairs = in_pairs(r->args);
    softmax_state *state = &r->state;
    for (size_t i = 0; i < r->count; i++) {
        real *p = r->f.s + i * TILE;
        softmax_row(p, seen, &state->m[i], &state->l[i], &state->alpha[i]);
        if (r->args->dropout > 0) drop_row(r->args, r->sequence, r->first + i, base, seen.end, p);
        for (size_t j = 0; pairs && j < up(seen.end, BV_LANES); j += BV_LANES)
            v_store_bf16((uint16_t *)r->f.p + i * TILE + j, v_load(p + j));
    }
}

/* f.o [count, width] = alpha f.o + p . values. */
static void row_outputs(const row_heads *r, const void *tile, stretch seen, bool first) {
    const bv_attention_args *a = r->args;
    const bool pairs = in_pairs(a);
    const size_t begin = seen.begin / (pairs ? 2 : 1), word = word_bytes(pairs);
    const size_t row = TILE * (pairs ? sizeof(uint16_t) : sizeof(real));
    const char *p = pairs ? (const void *)r->f.p : r->f.s;
    for (size_t i = 0, n; i < r->count; i += n) {
        n = of_one_kv(r, i);
        const word_columns v = value_steps(a, &r->f, tile, kv_of(r, i), seen);
        const tile_product values = {.m = n,
                                     .n = r->f.width,
                                     .k = steps(seen.end, pairs) - begin,
                                     .a = p + i * row + begin * word,
                                     .a_row = row,
                                     .a_step = word,
                                     .b = v.words,
                                     .b_row = v.row,
                                     .b_col = v.block,
                                     .c = r->f.o + i * r->f.width,
                                     .c_row = r->f.width,
                                     .scale = 1,
                                     .add = !first,
                                     .factor = first ? NULL : r->state.alpha + i};
        product(&values, pairs);
    }
}

static void row_tile(row_heads *r, size_t tile, bool first, bool last) {
    const bv_attention_args *a = r->args;
    const bv_attention_sequence *s = r->sequence;
    const bool pairs = in_pairs(a);
    const size_t low = first_key(a, s, 0), base = tile * TILE, kv = kv_of(r, 0);
    const stretch seen = {low > base ? low - base : 0, least(s->position + 1 - base, TILE)};
    row_scores(r, s->k_tiles[tile], seen.end);
    if (a->paged) fetch_lines(cache_values(a, s->v_tiles[tile], kv), r->f.width, 0, 6, pairs);
    row_probabilities(r, base, seen);
    row_outputs(r, s->v_tiles[tile], seen, first);
    if (a->paged && !last) fetch_lines(cache_keys(a, s->k_tiles[tile + 1], kv), TILE, 0, 2, pairs);
}

static void row_of_heads(const bv_attention_args *a, const bv_attention_sequence *s, size_t head,
                         size_t count, void *scratch) {
    row_heads r = {.args = a, .sequence = s, .first = head, .count = count};
    const void *q = element(a->q, a->type, s->row * a->q_stride + head * a->d_head);
    const size_t begin = first_key(a, s, 0) / TILE, end = s->position / TILE;
    r.f = place(a, scratch);
    r.queries = read_words(r.f.rows, q, a->d_head, count, a->d_head, in_pairs(a));
    begin_state(&r.state);
    for (size_t tile = begin; tile <= end; tile++) row_tile(&r, tile, tile == begin, tile == end);
    write_output(a, &r.f, s->row, 0, head, 1, count, &r.state);
}

void BV_NAME(bv_attention_row)(const bv_attention_args *a, const bv_attention_sequence *s,
                               size_t kv, size_t kv_end, void *scratch) {
    const size_t group = a->heads / a->kv_heads, end = kv_end * group;
    const size_t most = group < TILE ? TILE / group * group : TILE;
    for (size_t head = kv * group; head < end; head += most)
        row_of_heads(a, s, head, least(most, end - head), scratch);
}

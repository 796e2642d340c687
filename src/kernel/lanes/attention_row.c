/*
 * Forward attention of a sequence with one row, as a token that is written has: keys are in lanes
 * for the softmax, and all heads of one KV head go together, so that keys and values are read once.
 * A query gets the bits that it gets in a tile (attention_queries.c).
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

/* Reals of the cache are walked block beside block, so that the hardware sees several streams.
 * Fetches lines first .. end - 1 of each block of `n` columns before it is their turn: the hardware
 * begins its streams, and memory works while the softmax does. */
static void fetch_lines(word_columns c, size_t n, size_t first, size_t end) {
    for (size_t line = first; line < end; line++)
        for (size_t i = 0; i < n; i += BV_LANES)
            __builtin_prefetch(
                (const real *)c.words + i / BV_LANES * c.block + line * 64 / sizeof(real), 0, 2);
}

/* Keys of a tile as columns. */
static word_columns key_columns(const bv_attention_args *a, const forward_scratch *f,
                                const void *keys, size_t count) {
    if (a->paged) return cache_keys(a, keys);
    pack_columns(f->columns, keys, a->kv_stride * bv_dtype_size(a->type), count, a->d_head,
                 in_pairs(a));
    return (word_columns){f->columns, TILE, BV_LANES};
}

/* A pair of which only the odd key is seen, copied without the other. */
static word_columns cut_values(const forward_scratch *f, word_columns v, size_t count) {
    memcpy(f->v, v.words, count * v.row * sizeof(uint32_t));
    for (size_t c = 0; c < f->width; c++) ((uint32_t *)f->v)[c] &= 0xffff0000u;
    return (word_columns){f->v, v.row, v.block};
}

/* Values of a tile for a row: the steps from the one with key seen.begin on. */
static word_columns value_steps(const bv_attention_args *a, const forward_scratch *f,
                                const void *values, stretch seen) {
    const bool pairs = in_pairs(a);
    const size_t first = seen.begin / (pairs ? 2 : 1);
    if (a->paged) {
        word_columns v = cache_values(a, values);
        v.words = (const char *)values + first * v.row * word_bytes(pairs);
        return pairs && seen.begin % 2 ? cut_values(f, v, steps(seen.end, pairs) - first) : v;
    }
    if (!pairs && a->d_head % BV_LANES == 0)
        return (word_columns){(const real *)values + first * a->kv_stride, a->kv_stride, BV_LANES};
    pack_rows(f->v, values, a->kv_stride, seen.begin, seen.end, a->d_head, pairs);
    return (word_columns){(const char *)f->v + first * f->width * word_bytes(pairs), f->width,
                          BV_LANES};
}

/* Law 2 for one tile of `count` queries whose scores are in f->s: [count, TILE]. */
static void row_probabilities(const bv_attention_args *a, const bv_attention_sequence *s,
                              size_t head, size_t count, size_t base, stretch seen,
                              const forward_scratch *f, softmax_state *state) {
    for (size_t i = 0; i < count; i++) {
        real *p = f->s + i * TILE;
        softmax_row(p, seen, &state->m[i], &state->l[i], &state->alpha[i]);
        if (a->dropout > 0) drop_row(a, s, head + i, base, seen.end, p);
        for (size_t j = 0; in_pairs(a) && j < up(seen.end, BV_LANES); j += BV_LANES)
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
    const stretch seen = {low > base ? low - base : 0, least(s->position + 1 - base, TILE)};
    const void *v_head = head_values(a, s->v_tiles[tile], kv);
    const bool last = !a->paged || (tile + 1) * TILE > s->position;
    const bool streams = a->paged && !pairs;
    const word_columns k = key_columns(a, f, head_keys(a, s->k_tiles[tile], kv), seen.end);
    const tile_product scores = {.m = count,
                                 .n = up(seen.end, BV_LANES),
                                 .k = steps(d, pairs),
                                 .a = q.rows,
                                 .a_row = q.stride,
                                 .a_step = q.step,
                                 .b = k.words,
                                 .b_row = k.row,
                                 .b_col = k.block,
                                 .c = f->s,
                                 .c_row = TILE,
                                 .scale = (real)a->scale,
                                 .fetch = last ? NULL : head_keys(a, s->k_tiles[tile + 1], kv)};
    if (streams) fetch_lines(cache_values(a, v_head), f->width, 0, 2);
    product(&scores, pairs);
    if (streams) fetch_lines(cache_values(a, v_head), f->width, 2, 8);
    row_probabilities(a, s, head, count, base, seen, f, state);
    const word_columns v = value_steps(a, f, v_head, seen);
    const size_t begin = seen.begin / (pairs ? 2 : 1);
    const tile_product values = {.m = count,
                                 .n = f->width,
                                 .k = steps(seen.end, pairs) - begin,
                                 .a = pairs ? (void *)((uint16_t *)f->p + begin * 2)
                                            : (void *)(f->s + begin),
                                 .a_row = TILE * (pairs ? 2 : sizeof(real)),
                                 .a_step = word_bytes(pairs),
                                 .b = v.words,
                                 .b_row = v.row,
                                 .b_col = v.block,
                                 .c = f->o,
                                 .c_row = f->width,
                                 .scale = 1,
                                 .add = !first,
                                 .factor = first ? NULL : state->alpha,
                                 .fetch = last ? NULL : head_values(a, s->v_tiles[tile + 1], kv)};
    if (streams && !last)
        fetch_lines(cache_keys(a, head_keys(a, s->k_tiles[tile + 1], kv)), TILE, 0, 2);
    product(&values, pairs);
}

void BV_NAME(bv_attention_row)(const bv_attention_args *a, const bv_attention_sequence *s,
                               size_t kv, void *scratch) {
    const size_t group = a->heads / a->kv_heads, low = first_key(a, s, 0);
    const forward_scratch f = place(a, scratch);
    for (size_t begin = 0; begin < group; begin += TILE) {
        const size_t head = kv * group + begin, count = least(group - begin, TILE);
        const void *q = element(a->q, a->type, s->row * a->q_stride + head * a->d_head);
        const word_rows words = read_words(f.rows, q, a->d_head, count, a->d_head, in_pairs(a));
        softmax_state state;
        begin_state(&state);
        for (size_t tile = low / TILE; tile <= s->position / TILE; tile++)
            row_tile(a, s, head, count, words, tile, &f, &state, tile == low / TILE);
        write_output(a, &f, s->row, 0, head, 1, count, &state);
    }
}

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

void BV_NAME(bv_attention_row)(const bv_attention_args *a, const bv_attention_sequence *s,
                               size_t kv, void *scratch) {
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

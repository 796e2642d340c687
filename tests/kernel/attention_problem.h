/*
 * Random problems of attention for its tests, and how the kernels of a level run them: whole
 * sequences or chunks of rows, over contiguous keys or pages. Every output, and the scratch, ends
 * in guards, and what lies between the rows and behind the keys is NaN. A failing comparison prints
 * what it was. One thread; include it in one file.
 */
#ifndef BV_TESTS_KERNEL_ATTENTION_PROBLEM_H
#define BV_TESTS_KERNEL_ATTENTION_PROBLEM_H

#include "base/memory.h"
#include "kernel/kernel.h"
#include "kernel/random_words.h"
#include "support/check.h"
#include "support/guarded.h"
#include <math.h>

#define SEED 20261124u
#define SEQUENCES_MAX 4

/* ---- a problem and its values ---- */

typedef struct problem {
    size_t heads, kv_heads, d, band, count; /* count of sequences */
    size_t rows[SEQUENCES_MAX], position[SEQUENCES_MAX];
    bool half, documents, backward;
    double dropout, spread; /* size of the values of q and k */
    /* made from these: */
    size_t row[SEQUENCES_MAX], key[SEQUENCES_MAX]; /* first query and first key of a sequence */
    size_t queries, keys;
    uint32_t *first_visible; /* [queries] or NULL */
    float *q, *k, *v, *dout; /* [queries, heads * d], [keys, kv_heads * d] */
} problem;

/* Cut to bf16 if asked for. */
static inline float *random_values(size_t count, double size, bool half) {
    float *x = test_malloc(count * sizeof *x);
    for (size_t i = 0; i < count; i++)
        x[i] = cut((float)((double)(int32_t)random_word() * 0x1p-31 * size), half);
    return x;
}

static inline void fill(problem *p) {
    p->queries = p->keys = 0;
    for (size_t s = 0; s < p->count; s++) {
        p->row[s] = p->queries, p->key[s] = p->keys;
        p->queries += p->rows[s];
        p->keys += p->position[s] + p->rows[s];
    }
    p->first_visible = NULL;
    if (p->documents) {
        p->first_visible = test_malloc(p->queries * sizeof *p->first_visible);
        for (size_t s = 0; s < p->count; s++) {
            size_t first = random_size(0, p->position[s]);
            for (size_t r = 0; r < p->rows[s]; r++) {
                if (random_word() % 23 == 0) first = p->position[s] + r;
                p->first_visible[p->row[s] + r] = (uint32_t)first;
            }
        }
    }
    p->q = random_values(p->queries * p->heads * p->d, p->spread, p->half);
    p->k = random_values(p->keys * p->kv_heads * p->d, p->spread, p->half);
    p->v = random_values(p->keys * p->kv_heads * p->d, 1, p->half);
    p->dout = random_values(p->queries * p->heads * p->d, 1, p->half);
}

static inline void clear(problem *p) {
    if (p->first_visible) test_free(p->first_visible);
    test_free(p->q);
    test_free(p->k);
    test_free(p->v);
    test_free(p->dout);
}

static inline void describe(const problem *p, const char *level) {
    print_error("%s%s: heads %zu/%zu d %zu band %zu dropout %g%s%s, rows at position:", level,
                p->half ? " bf16" : "", p->heads, p->kv_heads, p->d, p->band, p->dropout,
                p->documents ? " documents" : "", p->backward ? " backward" : "");
    for (size_t s = 0; s < p->count; s++) print_error(" %zu at %zu", p->rows[s], p->position[s]);
    print_error(", seed %u\n", SEED);
}

static inline problem random_problem(bool half, bool backward) {
    static const size_t odd_sizes[] = {1, 2, 7, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 96, 100};
    size_t group = random_size(1, 3);
    problem p = {.kv_heads = random_size(1, 2),
                 .d = odd_sizes[random_word() % 15],
                 .count = random_size(1, 3),
                 .half = half,
                 .backward = backward,
                 .documents = random_word() % 3 == 0,
                 .dropout = random_word() % 4 == 0 ? 0.25 : 0,
                 .band = random_word() % 3 == 0 ? random_size(1, 90) : 0,
                 .spread = random_word() % 4 == 0 ? 6 : 1.5};
    /* Large heads are few: plain C takes its time. */
    while (group > 1 && group * p.kv_heads * p.d > 128) group--;
    if (p.kv_heads * p.d > 128) p.kv_heads = 1;
    p.heads = group * p.kv_heads;
    for (size_t s = 0; s < p.count; s++) {
        p.rows[s] = random_word() % 4 == 0 ? 1 : random_size(2, s == 0 ? 140 : 40);
        if (!backward && random_word() % 2) p.position[s] = random_size(1, 150);
    }
    return p;
}

static inline bool visible(const problem *p, size_t s, size_t r, size_t key) {
    const size_t position = p->position[s] + r;
    if (key > position) return false;
    if (p->band && key + p->band <= position) return false;
    return !p->first_visible || key >= p->first_visible[p->row[s] + r];
}

static inline double scale_of(const problem *p) {
    return 1 / sqrt((double)p->d);
}

/* rows of `stride` elements, the last one `cols` long; NaN between them. */
static inline guarded guarded_rows(const float *x, size_t rows, size_t cols, size_t stride,
                                   bv_dtype type) {
    const size_t count = (rows - 1) * stride + cols, size = bv_dtype_size(type);
    guarded g = guarded_make(count * size, random_word() % 16 * size);
    for (size_t i = 0; i < count; i++) {
        const bool gap = !x || i % stride >= cols;
        put(g.data, type, i, gap ? NAN : x[i / stride * cols + i % stride]);
    }
    return g;
}

/* The values, as doubles; between the rows must still be NaN. */
static inline double *take_rows(guarded *g, size_t rows, size_t cols, size_t stride,
                                bv_dtype type) {
    double *x = test_malloc(rows * cols * sizeof *x);
    for (size_t i = 0; i < (rows - 1) * stride + cols; i++) {
        const double value = get(g->data, type, i);
        if (i % stride < cols)
            x[i / stride * cols + i % stride] = value;
        else
            assert_true(isnan(value));
    }
    guarded_free(g);
    return x;
}

/* ---- running a kernel ---- */

typedef struct outcome {
    double *out, *lse, *dq, *dk, *dv;
} outcome;

static inline void forget(outcome *o) {
    double *all[] = {o->out, o->lse, o->dq, o->dk, o->dv};
    for (size_t i = 0; i < 5; i++)
        if (all[i]) test_free(all[i]);
}

/* Rows of a sequence that are run together. */
typedef struct chunk {
    size_t sequence, first, rows;
} chunk;

typedef struct tiles {
    const void *k[16], *v[16];
    guarded memory[32];
    size_t count;
} tiles;

/* Rows of keys or values of one tile, NaN where no query of the chunk sees them. */
static inline guarded tile_rows(const problem *p, const chunk *c, bool values, size_t begin,
                                size_t end, bv_dtype type) {
    const size_t cols = p->kv_heads * p->d;
    guarded g = guarded_rows(NULL, end - begin, cols, cols, type);
    for (size_t key = begin; key < end; key++) {
        bool seen = false;
        for (size_t r = 0; r < c->rows; r++)
            seen = seen || visible(p, c->sequence, c->first + r, key);
        const float *from = (values ? p->v : p->k) + (p->key[c->sequence] + key) * cols;
        for (size_t e = 0; e < cols && seen; e++)
            put(g.data, type, (key - begin) * cols + e, from[e]);
    }
    return g;
}

/* Stores begin .. end - 1 for every head, cut into two calls somewhere. */
static inline void store_tile(const problem *p, const guarded *k, const guarded *v, size_t begin,
                              size_t end, bv_dtype type, void *k_page, void *v_page) {
    const size_t cols = p->kv_heads * p->d, size = bv_dtype_size(type);
    const size_t cut = begin + random_size(0, end - begin);
    for (size_t h = 0; h < p->kv_heads; h++)
        for (int half = 0; half < 2; half++) {
            const size_t from = half ? cut : begin, to = half ? end : cut;
            if (from == to) continue;
            const size_t at = ((from - begin) * cols + h * p->d) * size;
            bv_attention_store(&(bv_attention_store_args){.type = type,
                                                          .kv_heads = p->kv_heads,
                                                          .d_head = p->d,
                                                          .kv = h,
                                                          .begin = from % 64,
                                                          .end = from % 64 + to - from,
                                                          .stride = cols,
                                                          .k_rows = (char *)k->data + at,
                                                          .v_rows = (char *)v->data + at,
                                                          .k_tile = k_page,
                                                          .v_tile = v_page});
        }
}

static inline guarded page_of_nan(size_t bytes, bv_dtype type) {
    guarded g = guarded_make(bytes, 0);
    for (size_t i = 0; i < bytes / bv_dtype_size(type); i++) put(g.data, type, i, NAN);
    return g;
}

/* Pages of their own; what was never stored, or is seen by no query of the chunk, is NaN. */
static inline void make_pages(const problem *p, const chunk *c, bv_dtype type, tiles *t) {
    const size_t end = p->position[c->sequence] + c->first + c->rows;
    t->count = (end + 63) / 64;
    assert_true(t->count <= 16);
    for (size_t tile = 0; tile < t->count; tile++) {
        guarded *page = &t->memory[2 * tile];
        page[0] = page_of_nan(bv_attention_key_bytes(type, p->kv_heads, p->d), type);
        page[1] = page_of_nan(bv_attention_value_bytes(type, p->kv_heads, p->d), type);
        const size_t begin = tile * 64, stop = end < begin + 64 ? end : begin + 64;
        guarded k = tile_rows(p, c, false, begin, stop, type);
        guarded v = tile_rows(p, c, true, begin, stop, type);
        store_tile(p, &k, &v, begin, stop, type, page[0].data, page[1].data);
        guarded_free(&k);
        guarded_free(&v);
        t->k[tile] = page[0].data;
        t->v[tile] = page[1].data;
    }
}

typedef struct run_memory {
    guarded q, k, v, out, lse, dout, dq, dk, dv, scratch;
    tiles *tiles;
    bv_attention_sequence *sequences;
} run_memory;

static inline void run_items(const bv_kernels *kernels, const bv_attention_args *args,
                             run_memory *m, bool backward) {
    const bv_attention_kernels *attention = kernels->attention;
    m->scratch = guarded_make(attention->scratch_bytes(args, backward), 0);
    const size_t items =
        backward ? attention->backward_items(args) : attention->forward_items(args);
    /* Backwards: nothing may depend on the order of items. */
    for (size_t i = items; i-- > 0;)
        (backward ? attention->backward : attention->forward)(args, i, m->scratch.data);
    guarded_free(&m->scratch);
}

static inline void set_sequences(const problem *p, const chunk *list, size_t count, bool pages,
                                 const bv_attention_args *args, run_memory *m) {
    m->tiles = test_malloc(count * sizeof *m->tiles);
    m->sequences = test_malloc(count * sizeof *m->sequences);
    for (size_t i = 0; i < count; i++) {
        const size_t s = list[i].sequence;
        tiles *t = &m->tiles[i];
        t->count = 0;
        if (pages) make_pages(p, &list[i], args->type, t);
        for (size_t tile = 0; !pages && tile * 64 < list[i].first + list[i].rows; tile++) {
            const size_t at = (p->key[s] + tile * 64) * args->kv_stride * bv_dtype_size(args->type);
            t->k[tile] = (char *)m->k.data + at;
            t->v[tile] = (char *)m->v.data + at;
        }
        m->sequences[i] = (bv_attention_sequence){.row = p->row[s] + list[i].first,
                                                  .rows = list[i].rows,
                                                  .position = p->position[s] + list[i].first,
                                                  .k_tiles = t->k,
                                                  .v_tiles = t->v,
                                                  .sample = (uint32_t)s + 5};
    }
}

static inline outcome run_chunks(const problem *p, const bv_kernels *kernels, const chunk *list,
                                 size_t count, bool pages) {
    const bv_dtype type = p->half ? BV_BF16 : kernels->real;
    const size_t cols = p->heads * p->d, kv_cols = p->kv_heads * p->d;
    const size_t stride = cols + random_size(0, 5), out_stride = cols + random_size(0, 5);
    const size_t kv_stride = kv_cols + random_size(0, 5);
    run_memory m = {.q = guarded_rows(p->q, p->queries, cols, stride, type),
                    .k = guarded_rows(p->k, p->keys, kv_cols, kv_stride, type),
                    .v = guarded_rows(p->v, p->keys, kv_cols, kv_stride, type),
                    .out = guarded_rows(NULL, p->queries, cols, out_stride, type),
                    .lse = guarded_rows(NULL, p->queries, p->heads, p->heads, kernels->real)};
    bv_attention_args args = {.heads = p->heads,
                              .kv_heads = p->kv_heads,
                              .d_head = p->d,
                              .scale = scale_of(p),
                              .band = p->band,
                              .first_visible = p->first_visible,
                              .type = type,
                              .q = m.q.data,
                              .q_stride = stride,
                              .kv_stride = kv_stride,
                              .paged = pages,
                              .kv_heads_together = random_size(0, p->kv_heads + 1),
                              .out = m.out.data,
                              .out_stride = out_stride,
                              .lse = m.lse.data,
                              .dropout = p->dropout,
                              .seed = 7,
                              .site = 3,
                              .step = 11};
    set_sequences(p, list, count, pages, &args, &m);
    args.sequences = m.sequences;
    args.sequence_count = count;
    run_items(kernels, &args, &m, false);
    outcome o = {0};
    if (p->backward) {
        m.dout = guarded_rows(p->dout, p->queries, cols, out_stride, type);
        m.dq = guarded_rows(NULL, p->queries, cols, stride, type);
        m.dk = guarded_rows(NULL, p->keys, kv_cols, kv_stride, type);
        m.dv = guarded_rows(NULL, p->keys, kv_cols, kv_stride, type);
        args.dout = m.dout.data;
        args.dq = m.dq.data, args.dk = m.dk.data, args.dv = m.dv.data;
        run_items(kernels, &args, &m, true);
        o.dq = take_rows(&m.dq, p->queries, cols, stride, type);
        o.dk = take_rows(&m.dk, p->keys, kv_cols, kv_stride, type);
        o.dv = take_rows(&m.dv, p->keys, kv_cols, kv_stride, type);
        guarded_free(&m.dout);
    }
    o.out = take_rows(&m.out, p->queries, cols, out_stride, type);
    o.lse = take_rows(&m.lse, p->queries, p->heads, p->heads, kernels->real);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < 2 * m.tiles[i].count; j++) guarded_free(&m.tiles[i].memory[j]);
    guarded_free(&m.q);
    guarded_free(&m.k);
    guarded_free(&m.v);
    test_free(m.tiles);
    test_free(m.sequences);
    return o;
}

/* Whole sequences; pages wherever a sequence does not begin at position 0. */
static inline outcome run(const problem *p, const bv_kernels *kernels, bool pages) {
    chunk list[SEQUENCES_MAX];
    for (size_t s = 0; s < p->count; s++) {
        list[s] = (chunk){s, 0, p->rows[s]};
        pages = pages || p->position[s] > 0;
    }
    return run_chunks(p, kernels, list, p->count, pages);
}

/* ---- comparing bits ---- */

/* Rows of `cols`; those marked in `skip` (or NULL) need not be equal. */
static inline void compare_bits(const problem *p, const char *level, const char *what,
                                const double *x, const double *y, size_t rows, size_t cols,
                                const bool *skip) {
    if (!x || !y) return;
    for (size_t i = 0; i < rows * cols; i++) {
        if (skip && skip[i / cols]) continue;
        if (!memcmp(&x[i], &y[i], sizeof *x)) continue;
        describe(p, level);
        fail_msg("%s row %zu col %zu: %a, expected %a", what, i / cols, i % cols, x[i], y[i]);
    }
}

static inline void compare_outcomes(const problem *p, const char *level, const outcome *x,
                                    const outcome *y, const bool *skip_queries,
                                    const bool *skip_keys) {
    const size_t cols = p->heads * p->d, kv_cols = p->kv_heads * p->d;
    compare_bits(p, level, "lse", x->lse, y->lse, p->queries, p->heads, skip_queries);
    compare_bits(p, level, "out", x->out, y->out, p->queries, cols, skip_queries);
    compare_bits(p, level, "dq", x->dq, y->dq, p->queries, cols, skip_queries);
    compare_bits(p, level, "dk", x->dk, y->dk, p->keys, kv_cols, skip_keys);
    compare_bits(p, level, "dv", x->dv, y->dv, p->keys, kv_cols, skip_keys);
}

#endif

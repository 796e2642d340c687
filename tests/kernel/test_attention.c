/*
 * Attention against softmax written out in double, with bounds from the lengths of the sums;
 * gradients also against finite differences at the f64 level. Then bits: levels against each other,
 * rows alone and in chunks against whole sequences, pages against contiguous rows, and rows that do
 * not see a NaN against the same run without it. Every output, and the scratch, ends in guards, and
 * what lies between the rows and behind the keys is NaN. A failing case prints what it was.
 */
#include "base/memory.h"
#include "base/random.h"
#include "kernel/kernel.h"
#include "support/check.h"
#include "support/guarded.h"
#include <math.h>

#define SEED 20261124u
#define SEQUENCES_MAX 4
#define NONE SIZE_MAX

static uint32_t counter;

static uint32_t random_word(void) {
    return bv_random(SEED, BV_RANDOM_TEST, 2, counter++, 0, 0).v[0];
}

static size_t random_size(size_t low, size_t high) {
    return low + random_word() % (high - low + 1);
}

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
static float *random_values(size_t count, double size, bool cut) {
    float *x = test_malloc(count * sizeof *x);
    for (size_t i = 0; i < count; i++) {
        x[i] = (float)((double)(int32_t)random_word() * 0x1p-31 * size);
        uint32_t bits;
        memcpy(&bits, &x[i], 4);
        bits &= cut ? 0xffff0000u : 0xffffffffu;
        memcpy(&x[i], &bits, 4);
    }
    return x;
}

static void fill(problem *p) {
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

static void clear(problem *p) {
    if (p->first_visible) test_free(p->first_visible);
    test_free(p->q);
    test_free(p->k);
    test_free(p->v);
    test_free(p->dout);
}

static void describe(const problem *p, const char *level) {
    print_error("%s%s: heads %zu/%zu d %zu band %zu dropout %g%s%s, rows at position:", level,
                p->half ? " bf16" : "", p->heads, p->kv_heads, p->d, p->band, p->dropout,
                p->documents ? " documents" : "", p->backward ? " backward" : "");
    for (size_t s = 0; s < p->count; s++) print_error(" %zu at %zu", p->rows[s], p->position[s]);
    print_error(", seed %u\n", SEED);
}

static bool visible(const problem *p, size_t s, size_t r, size_t key) {
    const size_t position = p->position[s] + r;
    if (key > position) return false;
    if (p->band && key + p->band <= position) return false;
    return !p->first_visible || key >= p->first_visible[p->row[s] + r];
}

static double scale_of(const problem *p) {
    return 1 / sqrt((double)p->d);
}

/* 0 or 1 / (1 - dropout). */
static double factor_of(const problem *p, size_t s, size_t head, size_t position, size_t key) {
    if (p->dropout == 0) return 1;
    const bv_random4 r =
        bv_random(7, BV_RANDOM_ATTENTION_DROPOUT, 3, 11, (uint32_t)((s + 5) * p->heads + head),
                  (uint32_t)(position << 16 | key / 4));
    return bv_uniform_f32(r.v[key % 4]) >= (float)p->dropout ? 1 / (1 - p->dropout) : 0;
}

/* rows of `stride` elements, the last one `cols` long; NaN between them. */
static guarded guarded_rows(const float *x, size_t rows, size_t cols, size_t stride,
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
static double *take_rows(guarded *g, size_t rows, size_t cols, size_t stride, bv_dtype type) {
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

static void forget(outcome *o) {
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
static guarded tile_rows(const problem *p, const chunk *c, bool values, size_t begin, size_t end,
                         bv_dtype type) {
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
static void store_tile(const problem *p, const guarded *k, const guarded *v, size_t begin,
                       size_t end, bv_dtype type, void *k_page, void *v_page) {
    const size_t cols = p->kv_heads * p->d, size = bv_dtype_size(type);
    const size_t cut = begin + random_size(0, end - begin);
    for (size_t h = 0; h < p->kv_heads; h++)
        for (int half = 0; half < 2; half++) {
            const size_t from = half ? cut : begin, to = half ? end : cut;
            if (from == to) continue;
            const size_t at = ((from - begin) * cols + h * p->d) * size;
            bv_attention_store(&(bv_attention_store_args){
                .type = type,
                .d_head = p->d,
                .begin = from % 64,
                .end = from % 64 + to - from,
                .stride = cols,
                .k_rows = (char *)k->data + at,
                .v_rows = (char *)v->data + at,
                .k_tile = (char *)k_page + h * bv_attention_key_bytes(type, p->d),
                .v_tile = (char *)v_page + h * bv_attention_value_bytes(type, p->d)});
        }
}

static guarded page_of_nan(size_t bytes, bv_dtype type) {
    guarded g = guarded_make(bytes, 0);
    for (size_t i = 0; i < bytes / bv_dtype_size(type); i++) put(g.data, type, i, NAN);
    return g;
}

/* Pages of their own; what was never stored, or is seen by no query of the chunk, is NaN. */
static void make_pages(const problem *p, const chunk *c, bv_dtype type, tiles *t) {
    const size_t end = p->position[c->sequence] + c->first + c->rows;
    t->count = (end + 63) / 64;
    assert_true(t->count <= 16);
    for (size_t tile = 0; tile < t->count; tile++) {
        guarded *page = &t->memory[2 * tile];
        page[0] = page_of_nan(p->kv_heads * bv_attention_key_bytes(type, p->d), type);
        page[1] = page_of_nan(p->kv_heads * bv_attention_value_bytes(type, p->d), type);
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

static void run_items(const bv_kernels *kernels, const bv_attention_args *args, run_memory *m,
                      bool backward) {
    const bv_attention_kernels *attention = kernels->attention;
    m->scratch = guarded_make(attention->scratch_bytes(args, backward), 0);
    const size_t items =
        backward ? attention->backward_items(args) : attention->forward_items(args);
    /* Backwards: nothing may depend on the order of items. */
    for (size_t i = items; i-- > 0;)
        (backward ? attention->backward : attention->forward)(args, i, m->scratch.data);
    guarded_free(&m->scratch);
}

static void set_sequences(const problem *p, const chunk *list, size_t count, bool pages,
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

static outcome run_chunks(const problem *p, const bv_kernels *kernels, const chunk *list,
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
static outcome run(const problem *p, const bv_kernels *kernels, bool pages) {
    chunk list[SEQUENCES_MAX];
    for (size_t s = 0; s < p->count; s++) {
        list[s] = (chunk){s, 0, p->rows[s]};
        pages = pages || p->position[s] > 0;
    }
    return run_chunks(p, kernels, list, p->count, pages);
}

/* ---- the reference ---- */

/* Values in double and what a kernel may be off by. Of a matrix element: e. */
typedef struct reference {
    outcome value, bound;
    double eps, half; /* half a unit of the accumulators, and of bf16 (0 without) */
} reference;

static double *zeros(size_t count) {
    double *x = test_malloc(count * sizeof *x);
    memset(x, 0, count * sizeof *x);
    return x;
}

static outcome outcome_make(const problem *p) {
    const size_t q = p->queries * p->heads, k = p->keys * p->kv_heads * p->d;
    return (outcome){zeros(q * p->d), zeros(q), zeros(q * p->d), zeros(k), zeros(k)};
}

static double dot(const float *a, const float *b, size_t n, double *size) {
    double sum = 0;
    *size = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)a[i] * b[i];
        *size += fabs((double)a[i] * b[i]);
    }
    return sum;
}

/* p of one query before dropout, and its relative error: scores are chains of d steps, lse and the
 * rescalings add an exp (4 eps) and an argument (twice the largest score) a tile. */
static void softmax_of(const problem *p, const reference *ref, size_t s, size_t r, size_t head,
                       double *weight, double *error, double *lse, double *lse_error) {
    const size_t cols = p->heads * p->d, kv_cols = p->kv_heads * p->d;
    const size_t position = p->position[s] + r, kv = head / (p->heads / p->kv_heads);
    const float *q = p->q + (p->row[s] + r) * cols + head * p->d;
    double largest = -INFINITY, sum = 0, size_max = 0, worst = 0;
    for (size_t j = 0; j <= position; j++) {
        double size;
        weight[j] = dot(q, p->k + (p->key[s] + j) * kv_cols + kv * p->d, p->d, &size) * scale_of(p);
        error[j] = (double)(p->d + 3) * ref->eps * size * scale_of(p);
        if (!visible(p, s, r, j)) continue;
        largest = fmax(largest, weight[j]);
        size_max = fmax(size_max, fabs(weight[j]));
        worst = fmax(worst, error[j]);
    }
    for (size_t j = 0; j <= position; j++) {
        weight[j] = visible(p, s, r, j) ? exp(weight[j] - largest) : 0;
        sum += weight[j];
    }
    const double tiles = (double)(position / 64 + 2);
    const double common = ref->eps * ((double)position + tiles * (8 + 4 * size_max));
    for (size_t j = 0; j <= position; j++) {
        weight[j] /= sum;
        error[j] += worst + common;
    }
    *lse = largest + log(sum);
    *lse_error = worst + common + 2 * ref->eps * fabs(*lse);
}

static void reference_out(const problem *p, reference *ref, size_t s, size_t r, size_t head,
                          const double *weight, const double *error) {
    const size_t kv_cols = p->kv_heads * p->d, kv = head / (p->heads / p->kv_heads);
    const size_t position = p->position[s] + r;
    const size_t at = (p->row[s] + r) * p->heads * p->d + head * p->d;
    for (size_t e = 0; e < p->d; e++) {
        double sum = 0, bound = 0, size = 0;
        for (size_t j = 0; j <= position; j++) {
            if (weight[j] == 0) continue;
            const double v = p->v[(p->key[s] + j) * kv_cols + kv * p->d + e];
            const double w = weight[j] * factor_of(p, s, head, position, j);
            sum += w * v;
            size += fabs(w * v);
            bound += fabs(w * v) * (error[j] + ref->half);
        }
        bound += size * ref->eps * (double)(position + position / 64 * 2 + 8);
        ref->value.out[at + e] = sum;
        ref->bound.out[at + e] = bound + (fabs(sum) + bound) * ref->half + 1e-37;
    }
}

/* dS of one query times scale, and its error; then what it and P add to the gradients. */
static void reference_gradient(const problem *p, reference *ref, size_t s, size_t r, size_t head,
                               const double *weight, const double *error) {
    const size_t kv_cols = p->kv_heads * p->d, kv = head / (p->heads / p->kv_heads);
    const size_t position = p->position[s] + r, row = p->row[s] + r;
    const size_t at = row * p->heads * p->d + head * p->d;
    const double steps = (double)(position + p->queries * (p->heads / p->kv_heads) + 4) * ref->eps;
    double d = 0, d_error = 0;
    for (size_t e = 0; e < p->d; e++) {
        const double g = p->dout[at + e];
        d += g * ref->value.out[at + e];
        d_error += fabs(g) * (ref->bound.out[at + e] +
                              (double)(p->d + 4) * ref->eps * fabs(ref->value.out[at + e]));
    }
    for (size_t j = 0; j <= position; j++) {
        if (weight[j] == 0) continue;
        const size_t key = (p->key[s] + j) * kv_cols + kv * p->d;
        const double factor = factor_of(p, s, head, position, j), w = weight[j];
        double size;
        const double dp = dot(p->dout + at, p->v + key, p->d, &size) * factor;
        const double dp_error = (double)(p->d + 3) * ref->eps * size * factor;
        const double ds = w * (dp - d) * scale_of(p);
        const double ds_error =
            fabs(ds) * (error[j] + ref->half + 6 * ref->eps) +
            w * scale_of(p) * (dp_error + d_error + ref->eps * (fabs(dp) + fabs(d)));
        for (size_t e = 0; e < p->d; e++) {
            const double q = p->q[at + e], k = p->k[key + e], g = p->dout[at + e];
            ref->value.dq[at + e] += ds * k;
            ref->bound.dq[at + e] += fabs(k) * (ds_error + steps * fabs(ds));
            ref->value.dk[key + e] += ds * q;
            ref->bound.dk[key + e] += fabs(q) * (ds_error + steps * fabs(ds));
            ref->value.dv[key + e] += w * factor * g;
            ref->bound.dv[key + e] +=
                fabs(g) * w * factor * (error[j] + ref->half + 2 * ref->eps + steps);
        }
    }
}

static void finish_bounds(const reference *ref, const double *value, double *bound, size_t count) {
    for (size_t i = 0; i < count; i++)
        bound[i] = 1.01 * (bound[i] + (fabs(value[i]) + bound[i]) * ref->half) + 1e-36;
}

static reference reference_make(const problem *p, bv_dtype real) {
    reference ref = {.value = outcome_make(p),
                     .bound = outcome_make(p),
                     .eps = real == BV_F64 ? 0x1p-51 : 0x1p-24 + 0x1p-51,
                     .half = p->half ? 0x1p-8 : 0};
    double *weight = zeros(p->keys), *error = zeros(p->keys);
    for (size_t s = 0; s < p->count; s++)
        for (size_t r = 0; r < p->rows[s]; r++)
            for (size_t head = 0; head < p->heads; head++) {
                const size_t at = (p->row[s] + r) * p->heads + head;
                softmax_of(p, &ref, s, r, head, weight, error, &ref.value.lse[at],
                           &ref.bound.lse[at]);
                reference_out(p, &ref, s, r, head, weight, error);
                if (p->backward) reference_gradient(p, &ref, s, r, head, weight, error);
            }
    finish_bounds(&ref, ref.value.dq, ref.bound.dq, p->queries * p->heads * p->d);
    finish_bounds(&ref, ref.value.dk, ref.bound.dk, p->keys * p->kv_heads * p->d);
    finish_bounds(&ref, ref.value.dv, ref.bound.dv, p->keys * p->kv_heads * p->d);
    test_free(weight);
    test_free(error);
    return ref;
}

/* ---- comparing ---- */

static void compare_near(const problem *p, const char *level, const char *what, const double *x,
                         const double *y, const double *bound, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (fabs(x[i] - y[i]) <= bound[i]) continue;
        describe(p, level);
        fail_msg("%s[%zu]: %.9g, expected %.9g +- %.3g", what, i, x[i], y[i], bound[i]);
    }
}

static void compare_reference(const problem *p, const bv_kernels *kernels, const outcome *o) {
    reference ref = reference_make(p, kernels->real);
    const size_t q = p->queries * p->heads, k = p->keys * p->kv_heads * p->d;
    const char *level = kernels->level;
    compare_near(p, level, "lse", o->lse, ref.value.lse, ref.bound.lse, q);
    compare_near(p, level, "out", o->out, ref.value.out, ref.bound.out, q * p->d);
    if (p->backward) {
        compare_near(p, level, "dq", o->dq, ref.value.dq, ref.bound.dq, q * p->d);
        compare_near(p, level, "dk", o->dk, ref.value.dk, ref.bound.dk, k);
        compare_near(p, level, "dv", o->dv, ref.value.dv, ref.bound.dv, k);
    }
    forget(&ref.value);
    forget(&ref.bound);
}

/* Rows of `cols`; those marked in `skip` (or NULL) need not be equal. */
static void compare_bits(const problem *p, const char *level, const char *what, const double *x,
                         const double *y, size_t rows, size_t cols, const bool *skip) {
    if (!x || !y) return;
    for (size_t i = 0; i < rows * cols; i++) {
        if (skip && skip[i / cols]) continue;
        if (!memcmp(&x[i], &y[i], sizeof *x)) continue;
        describe(p, level);
        fail_msg("%s row %zu col %zu: %a, expected %a", what, i / cols, i % cols, x[i], y[i]);
    }
}

static void compare_outcomes(const problem *p, const char *level, const outcome *x,
                             const outcome *y, const bool *skip_queries, const bool *skip_keys) {
    const size_t cols = p->heads * p->d, kv_cols = p->kv_heads * p->d;
    compare_bits(p, level, "lse", x->lse, y->lse, p->queries, p->heads, skip_queries);
    compare_bits(p, level, "out", x->out, y->out, p->queries, cols, skip_queries);
    compare_bits(p, level, "dq", x->dq, y->dq, p->queries, cols, skip_queries);
    compare_bits(p, level, "dk", x->dk, y->dk, p->keys, kv_cols, skip_keys);
    compare_bits(p, level, "dv", x->dv, y->dv, p->keys, kv_cols, skip_keys);
}

/* ---- tests ---- */

static const bv_kernels *best(void) {
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count), *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (bv_kernels_usable(all[i])) found = all[i];
    return found;
}

/* Every level against double and against the first one. */
static void check(problem *p) {
    fill(p);
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    outcome first = {0};
    for (size_t i = 0; i <= count; i++) {
        const bv_kernels *kernels = i < count ? all[i] : bv_kernels_reference();
        if (!bv_kernels_usable(kernels) || (p->half && kernels->real == BV_F64)) continue;
        outcome o = run(p, kernels, false);
        compare_reference(p, kernels, &o);
        if (i == 0) {
            first = o;
            continue;
        }
        if (i < count) compare_outcomes(p, kernels->level, &o, &first, NULL, NULL);
        forget(&o);
    }
    forget(&first);
    clear(p);
}

static problem random_problem(bool half, bool backward) {
    static const size_t odd_sizes[] = {1, 2, 7, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 96, 100};
    const size_t group = random_size(1, 3);
    problem p = {.kv_heads = random_size(1, 2),
                 .d = odd_sizes[random_word() % 15],
                 .count = random_size(1, 3),
                 .half = half,
                 .backward = backward,
                 .documents = random_word() % 3 == 0,
                 .dropout = random_word() % 4 == 0 ? 0.25 : 0,
                 .band = random_word() % 3 == 0 ? random_size(1, 90) : 0,
                 .spread = random_word() % 4 == 0 ? 6 : 1.5};
    p.heads = group * p.kv_heads;
    for (size_t s = 0; s < p.count; s++) {
        p.rows[s] = random_word() % 4 == 0 ? 1 : random_size(2, s == 0 ? 140 : 40);
        if (!backward && random_word() % 2) p.position[s] = random_size(1, 150);
    }
    return p;
}

static void test_forward(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        problem p = random_problem(i % 3 == 1, false);
        check(&p);
    }
}

static void test_backward(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++) {
        problem p = random_problem(i % 3 == 1, true);
        check(&p);
    }
}

static void test_largest_head(void **state) {
    (void)state;
    for (int half = 0; half < 2; half++) {
        problem p = {.heads = 2,
                     .kv_heads = 1,
                     .d = 256,
                     .count = 1,
                     .rows = {67},
                     .half = half,
                     .backward = true,
                     .spread = 1};
        check(&p);
        problem q = {.heads = 70,
                     .kv_heads = 1,
                     .d = 3,
                     .count = 1,
                     .rows = {1},
                     .position = {70},
                     .half = half,
                     .spread = 1};
        check(&q);
    }
}

/* Chunks of at most `most` rows. */
static void compare_chunks(const problem *p, const bv_kernels *kernels, const outcome *whole,
                           size_t most) {
    chunk *list = test_malloc(p->queries * sizeof *list);
    size_t count = 0;
    for (size_t s = 0; s < p->count; s++)
        for (size_t r = 0; r < p->rows[s]; r += list[count++].rows) {
            const size_t left = p->rows[s] - r, rows = random_size(1, most);
            list[count] = (chunk){s, r, rows < left ? rows : left};
        }
    outcome o = run_chunks(p, kernels, list, count, true);
    compare_outcomes(p, kernels->level, &o, whole, NULL, NULL);
    forget(&o);
    test_free(list);
}

static void test_alone_in_chunks_and_whole(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++) {
        problem p = random_problem(i % 2, false);
        for (size_t s = 0; s < p.count; s++) p.position[s] = 0;
        fill(&p);
        outcome whole = run(&p, best(), false), paged = run(&p, best(), true);
        compare_outcomes(&p, "pages", &paged, &whole, NULL, NULL);
        compare_chunks(&p, best(), &whole, 1);
        compare_chunks(&p, best(), &whole, 5);
        compare_chunks(&p, best(), &whole, 100);
        forget(&paged);
        forget(&whole);
        clear(&p);
    }
}

/* Which queries see a bad key (or are bad themselves), and which keys those see. */
static void mark(const problem *p, size_t query, size_t key, bool *queries, bool *keys) {
    for (size_t s = 0; s < p->count; s++)
        for (size_t r = 0; r < p->rows[s]; r++) {
            const size_t row = p->row[s] + r;
            const bool here = key != NONE && key >= p->key[s] && key - p->key[s] <= r;
            queries[row] = row == query || (here && visible(p, s, r, key - p->key[s]));
            for (size_t j = 0; j <= r && queries[row]; j++)
                if (visible(p, s, r, j)) keys[p->key[s] + j] = true;
        }
}

static void spoil(float *x, size_t row, size_t cols, float bad) {
    for (size_t i = 0; i < cols; i++) x[row * cols + i] = bad;
}

/* Values whose sum, under equal weights, shows the order of the two elements of each pair even
 * after rounding to bf16: most pairs of keys are 2^24 and -2^24. */
static void cancel_pairs(problem *p) {
    const size_t cols = p->kv_heads * p->d;
    for (size_t s = 0; s < p->count; s++)
        for (size_t j = 0; j + 1 < p->rows[s]; j += 2) {
            if (j % 8 == 0) continue;
            float *even = p->v + (p->key[s] + j) * cols, *odd = even + cols;
            for (size_t e = 0; e < cols; e++) {
                even[e] = e % 2 ? 0x1p24f : -0x1p24f;
                odd[e] = -even[e];
            }
        }
}

/* A NaN or infinite row of q, k, v or dout changes nothing where it is not seen. */
static void test_unseen_values_do_not_leak(void **state) {
    (void)state;
    for (int i = 0; i < 64; i++) {
        problem p = random_problem(i % 2, true);
        const bool pairs = i % 4 == 1;
        p.rows[0] = random_size(20, 140);
        if (pairs) p.spread = 0;
        fill(&p);
        if (pairs) cancel_pairs(&p);
        outcome clean = run(&p, best(), false);
        bool *queries = test_malloc(p.queries), *keys = test_malloc(p.keys);
        memset(queries, 0, p.queries);
        memset(keys, 0, p.keys);
        const size_t row = random_size(0, p.rows[0] - 1), which = pairs ? 3 : random_word() % 4;
        const size_t cols = p.heads * p.d, kv_cols = p.kv_heads * p.d;
        const float bad = random_word() % 2 ? (float)NAN : (float)INFINITY;
        if (which < 2)
            spoil(which ? p.q : p.dout, row, cols, bad);
        else
            spoil(which == 2 ? p.k : p.v, row, kv_cols, bad);
        mark(&p, which < 2 ? row : NONE, which < 2 ? NONE : row, queries, keys);
        outcome spoilt = run(&p, best(), false);
        compare_outcomes(&p, "spoilt", &spoilt, &clean, queries, keys);
        test_free(queries);
        test_free(keys);
        forget(&spoilt);
        forget(&clean);
        clear(&p);
    }
}

/* ---- finite differences ---- */

static double loss(const problem *p) {
    problem forward = *p;
    forward.backward = false;
    outcome o = run(&forward, bv_kernels_reference(), false);
    double sum = 0;
    for (size_t i = 0; i < p->queries * p->heads * p->d; i++) sum += o.out[i] * p->dout[i];
    forget(&o);
    return sum;
}

/* Central differences over h = 2^-9 of values of size 1: the third derivative of the softmax leaves
 * about h^2, rounding 2^-50 / h. */
static void check_slope(const problem *p, float *x, const double *gradient, size_t count,
                        const char *what) {
    for (int i = 0; i < 12; i++) {
        const size_t at = random_size(0, count - 1);
        const float old = x[at];
        const float above = old + 0x1p-9f, below = old - 0x1p-9f;
        x[at] = above;
        const double high = loss(p);
        x[at] = below;
        const double low = loss(p);
        x[at] = old;
        const double slope = (high - low) / ((double)above - below);
        if (fabs(slope - gradient[at]) <= 8 * 0x1p-18) continue;
        describe(p, "f64");
        fail_msg("%s[%zu]: %.9g, the slope is %.9g", what, at, gradient[at], slope);
    }
}

static void test_gradients_are_slopes(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) {
        problem p = random_problem(false, true);
        p.spread = 1;
        p.d = random_size(1, 20);
        p.dropout = i % 2 ? 0.3 : 0;
        for (size_t s = 0; s < p.count; s++) p.rows[s] = random_size(1, 70);
        fill(&p);
        outcome o = run(&p, bv_kernels_reference(), false);
        check_slope(&p, p.q, o.dq, p.queries * p.heads * p.d, "dq");
        check_slope(&p, p.k, o.dk, p.keys * p.kv_heads * p.d, "dk");
        check_slope(&p, p.v, o.dv, p.keys * p.kv_heads * p.d, "dv");
        forget(&o);
        clear(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_largest_head),
        cmocka_unit_test(test_alone_in_chunks_and_whole),
        cmocka_unit_test(test_unseen_values_do_not_leak),
        cmocka_unit_test(test_gradients_are_slopes),
    };
    const unsigned saved = bv_float_enter();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bv_float_leave(saved);
    return failed;
}

/*
 * The product of tiles in scratch, of which attention is made.
 *
 * All products have the form C[m, n] (+)= A[m, k] B[k, n] with n in lanes and A broadcast, one
 * ascending chain over k an element. Scores are S^T = K Q^T (queries in lanes), outputs and
 * gradients have channels in lanes, so no sum ever runs across lanes. At bf16 a step of k is a word
 * of two elements: rows that are multiplied along their columns are read as they are, rows that are
 * summed are packed in pairs.
 */
#ifndef BV_KERNEL_LANES_ATTENTION_PRODUCT_H
#define BV_KERNEL_LANES_ATTENTION_PRODUCT_H

#include "kernel/attention.h"
#include "kernel/bf16_dot.h"

#define TILE BV_ATTENTION_TILE
#define D_HEAD_MAX 256
#define UNROLL _Pragma("GCC unroll 8")

/* Vectors and rows of a block of C in registers. */
#if defined(BV_LEVEL_AVX512)
#define BLOCK_VECS 4
#define BLOCK_ROWS(vecs) ((vecs) == 4 ? 4 : 8)
#elif defined(BV_LEVEL_AVX2)
#define BLOCK_VECS 1
#define BLOCK_ROWS(vecs) 6
#elif defined(BV_LEVEL_NEON)
#define BLOCK_VECS 1
#define BLOCK_ROWS(vecs) 4
#else
#define BLOCK_VECS 1
#define BLOCK_ROWS(vecs) 1
#endif
#define BLOCK_ROWS_MAX 8

BV_INLINE size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

BV_INLINE size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

typedef struct tile_product {
    size_t m, n, k;       /* n: a multiple of 16; k in steps */
    const void *a;        /* reals, or words of two bf16 */
    size_t a_row, a_step; /* in bytes */
    const void *b;
    size_t b_row; /* reals or words from step to step */
    real *c;      /* rows up to m rounded up to 16 are written */
    size_t c_row;
    bool add; /* C += A B; otherwise C = scale (A B) */
    real scale;
    const real *factor; /* with add: row i of C is multiplied by factor[i] before */
    const void *fetch;  /* with m = 1: what follows B in time, fetched at the pace of B; or NULL */
} tile_product;

BV_INLINE void product_start(const tile_product *t, size_t i, size_t j, vreal acc[][BLOCK_VECS],
                             int rows, int vecs, bool pairs) {
    UNROLL for (int r = 0; r < rows; r++) {
        const real *c = t->c + (i + (size_t)r) * t->c_row + j;
        UNROLL for (int v = 0; v < vecs; v++) acc[r][v] =
            t->add ? v_load(c + v * BV_LANES) : v_zero();
        if (!t->factor) continue;
        const vreal factor = v_set(t->factor[i + (size_t)r]);
        UNROLL for (int v = 0; v < vecs; v++) {
            acc[r][v] = v_mul(acc[r][v], factor);
            if (pairs) acc[r][v] = v_flush(acc[r][v]);
        }
    }
}

BV_INLINE void product_end(const tile_product *t, size_t i, size_t j, vreal acc[][BLOCK_VECS],
                           int rows, int vecs) {
    const vreal scale = v_set(t->add ? 1 : t->scale);
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vecs; v++)
        v_store(t->c + (i + (size_t)r) * t->c_row + j + v * BV_LANES, v_mul(acc[r][v], scale));
}

/* All at once would fill the queue of misses, and nothing would be computed meanwhile. */
BV_INLINE void fetch_row(const tile_product *t, size_t k, size_t j, int vecs, size_t word) {
    const char *row = (const char *)t->fetch + (k * t->b_row + j) * word;
    UNROLL for (int v = 0; v < vecs; v++)
        __builtin_prefetch(row + (size_t)(v * BV_LANES) * word, 0, 2);
}

BV_INLINE void real_steps(const tile_product *t, const char *const *a, size_t j,
                          vreal acc[][BLOCK_VECS], int rows, int vecs) {
    const real *b = (const real *)t->b + j;
    for (size_t k = 0, at = 0; k < t->k; k++, at += t->a_step, b += t->b_row) {
        vreal column[BLOCK_VECS];
        UNROLL for (int v = 0; v < vecs; v++) column[v] = v_load(b + v * BV_LANES);
        if (rows == 1 && t->fetch) fetch_row(t, k, j, vecs, sizeof(real));
        UNROLL for (int r = 0; r < rows; r++) {
            real x;
            memcpy(&x, a[r] + at, sizeof x);
            const vreal word = v_set(x);
            UNROLL for (int v = 0; v < vecs; v++) acc[r][v] = v_fma(word, column[v], acc[r][v]);
        }
    }
}

#if !defined(BV_LEVEL_AVX2)
BV_INLINE void pair_steps(const tile_product *t, const char *const *a, size_t j,
                          vreal acc[][BLOCK_VECS], int rows, int vecs) {
    const uint32_t *b = (const uint32_t *)t->b + j;
    for (size_t k = 0, at = 0; k < t->k; k++, at += t->a_step, b += t->b_row) {
        vpair column[BLOCK_VECS];
        UNROLL for (int v = 0; v < vecs; v++) column[v] = v_pair_load(b + v * BV_LANES);
        if (rows == 1 && t->fetch) fetch_row(t, k, j, vecs, sizeof(uint32_t));
        UNROLL for (int r = 0; r < rows; r++) {
            uint32_t x;
            memcpy(&x, a[r] + at, sizeof x);
            const vpair word = v_pair_set(x);
            UNROLL for (int v = 0; v < vecs; v++) acc[r][v] =
                v_dot_bf16(acc[r][v], word, column[v]);
        }
    }
}
#endif

/* Rows beyond m repeat the last one of A. */
BV_INLINE void product_block(const tile_product *t, size_t i, size_t j, int rows, int vecs,
                             bool pairs) {
    vreal acc[BLOCK_ROWS_MAX][BLOCK_VECS];
    const char *a[BLOCK_ROWS_MAX];
    UNROLL for (int r = 0; r < rows; r++) a[r] =
        (const char *)t->a + smaller(i + (size_t)r, t->m - 1) * t->a_row;
    product_start(t, i, j, acc, rows, vecs, pairs);
#if !defined(BV_LEVEL_AVX2)
    if (pairs) pair_steps(t, a, j, acc, rows, vecs);
#endif
    if (!pairs) real_steps(t, a, j, acc, rows, vecs);
    product_end(t, i, j, acc, rows, vecs);
}

BV_INLINE void product_columns(const tile_product *t, size_t j, int vecs, bool pairs) {
    if (t->m == 1) {
        product_block(t, 0, j, 1, vecs, pairs);
        return;
    }
    size_t i = 0;
#if BLOCK_ROWS(1) == 6 /* 16 rows are 6 + 6 + 4 */
    for (; i + 4 < t->m; i += 6) product_block(t, i, j, 6, vecs, pairs);
    if (i < t->m) product_block(t, i, j, 4, vecs, pairs);
#else
    for (; i < t->m; i += BLOCK_ROWS(vecs)) product_block(t, i, j, BLOCK_ROWS(vecs), vecs, pairs);
#endif
}

BV_INLINE void product_typed(const tile_product *t, bool pairs) {
    size_t j = 0;
#if BLOCK_VECS == 4
    for (; j + 4 * BV_LANES <= t->n; j += 4 * BV_LANES) product_columns(t, j, 4, pairs);
    if (j + 3 * BV_LANES == t->n) product_columns(t, j, 3, pairs), j = t->n;
    if (j + 2 * BV_LANES == t->n) product_columns(t, j, 2, pairs), j = t->n;
#endif
    for (; j < t->n; j += BV_LANES) product_columns(t, j, 1, pairs);
}

static __attribute__((noinline)) void product_of_reals(const tile_product *t) {
    product_typed(t, false);
}

#if defined(BV_LEVEL_AVX2)

/*
 * Pairs without an instruction for them: under a control register that flushes, two plain
 * multiply-adds are a step. What C begins with, and its scale, follow the rules of f32, so they are
 * computed before and after, under the usual register; the chains stand in a function of their own,
 * so that nothing moves in or out. Rows of A are taken apart into a plane of odd elements and one
 * of even elements before, B on the way.
 */
#define SPLIT_ROWS 16
#define SPLIT_PLANE (SPLIT_ROWS * D_HEAD_MAX / 2)

typedef struct split_rows {
    _Alignas(32) float planes[2][SPLIT_PLANE]; /* odd, even */
    size_t count, row, step;                   /* rows; distances in elements */
} split_rows;

BV_INLINE void split_words(const void *words, float *odd) {
    const __m256i x = _mm256_loadu_si256(words);
    const __m256i upper = _mm256_set1_epi32((int)0xffff0000u);
    _mm256_store_ps(odd, _mm256_castsi256_ps(_mm256_and_si256(x, upper)));
    _mm256_store_ps(odd + SPLIT_PLANE, _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)));
}

/* Rows first .. of A, whose words lie side by side along k or (in tiles) along the rows. */
static void split(const tile_product *t, size_t first, split_rows *out) {
    const char *a = (const char *)t->a + first * t->a_row;
    out->count = smaller(t->m - first, SPLIT_ROWS);
    if (t->a_step == sizeof(uint32_t)) {
        out->row = round_up(t->k, 8), out->step = 1;
        for (size_t r = 0; r < out->count; r++, a += t->a_row)
            for (size_t k = 0; k < t->k; k += 8) {
                uint32_t words[8] = {0};
                const bool whole = k + 8 <= t->k;
                if (!whole) memcpy(words, a + 4 * k, 4 * (t->k - k));
                split_words(whole ? (const void *)(a + 4 * k) : words,
                            out->planes[0] + r * out->row + k);
            }
        return;
    }
    BV_ASSERT(t->a_row == sizeof(uint32_t));
    out->row = 1, out->step = SPLIT_ROWS;
    for (size_t k = 0; k < t->k; k++, a += t->a_step)
        for (size_t r = 0; r < SPLIT_ROWS; r += 8)
            split_words(a + 4 * r, out->planes[0] + k * SPLIT_ROWS + r);
}

/* Rows beyond the last one repeat it and are not written. */
BV_INLINE void split_block(const tile_product *t, const split_rows *s, real *c, size_t i, size_t j,
                           int rows) {
    const float *a[BLOCK_ROWS_MAX];
    vreal acc[BLOCK_ROWS_MAX];
    UNROLL for (int r = 0; r < rows; r++) {
        const size_t row = smaller(i + (size_t)r, s->count - 1);
        a[r] = s->planes[0] + row * s->row;
        acc[r] = v_load(c + row * t->c_row + j);
    }
    const uint32_t *b = (const uint32_t *)t->b + j;
    for (size_t k = 0, at = 0; k < t->k; k++, at += s->step, b += t->b_row) {
        __m256 half[2];
        if (rows == 1 && t->fetch) fetch_row(t, k, j, 1, sizeof(uint32_t));
        odd_halves(b, half);
        UNROLL for (int r = 0; r < rows; r++) v_add_product(&acc[r], a[r] + at, half);
        even_halves(b, half);
        UNROLL for (int r = 0; r < rows; r++) v_add_product(&acc[r], a[r] + SPLIT_PLANE + at, half);
    }
    UNROLL for (int r = 0; r < rows; r++) if (i + (size_t)r < s->count)
        v_store(c + (i + (size_t)r) * t->c_row + j, acc[r]);
}

static __attribute__((noinline)) void split_chains(const tile_product *t, const split_rows *s,
                                                   real *c) {
    for (size_t j = 0; j < t->n; j += BV_LANES) {
        size_t i = 0;
        if (s->count == 1) {
            split_block(t, s, c, 0, j, 1);
            continue;
        }
        for (; i + 4 < s->count; i += 6) split_block(t, s, c, i, j, 6);
        if (i < s->count) split_block(t, s, c, i, j, 4);
    }
}

static void split_start(const tile_product *t) {
    if (t->add && !t->factor) return;
    for (size_t i = 0; i < t->m; i++)
        for (size_t j = 0; j < t->n; j += BV_LANES) {
            real *c = t->c + i * t->c_row + j;
            v_store(c, t->add ? v_flush(v_mul(v_load(c), v_set(t->factor[i]))) : v_zero());
        }
}

static void split_end(const tile_product *t) {
    if (t->add || t->scale == 1) return;
    for (size_t i = 0; i < t->m; i++)
        for (size_t j = 0; j < t->n; j += BV_LANES) {
            real *c = t->c + i * t->c_row + j;
            v_store(c, v_mul(v_load(c), v_set(t->scale)));
        }
}

static __attribute__((noinline)) void product_of_pairs(const tile_product *t) {
    split_rows s;
    split_start(t);
    for (size_t i = 0; i < t->m; i += SPLIT_ROWS) {
        split(t, i, &s);
        const unsigned saved = flushing_begin();
        split_chains(t, &s, t->c + i * t->c_row);
        flushing_end(saved);
    }
    split_end(t);
}

#else

static __attribute__((noinline)) void product_of_pairs(const tile_product *t) {
    product_typed(t, true);
}

#endif

BV_INLINE void product(const tile_product *t, bool pairs) {
    if (pairs)
        product_of_pairs(t);
    else
        product_of_reals(t);
}

#endif

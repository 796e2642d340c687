/*
 * The product of tiles with 16 registers of 8 lanes: six rows of 16 columns at a time. 16 rows are
 * 6 + 6 + 4.
 *
 * There is no instruction for pairs: under a control register that flushes, two multiply-adds are a
 * step. What C begins with, and its scale, follow the rules of f32, so they are computed before and
 * after, under the usual register; the chains stand in a function of their own, so that nothing
 * moves in or out. Rows of A are taken apart before, into a plane of odd elements and one of even
 * elements, B on the way.
 */
#ifndef BV_KERNEL_LANES_ATTENTION_PRODUCT_AVX2_H
#define BV_KERNEL_LANES_ATTENTION_PRODUCT_AVX2_H

#include "kernel/bf16_dot.h"
#include "kernel/lanes/attention_product.h"

#if defined(BV_LEVEL_AVX2)

/* Calls BLOCK(first row, column, rows) for columns j .. n of C[m, n]; the number of rows is a
 * constant. */
#define BY_BLOCKS(m, j, n, BLOCK)                                                                  \
    for (; j < (n); j += BV_LANES) {                                                               \
        size_t i = 0;                                                                              \
        for (; i + 6 <= (m); i += 6) BLOCK(i, j, 6);                                               \
        if (i + 4 <= (m)) BLOCK(i, j, 4), i += 4;                                                  \
        for (; i < (m); i++) BLOCK(i, j, 1);                                                       \
    }

/* ---- reals ---- */

BV_INLINE void real_step(const char *const *a, size_t at, const real *b, vreal acc[6], int rows) {
    const __m256 columns[2] = {_mm256_loadu_ps(b), _mm256_loadu_ps(b + 8)};
    v_add_rows(acc, a, at, columns, rows);
}

/* `step` is a constant where this is used. */
BV_INLINE void real_chain(const tile_product *t, size_t i, size_t j, vreal acc[6], int rows,
                          size_t step) {
    const char *a[6];
    const size_t b_row = t->b_row;
    const step_range range = steps_of_rows(t, i, (size_t)rows, false);
    UNROLL for (int r = 0; r < rows; r++) a[r] =
        (const char *)t->a + (i + (size_t)r) * t->a_row + range.begin * step;
    const real *b = (const real *)t->b + columns_at(t, j) + range.begin * b_row;
    size_t left = range.end - range.begin;
    for (; left >= REAL_DEPTH; left -= REAL_DEPTH) {
        hold_rows(a, rows);
        UNROLL for (size_t d = 0; d < REAL_DEPTH; d++, b += b_row)
            real_step(a, d * step, b, acc, rows);
        UNROLL for (int r = 0; r < rows; r++) a[r] += REAL_DEPTH * step;
    }
    for (; left > 0; left--, b += b_row) {
        hold_rows(a, rows);
        real_step(a, 0, b, acc, rows);
        UNROLL for (int r = 0; r < rows; r++) a[r] += step;
    }
}

BV_INLINE void real_block(const tile_product *t, size_t i, size_t j, int rows) {
    vreal acc[6];
    UNROLL for (int r = 0; r < rows; r++) {
        acc[r] = t->add ? v_load(t->c + (i + (size_t)r) * t->c_row + j) : v_zero();
        if (t->factor) acc[r] = v_mul(acc[r], v_set(t->factor[i + (size_t)r]));
    }
    if (t->a_step == sizeof(real)) {
        real_chain(t, i, j, acc, rows, sizeof(real));
    } else if (t->a_step == BV_LANES * sizeof(real)) {
        real_chain(t, i, j, acc, rows, BV_LANES * sizeof(real));
    } else {
        BV_ASSERT(t->a_step == TILE * sizeof(real));
        real_chain(t, i, j, acc, rows, TILE * sizeof(real));
    }
    const vreal scale = v_set(t->add ? 1 : t->scale);
    UNROLL for (int r = 0; r < rows; r++)
        v_store(t->c + (i + (size_t)r) * t->c_row + j, v_mul(acc[r], scale));
}

/* One row, as a token that is written has: a step takes four vectors of B as they lie, since the
 * chain of one would wait for each product and jump through memory. */
#define WIDE 4

BV_INLINE void real_row(const tile_product *t, size_t j) {
    vreal acc[WIDE];
    UNROLL for (int v = 0; v < WIDE; v++) {
        acc[v] = t->add ? v_load(t->c + j + v * BV_LANES) : v_zero();
        if (t->factor) acc[v] = v_mul(acc[v], v_set(*t->factor));
    }
    const char *a = t->a;
    const real *b = (const real *)t->b + columns_at(t, j);
    const size_t b_col = t->b_col;
    for (size_t k = 0; k < t->k; k++, a += t->a_step, b += t->b_row)
        UNROLL for (size_t v = 0; v < WIDE; v++) v_add_product(&acc[v], a, v_load(b + v * b_col).v);
    const vreal scale = v_set(t->add ? 1 : t->scale);
    UNROLL for (int v = 0; v < WIDE; v++) v_store(t->c + j + v * BV_LANES, v_mul(acc[v], scale));
}

void BV_NAME(bv_attention_product_real)(const tile_product *t) {
    size_t j = 0;
    for (; t->m == 1 && j + WIDE * BV_LANES <= t->n; j += WIDE * BV_LANES) real_row(t, j);
#define REAL_BLOCK(i, j, rows) real_block(t, i, j, rows)
    BY_BLOCKS(t->m, j, t->n, REAL_BLOCK)
}

/* ---- pairs ---- */

/* Sixteen rows taken apart. */
#define SPLIT_ROWS 16
#define SPLIT_PLANE (SPLIT_ROWS * D_HEAD_MAX / 2)

typedef struct split_rows {
    _Alignas(32) float planes[2][SPLIT_PLANE]; /* odd, even */
    size_t first, count;                       /* rows */
    size_t row, step;                          /* distances in elements */
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
    out->first = first;
    out->count = least(t->m - first, SPLIT_ROWS);
    if (t->a_step == sizeof(uint32_t)) {
        out->row = up(t->k, 8), out->step = 1;
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

/* at: in elements. */
BV_INLINE void split_step(const char *const *a, size_t at, const uint32_t *b, vreal acc[6],
                          int rows) {
    __m256 half[2];
    odd_halves(b, half);
    v_add_rows(acc, a, at * sizeof(float), half, rows);
    even_halves(b, half);
    v_add_rows(acc, a, (SPLIT_PLANE + at) * sizeof(float), half, rows);
}

/* `step` is a constant where this is used. */
BV_INLINE void split_chain(const tile_product *t, const split_rows *s, size_t i, size_t j,
                           vreal acc[6], int rows, size_t step) {
    const size_t b_row = t->b_row;
    const char *a[6];
    const step_range range = steps_of_rows(t, s->first + i, (size_t)rows, true);
    UNROLL for (int r = 0; r < rows; r++) a[r] =
        (const char *)(s->planes[0] + (i + (size_t)r) * s->row + range.begin * step);
    const uint32_t *b = (const uint32_t *)t->b + columns_at(t, j) + range.begin * b_row;
    size_t left = range.end - range.begin;
    for (; left >= PAIR_DEPTH; left -= PAIR_DEPTH) {
        hold_rows(a, rows);
        UNROLL for (size_t d = 0; d < PAIR_DEPTH; d++, b += b_row) {
            split_step(a, d * step, b, acc, rows);
        }
        UNROLL for (int r = 0; r < rows; r++) a[r] += PAIR_DEPTH * step * sizeof(float);
    }
    for (; left > 0; left--, b += b_row) {
        hold_rows(a, rows);
        split_step(a, 0, b, acc, rows);
        UNROLL for (int r = 0; r < rows; r++) a[r] += step * sizeof(float);
    }
}

BV_INLINE void split_block(const tile_product *t, const split_rows *s, real *c, size_t i, size_t j,
                           int rows) {
    vreal acc[6];
    UNROLL for (int r = 0; r < rows; r++) acc[r] =
        t->add ? v_load(c + (i + (size_t)r) * t->c_row + j) : v_zero();
    if (s->step == 1)
        split_chain(t, s, i, j, acc, rows, 1);
    else
        split_chain(t, s, i, j, acc, rows, SPLIT_ROWS);
    UNROLL for (int r = 0; r < rows; r++) v_store(c + (i + (size_t)r) * t->c_row + j, acc[r]);
}

BV_INLINE void split_row(const tile_product *t, const split_rows *s, real *c, size_t j) {
    vreal acc[WIDE];
    UNROLL for (int v = 0; v < WIDE; v++) acc[v] = t->add ? v_load(c + j + v * BV_LANES) : v_zero();
    const float *a = s->planes[0];
    const uint32_t *b = (const uint32_t *)t->b + columns_at(t, j);
    const size_t b_col = t->b_col;
    for (size_t k = 0; k < t->k; k++, a += s->step, b += t->b_row) {
        __m256 half[2];
        UNROLL for (size_t v = 0; v < WIDE; v++) {
            odd_halves(b + v * b_col, half);
            v_add_product(&acc[v], a, half);
        }
        UNROLL for (size_t v = 0; v < WIDE; v++) {
            even_halves(b + v * b_col, half);
            v_add_product(&acc[v], a + SPLIT_PLANE, half);
        }
    }
    UNROLL for (int v = 0; v < WIDE; v++) v_store(c + j + v * BV_LANES, acc[v]);
}

static __attribute__((noinline)) void split_chains(const tile_product *t, const split_rows *s,
                                                   real *c) {
    size_t j = 0;
    for (; s->count == 1 && j + WIDE * BV_LANES <= t->n; j += WIDE * BV_LANES)
        split_row(t, s, c, j);
#define SPLIT_BLOCK(i, j, rows) split_block(t, s, c, i, j, rows)
    BY_BLOCKS(s->count, j, t->n, SPLIT_BLOCK)
}

/* C times the factors of its rows, or times the scale. */
static void multiply_rows(const tile_product *t, const real *factor) {
    for (size_t i = 0; i < t->m; i++)
        for (size_t j = 0; j < t->n; j += BV_LANES) {
            real *c = t->c + i * t->c_row + j;
            const vreal x = v_mul(v_load(c), v_set(factor ? factor[i] : t->scale));
            v_store(c, factor ? v_flush(x) : x);
        }
}

void BV_NAME(bv_attention_product_bf16)(const tile_product *t) {
    split_rows s;
    if (t->factor) multiply_rows(t, t->factor);
    for (size_t i = 0; i < t->m; i += SPLIT_ROWS) {
        split(t, i, &s);
        const unsigned saved = flushing_begin();
        split_chains(t, &s, t->c + i * t->c_row);
        flushing_end(saved);
    }
    if (!t->add && t->scale != 1) multiply_rows(t, NULL);
}

#endif
#endif

/* The product of tiles at one level: blocks of C in registers; AVX2 has a way of its own. */
#include "kernel/lanes/attention_product.h"
#include "kernel/bf16_dot.h"

#if defined(BV_LEVEL_AVX2)
#include "kernel/lanes/attention_product_avx2.h"
#else

/* Vectors and rows of a block of C in registers. */
#if defined(BV_LEVEL_AVX512)
#define BLOCK_VECS 4
#define BLOCK_ROWS(vecs) ((vecs) == 4 ? 4 : 8)
#elif defined(BV_LEVEL_NEON)
#define BLOCK_VECS 1
#define BLOCK_ROWS(vecs) 4
#else
#define BLOCK_VECS 1
#define BLOCK_ROWS(vecs) 1
#endif
#define BLOCK_ROWS_MAX 8

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

BV_INLINE void real_steps(const tile_product *t, const char *const *a, size_t j, step_range range,
                          vreal acc[][BLOCK_VECS], int rows, int vecs) {
    const real *b = (const real *)t->b + columns_at(t, j) + range.begin * t->b_row;
    const size_t b_col = t->b_col;
    for (size_t k = range.begin, at = k * t->a_step; k < range.end;
         k++, at += t->a_step, b += t->b_row) {
        vreal column[BLOCK_VECS];
        UNROLL for (int v = 0; v < vecs; v++) column[v] = v_load(b + (size_t)v * b_col);
        UNROLL for (int r = 0; r < rows; r++) {
            real x;
            memcpy(&x, a[r] + at, sizeof x);
            const vreal word = v_set(x);
            UNROLL for (int v = 0; v < vecs; v++) acc[r][v] = v_fma(word, column[v], acc[r][v]);
        }
    }
}

BV_INLINE void pair_steps(const tile_product *t, const char *const *a, size_t j, step_range range,
                          vreal acc[][BLOCK_VECS], int rows, int vecs) {
    const uint32_t *b = (const uint32_t *)t->b + columns_at(t, j) + range.begin * t->b_row;
    const size_t b_col = t->b_col;
    for (size_t k = range.begin, at = k * t->a_step; k < range.end;
         k++, at += t->a_step, b += t->b_row) {
        vpair column[BLOCK_VECS];
        UNROLL for (int v = 0; v < vecs; v++) column[v] = v_pair_load(b + (size_t)v * b_col);
        UNROLL for (int r = 0; r < rows; r++) {
            uint32_t x;
            memcpy(&x, a[r] + at, sizeof x);
            const vpair word = v_pair_set(x);
            UNROLL for (int v = 0; v < vecs; v++) acc[r][v] =
                v_dot_bf16(acc[r][v], word, column[v]);
        }
    }
}

BV_INLINE void product_block(const tile_product *t, size_t i, size_t j, int rows, int vecs,
                             bool pairs) {
    vreal acc[BLOCK_ROWS_MAX][BLOCK_VECS];
    const char *a[BLOCK_ROWS_MAX];
    UNROLL for (int r = 0; r < rows; r++) a[r] = (const char *)t->a + (i + (size_t)r) * t->a_row;
    product_start(t, i, j, acc, rows, vecs, pairs);
    const step_range range = steps_of_rows(t, i, (size_t)rows, pairs);
    if (pairs)
        pair_steps(t, a, j, range, acc, rows, vecs);
    else
        real_steps(t, a, j, range, acc, rows, vecs);
    product_end(t, i, j, acc, rows, vecs);
}

BV_INLINE void product_columns(const tile_product *t, size_t j, int vecs, bool pairs) {
    size_t i = 0;
    for (; i + BLOCK_ROWS(vecs) <= t->m; i += BLOCK_ROWS(vecs))
        product_block(t, i, j, BLOCK_ROWS(vecs), vecs, pairs);
    for (; BLOCK_ROWS(vecs) > 2 && i + 2 <= t->m; i += 2) product_block(t, i, j, 2, vecs, pairs);
    if (i < t->m) product_block(t, i, j, 1, vecs, pairs);
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

void BV_NAME(bv_attention_product_real)(const tile_product *t) {
    product_typed(t, false);
}

void BV_NAME(bv_attention_product_bf16)(const tile_product *t) {
    product_typed(t, true);
}

#endif

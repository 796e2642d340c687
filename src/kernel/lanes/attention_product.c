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

/* What t holds is taken once: a store could change it for all the compiler knows. */
BV_INLINE void product_start(const tile_product *t, size_t i, size_t j, vreal acc[][BLOCK_VECS],
                             int rows, int vecs, bool pairs) {
    const size_t c_row = t->c_row;
    const real *c = t->c + i * c_row + j, *factor = t->factor;
    if (!t->add) {
        UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vecs; v++) acc[r][v] =
            v_zero();
        return;
    }
    UNROLL for (int r = 0; r < rows; r++, c += c_row) UNROLL for (int v = 0; v < vecs; v++)
        acc[r][v] = v_load(c + v * BV_LANES);
    if (!factor) return;
    UNROLL for (int r = 0; r < rows; r++) {
        const vreal x = v_set(factor[i + (size_t)r]);
        UNROLL for (int v = 0; v < vecs; v++) {
            acc[r][v] = v_mul(acc[r][v], x);
            if (pairs) acc[r][v] = v_flush(acc[r][v]);
        }
    }
}

BV_INLINE void product_end(const tile_product *t, size_t i, size_t j, vreal acc[][BLOCK_VECS],
                           int rows, int vecs) {
    const size_t c_row = t->c_row;
    const vreal scale = v_set(t->add ? 1 : t->scale);
    real *c = t->c + i * c_row + j;
    UNROLL for (int r = 0; r < rows; r++, c += c_row) UNROLL for (int v = 0; v < vecs; v++)
        v_store(c + v * BV_LANES, v_mul(acc[r][v], scale));
}

/* Where a block's next step stands. Two pointers and one distance make the addresses of all rows of
 * A: a pointer each would not leave registers for the rest. */
typedef struct place_in_step {
    const char *half[2], *b;
    size_t row;
} place_in_step;

#define HALF (BLOCK_ROWS_MAX / 2)

BV_INLINE const char *row_at(const place_in_step *p, int r) {
    return p->half[r / HALF] + (size_t)(r % HALF) * p->row;
}

BV_INLINE void real_step(const place_in_step *p, size_t b_col, vreal acc[][BLOCK_VECS], int rows,
                         int vecs) {
    vreal column[BLOCK_VECS];
    UNROLL for (int v = 0; v < vecs; v++) column[v] =
        v_load((const real *)(const void *)p->b + (size_t)v * b_col);
    UNROLL for (int r = 0; r < rows; r++) {
        real x;
        memcpy(&x, row_at(p, r), sizeof x);
        const vreal word = v_set(x);
        UNROLL for (int v = 0; v < vecs; v++) acc[r][v] = v_fma(word, column[v], acc[r][v]);
    }
}

BV_INLINE void pair_step(const place_in_step *p, size_t b_col, vreal acc[][BLOCK_VECS], int rows,
                         int vecs) {
    vpair column[BLOCK_VECS];
    UNROLL for (int v = 0; v < vecs; v++) column[v] =
        v_pair_load((const uint32_t *)(const void *)p->b + (size_t)v * b_col);
    UNROLL for (int r = 0; r < rows; r++) {
        uint32_t x;
        memcpy(&x, row_at(p, r), sizeof x);
        const vpair word = v_pair_set(x);
        UNROLL for (int v = 0; v < vecs; v++) acc[r][v] = v_dot_bf16(acc[r][v], word, column[v]);
    }
}

BV_INLINE void product_block(const tile_product *t, size_t i, size_t j, int rows, int vecs,
                             bool pairs) {
    vreal acc[BLOCK_ROWS_MAX][BLOCK_VECS];
    const size_t b_col = t->b_col, a_step = t->a_step, b_step = t->b_row * word_bytes(pairs);
    const step_range range = steps_of_rows(t, i, (size_t)rows, pairs);
    const char *a = (const char *)t->a + i * t->a_row + range.begin * a_step;
    const char *b = (const char *)t->b + columns_at(t, j) * word_bytes(pairs);
    place_in_step p = {{a, a + HALF * t->a_row}, b + range.begin * b_step, t->a_row};
    product_start(t, i, j, acc, rows, vecs, pairs);
    for (size_t k = range.begin; k < range.end; k++) {
        if (pairs)
            pair_step(&p, b_col, acc, rows, vecs);
        else
            real_step(&p, b_col, acc, rows, vecs);
        p.half[0] += a_step, p.half[1] += a_step, p.b += b_step;
    }
    product_end(t, i, j, acc, rows, vecs);
}

/* A function for each block, since in one for all addresses do not stay in registers: of as many
 * rows as there are registers for, of two, of one. */
typedef void block_function(const tile_product *t, size_t i, size_t j);

#define BLOCK(rows, vecs)                                                                          \
    static __attribute__((noinline)) void real_##rows##_##vecs(const tile_product *t, size_t i,    \
                                                               size_t j) {                         \
        product_block(t, i, j, rows, vecs, false);                                                 \
    }                                                                                              \
    static __attribute__((noinline)) void pair_##rows##_##vecs(const tile_product *t, size_t i,    \
                                                               size_t j) {                         \
        product_block(t, i, j, rows, vecs, true);                                                  \
    }

#if defined(BV_LEVEL_AVX512)
BLOCK(4, 4)
BLOCK(2, 4)
BLOCK(1, 4)
BLOCK(8, 3)
BLOCK(2, 3)
BLOCK(1, 3)
BLOCK(8, 2)
BLOCK(2, 2)
BLOCK(1, 2)
BLOCK(8, 1)
BLOCK(2, 1)
BLOCK(1, 1)
#define TABLE(kind)                                                                                \
    {                                                                                              \
        {kind##_8_1, kind##_2_1, kind##_1_1}, {kind##_8_2, kind##_2_2, kind##_1_2},                \
            {kind##_8_3, kind##_2_3, kind##_1_3}, {                                                \
            kind##_4_4, kind##_2_4, kind##_1_4                                                     \
        }                                                                                          \
    }
#elif defined(BV_LEVEL_NEON)
BLOCK(4, 1)
BLOCK(2, 1)
BLOCK(1, 1)
#define TABLE(kind)                                                                                \
    {                                                                                              \
        { kind##_4_1, kind##_2_1, kind##_1_1 }                                                     \
    }
#else
BLOCK(1, 1)
#define TABLE(kind)                                                                                \
    {                                                                                              \
        { kind##_1_1, kind##_1_1, kind##_1_1 }                                                     \
    }
#endif

BV_INLINE void product_by_blocks(const tile_product *t, block_function *const blocks[][3]) {
    for (size_t j = 0, vecs; j < t->n; j += vecs * BV_LANES) {
        vecs = least((t->n - j) / BV_LANES, BLOCK_VECS);
        block_function *const *const block = blocks[vecs - 1];
        size_t i = 0;
        for (; i + BLOCK_ROWS(vecs) <= t->m; i += BLOCK_ROWS(vecs)) block[0](t, i, j);
        for (; BLOCK_ROWS(vecs) > 2 && i + 2 <= t->m; i += 2) block[1](t, i, j);
        if (i < t->m) block[2](t, i, j);
    }
}

void BV_NAME(bv_attention_product_real)(const tile_product *t) {
    static block_function *const blocks[BLOCK_VECS][3] = TABLE(real);
    product_by_blocks(t, blocks);
}

void BV_NAME(bv_attention_product_bf16)(const tile_product *t) {
    static block_function *const blocks[BLOCK_VECS][3] = TABLE(pair);
    product_by_blocks(t, blocks);
}

#endif

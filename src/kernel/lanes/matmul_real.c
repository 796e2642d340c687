/* Products of reals: the tiles of matmul_tile.h, one multiply-add a step. */
#include "kernel/bf16_dot.h"
#include "kernel/lanes/matmul_tile.h"

BV_INLINE void real_step(const char *const a[2], size_t a_row, size_t at, const real *b,
                         vreal acc[ROWS][VECS], int rows, int vecs) {
    vreal panel[VECS];
    UNROLL for (int j = 0; j < vecs; j++) panel[j] = v_load(b + j * BV_LANES);
#if defined(BV_LEVEL_AVX2)
    v_add_rows(acc[0], a[0] + at, a[1] + at, a_row, panel[0].v, rows);
#else
    UNROLL for (int i = 0; i < rows; i++) {
        real x;
        memcpy(&x, row_at(a, a_row, i) + at, sizeof x);
        const vreal word = v_set(x);
        UNROLL for (int j = 0; j < vecs; j++) acc[i][j] = v_fma(word, panel[j], acc[i][j]);
    }
#endif
}

/* a_step is a constant where this is used, so that the steps between need no arithmetic. */
BV_INLINE void chain_of(const bv_matmul_block *t, size_t row, fetch next, vreal acc[ROWS][VECS],
                        int rows, int vecs, size_t a_step) {
    const size_t a_row = t->a_row, width = (size_t)vecs * BV_LANES;
    const char *a[2] = {tile_rows(t, row), tile_rows(t, row) + HALF * a_row};
    const real *b = t->panel;
    size_t left = t->k;
    for (; left >= CHAIN_DEPTH; left -= CHAIN_DEPTH) {
        UNROLL for (size_t d = 0; d < CHAIN_DEPTH; d++)
            real_step(a, a_row, d * a_step, b + d * width, acc, rows, vecs);
        fetch_steps(&next, CHAIN_DEPTH);
        a[0] += CHAIN_DEPTH * a_step;
        a[1] += CHAIN_DEPTH * a_step;
        b += CHAIN_DEPTH * width;
    }
    for (; left > 0; left--, a[0] += a_step, a[1] += a_step, b += width)
        real_step(a, a_row, 0, b, acc, rows, vecs);
}

BV_INLINE void chain_real(const bv_matmul_block *t, size_t row, fetch next, vreal acc[ROWS][VECS],
                          int rows, int vecs) {
    if (t->a_step == sizeof(real)) {
        chain_of(t, row, next, acc, rows, vecs, sizeof(real));
    } else {
        BV_ASSERT(t->a_step == ROWS * sizeof(real));
        chain_of(t, row, next, acc, rows, vecs, ROWS * sizeof(real));
    }
}

BV_INLINE void tile_real(const bv_matmul_block *t, size_t row, fetch next, int rows, int vecs) {
    vreal acc[ROWS][VECS];
    tile_start(t, row, acc, rows, vecs);
    chain_real(t, row, next, acc, rows, vecs);
    tile_finish(t, row, acc, rows, vecs);
}

#define REAL(rows, vecs)                                                                           \
    static void real_##rows##_##vecs(const bv_matmul_block *t, size_t row, fetch next) {           \
        tile_real(t, row, next, rows, vecs);                                                       \
    }

TILES(REAL)
static tile_function *const tiles[VECS][ROWS] = TILE_TABLE(real);

void BV_NAME(bv_matmul_real)(const bv_matmul_block *block) {
    run_tiles(block, block->k, tiles);
}

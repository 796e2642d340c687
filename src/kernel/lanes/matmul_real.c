/* Products of reals: the tiles of matmul_tile.h, one multiply-add a step. */
#include "kernel/bf16_dot.h"
#include "kernel/lanes/matmul_tile.h"

#if defined(BV_LEVEL_AVX2)

/* A step of the panel, from its row of B. */
BV_INLINE void pack_step(const bv_matmul_block *t, const char **row, real *step) {
    v_store(step, v_load((const real *)(const void *)*row));
    __builtin_prefetch(*row + AHEAD * t->source_row, 0, 3);
    *row += t->source_row;
}

/* From the first row of A on. a_step is a constant where this is used, so that the steps between
 * need no arithmetic: of a real where rows lie along k, a pointer each, else of packed rows, whose
 * elements lie side by side behind one. */
BV_INLINE void chain_of(const bv_matmul_block *t, const char *first, fetch next,
                        vreal acc[ROWS][VECS], int rows, size_t a_step, bool packs, size_t line) {
    const int pointers = a_step == sizeof(real) ? rows : 1;
    const char *a[ROWS];
    UNROLL for (int i = 0; i < rows; i++) a[i] = first + (size_t)i * t->a_row;
    real *b = t->panel;
    const char *source = t->source;
    size_t left = t->k;
    for (; left >= REAL_DEPTH; left -= REAL_DEPTH, b += REAL_DEPTH * BV_LANES) {
        hold_rows(a, pointers);
        UNROLL for (int i = pointers; i < rows; i++) a[i] = a[0] + (size_t)i * sizeof(real);
        UNROLL for (size_t d = 0; d < REAL_DEPTH; d++) {
            if (packs) pack_step(t, &source, b + d * BV_LANES);
            v_add_rows(acc[0], a, d * a_step, v_load(b + d * BV_LANES).v, rows);
        }
        fetch_steps(&next, REAL_DEPTH, line);
        UNROLL for (int i = 0; i < pointers; i++) a[i] += REAL_DEPTH * a_step;
    }
    for (; left > 0; left--, b += BV_LANES) {
        hold_rows(a, pointers);
        UNROLL for (int i = pointers; i < rows; i++) a[i] = a[0] + (size_t)i * sizeof(real);
        if (packs) pack_step(t, &source, b);
        v_add_rows(acc[0], a, 0, v_load(b).v, rows);
        UNROLL for (int i = 0; i < pointers; i++) a[i] += a_step;
    }
}

BV_INLINE void chain_real(const bv_matmul_block *t, const char *first, fetch next,
                          vreal acc[ROWS][VECS], int rows, int vecs) {
    (void)vecs;
    if (t->a_step == sizeof(real)) {
        chain_of(t, first, next, acc, rows, sizeof(real), false, 64);
        return;
    }
    BV_ASSERT(t->a_step == ROWS * sizeof(real));
    if (!t->source)
        chain_of(t, first, next, acc, rows, ROWS * sizeof(real), false, 64);
    else if (first == t->a)
        chain_of(t, first, next, acc, rows, ROWS * sizeof(real), true, next.line);
    else
        chain_of(t, first, next, acc, rows, ROWS * sizeof(real), false, next.line);
}

#else

BV_INLINE void chain_of(const bv_matmul_block *t, const char *first, fetch next,
                        vreal acc[ROWS][VECS], int rows, int vecs, size_t a_step) {
    const size_t a_row = t->a_row;
    const char *a[2] = {first, first + HALF * a_row};
    const real *b = t->panel;
    for (size_t left = t->k; left > 0; left--, b += vecs * BV_LANES) {
        vreal panel[VECS];
        UNROLL for (int j = 0; j < vecs; j++) panel[j] = v_load(b + j * BV_LANES);
        UNROLL for (int i = 0; i < rows; i++) {
            real x;
            memcpy(&x, row_at(a, a_row, i), sizeof x);
            const vreal word = v_set(x);
            UNROLL for (int j = 0; j < vecs; j++) acc[i][j] = v_fma(word, panel[j], acc[i][j]);
        }
        fetch_steps(&next, 1, next.line);
        a[0] += a_step;
        a[1] += a_step;
    }
}

BV_INLINE void chain_real(const bv_matmul_block *t, const char *first, fetch next,
                          vreal acc[ROWS][VECS], int rows, int vecs) {
    if (t->a_step == sizeof(real)) {
        chain_of(t, first, next, acc, rows, vecs, sizeof(real));
    } else {
        BV_ASSERT(t->a_step == ROWS * sizeof(real));
        chain_of(t, first, next, acc, rows, vecs, ROWS * sizeof(real));
    }
}

#endif

BV_INLINE void tile_real(const bv_matmul_block *t, size_t row, const char *a, fetch next, int rows,
                         int vecs) {
    vreal acc[ROWS][VECS];
    tile_start(t, row, acc, rows, vecs);
    chain_real(t, a, next, acc, rows, vecs);
    tile_finish(t, row, acc, rows, vecs, BV_REAL_TYPE);
}

#define REAL(rows, vecs)                                                                           \
    static void real_##rows##_##vecs(const bv_matmul_block *t, size_t row, const char *a,          \
                                     fetch next) {                                                 \
        tile_real(t, row, a, next, rows, vecs);                                                    \
    }

TILES(REAL)
static tile_function *const tiles[VECS][ROWS] = TILE_TABLE(real);

#if ROW_PANELS > 1
BV_INLINE void few_real(const bv_matmul_block *t, int rows) {
    const int panels = ROW_PANELS / rows;
    few_sums acc;
    few_start(t, acc, rows);
    const char *a[FEW_ROWS];
    UNROLL for (int i = 0; i < rows; i++) a[i] = (const char *)t->a + (size_t)i * t->a_row;
    const real *b = t->panel;
    const size_t panel = t->k * t->apart;
    for (size_t left = t->k; left > 0; left--, b += COLS) {
        UNROLL for (int p = 0; p < panels; p++)
            v_add_rows(acc[p][0], a, 0, v_load(b + (size_t)p * panel).v, rows);
        UNROLL for (int i = 0; i < rows; i++) a[i] += t->a_step;
    }
    few_finish(t, acc, rows, BV_REAL_TYPE);
}

static void run_few(const bv_matmul_block *t) {
    if (t->m == 1) few_real(t, 1);
    if (t->m == 2) few_real(t, 2);
    if (t->m == 3) few_real(t, 3);
}
#endif

void BV_NAME(bv_matmul_real)(const bv_matmul_block *block) {
#if ROW_PANELS > 1
    if (block->n > COLS) {
        run_few(block);
        return;
    }
#endif
    run_tiles(block, block->k, tiles);
}

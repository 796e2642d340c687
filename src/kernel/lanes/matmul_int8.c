/*
 * Micro-kernels of the product of bytes, and the quantization of its rows.
 *
 * As in matmul.c, a tile of ROWS x VECS vectors of sums stays in registers while k runs, here all
 * of it: a panel of bytes is short enough to come from the second-level cache tile after tile.
 * (Blocks of k that the first-level cache holds, and at AVX2 panels that are widened to 16 bits
 * before they are used again, gained nothing.)
 */
#include "kernel/int8_dot.h"
#include "kernel/lanes/tables.h"

#if defined(BV_LEVEL_AVX512)
#define ROWS 8
#define VECS 3
#elif defined(BV_LEVEL_AVX2)
#define ROWS 6
#define VECS 1
#elif defined(BV_LEVEL_NEON)
#define ROWS 4
#define VECS 1
#else
#define ROWS 1
#define VECS 1
#endif
#define COLS (VECS * BV_LANES)
#define DEPTH 4 /* steps between two looks at the end of a chain; k is a multiple of it */

/* Complete unrolling, so that sums are registers. */
#define UNROLL _Pragma("GCC unroll 8")

/* ---- tiles ---- */

/* Row i of a tile: two pointers and one distance make all addresses, a pointer each would not leave
 * registers for the rest. */
#define HALF ((ROWS + 1) / 2)

BV_INLINE void dot_step(const char *const at[2], size_t row_bytes, size_t offset,
                        const int8_t *step, vsums acc[ROWS][VECS], int rows, int vecs) {
    vcolumns columns[VECS];
    UNROLL for (int j = 0; j < vecs; j++) columns[j] = v_columns(step + j * BV_LANES * DOT_GROUP);
    UNROLL for (int i = 0; i < rows; i++) {
        const vword word = v_word(at[i / HALF] + (size_t)(i % HALF) * row_bytes + offset);
        UNROLL for (int j = 0; j < vecs; j++) acc[i][j] = v_dot(acc[i][j], word, columns[j]);
    }
}

BV_INLINE void tile(const bv_matmul_int8_panel *p, size_t row, int32_t sums[ROWS][COLS], int rows,
                    int vecs) {
    const size_t row_bytes = p->row_bytes, word = DOT_GROUP * sizeof(row_element);
    const size_t step_bytes = (size_t)vecs * BV_LANES * DOT_GROUP;
    const char *first = (const char *)p->rows + row * row_bytes;
    const char *at[2] = {first, first + HALF * row_bytes};
    const int8_t *step = p->panel;
    vsums acc[ROWS][VECS];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        acc[i][j] = v_sums_load(p->starts + j * BV_LANES);
    }
    for (size_t left = (p->k + 15) / 16 * 16 / DOT_GROUP; left > 0; left -= DEPTH) {
        UNROLL for (size_t d = 0; d < DEPTH; d++)
            dot_step(at, row_bytes, d * word, step + d * step_bytes, acc, rows, vecs);
        at[0] += DEPTH * word;
        at[1] += DEPTH * word;
        step += DEPTH * step_bytes;
    }
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        v_sums_store(sums[i] + j * BV_LANES, acc[i][j]);
    }
}

typedef void tile_function(const bv_matmul_int8_panel *p, size_t row, int32_t sums[ROWS][COLS]);

#define TILE(rows, vecs)                                                                           \
    static void tile_##rows##_##vecs(const bv_matmul_int8_panel *p, size_t row,                    \
                                     int32_t sums[ROWS][COLS]) {                                   \
        tile(p, row, sums, rows, vecs);                                                            \
    }
#if ROWS == 8
#define TILES(vecs)                                                                                \
    TILE(1, vecs)                                                                                  \
    TILE(2, vecs)                                                                                  \
    TILE(3, vecs) TILE(4, vecs) TILE(5, vecs) TILE(6, vecs) TILE(7, vecs) TILE(8, vecs)
#define LIST(vecs)                                                                                 \
    {                                                                                              \
        tile_1_##vecs, tile_2_##vecs, tile_3_##vecs, tile_4_##vecs, tile_5_##vecs, tile_6_##vecs,  \
            tile_7_##vecs, tile_8_##vecs                                                           \
    }
#elif ROWS == 6
#define TILES(vecs)                                                                                \
    TILE(1, vecs) TILE(2, vecs) TILE(3, vecs) TILE(4, vecs) TILE(5, vecs) TILE(6, vecs)
#define LIST(vecs)                                                                                 \
    { tile_1_##vecs, tile_2_##vecs, tile_3_##vecs, tile_4_##vecs, tile_5_##vecs, tile_6_##vecs }
#elif ROWS == 4
#define TILES(vecs) TILE(1, vecs) TILE(2, vecs) TILE(3, vecs) TILE(4, vecs)
#define LIST(vecs)                                                                                 \
    { tile_1_##vecs, tile_2_##vecs, tile_3_##vecs, tile_4_##vecs }
#else
#define TILES(vecs) TILE(1, vecs)
#define LIST(vecs)                                                                                 \
    { tile_1_##vecs }
#endif

TILES(1)
#if VECS == 3
TILES(2)
TILES(3)
static tile_function *const tiles[VECS][ROWS] = {LIST(1), LIST(2), LIST(3)};
#else
static tile_function *const tiles[VECS][ROWS] = {LIST(1)};
#endif

/* C = (sum * scale of the column) * scale of the row (+ bias). */
BV_INLINE void scale_row(const bv_matmul_int8_panel *p, size_t row, const int32_t *sums,
                         bv_dtype type) {
    const vreal row_scale = v_set(((const real *)p->row_scales)[row]);
    for (size_t col = 0; col < p->n; col += BV_LANES) {
        const size_t left = BV_LANES_LEFT(col, p->n), at = row * p->out_stride + col;
        const vreal scale = v_load((const real *)p->col_scales + col);
        vreal x = v_mul(v_mul(v_sums_real(v_sums_load(sums + col)), scale), row_scale);
        if (p->bias) x = v_add(x, v_load_first((const real *)p->bias + col, left));
        v_put_first(p->out, type, at, x, left);
    }
}

static void panel(const bv_matmul_int8_panel *p) {
    tile_function *const *by_rows = tiles[(p->n - 1) / BV_LANES];
    _Alignas(64) int32_t sums[ROWS][COLS];
    for (size_t row = 0; row < p->m; row += ROWS) {
        const size_t rows = p->m - row < ROWS ? p->m - row : ROWS;
        by_rows[rows - 1](p, row, sums);
        for (size_t i = 0; i < rows; i++)
            if (p->out_type == BV_BF16)
                scale_row(p, row + i, sums[i], BV_BF16);
            else
                scale_row(p, row + i, sums[i], BV_REAL_TYPE);
    }
}

/* ---- quantizing rows ---- */

/* The largest size of a row, or a NaN if there is a NaN or an infinity in it. */
BV_INLINE real largest_size(const void *x, bv_dtype type, size_t at, size_t k) {
    vreal most = v_zero(), bad = v_zero();
    for (size_t p = 0; p < k; p += BV_LANES) {
        const vreal v = v_get_first(x, type, at + p, BV_LANES_LEFT(p, k));
        most = v_max(v_abs(v), most);
        bad = v_fma(v, v_zero(), bad);
    }
    return v_largest(most) + v_sum(bad);
}

/* Elements are x * factor, rounded; zeros behind them up to the next multiple of 16. */
BV_INLINE real quantize_row(const void *x, bv_dtype type, size_t at, size_t k, row_element *row) {
    const real most = largest_size(x, type, at, k);
    if (!(most >= (real)0x1p-119)) {
        for (size_t p = 0; p < (k + 15) / 16 * 16; p++) row[p] = DOT_OFFSET;
        return most * 0;
    }
    const vreal factor = v_set(127 / most);
    for (size_t p = 0; p < k; p += BV_LANES)
        v_row_store(row + p, v_mul(v_get_first(x, type, at + p, BV_LANES_LEFT(p, k)), factor));
    return most / 127;
}

static void quantize(const void *a, bv_dtype type, size_t lda, size_t m, size_t k, void *rows,
                     size_t row_bytes, void *row_scales) {
    for (size_t i = 0; i < m; i++) {
        row_element *row = (void *)((char *)rows + i * row_bytes);
        ((real *)row_scales)[i] = type == BV_BF16 ? quantize_row(a, BV_BF16, i * lda, k, row)
                                                  : quantize_row(a, BV_REAL_TYPE, i * lda, k, row);
    }
}

const bv_matmul_int8_kernels BV_NAME(bv_matmul_int8_table) = {.rows = ROWS,
                                                              .cols = COLS,
                                                              .group = DOT_GROUP,
                                                              .element_bytes = sizeof(row_element),
                                                              .offset = DOT_OFFSET,
                                                              .panel = panel,
                                                              .quantize = quantize};

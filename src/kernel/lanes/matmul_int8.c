/*
 * Micro-kernels of the product of bytes, and the quantization of its rows.
 *
 * As in matmul.c, a tile of ROWS x VECS vectors of sums stays in registers while k runs. k is taken
 * in blocks whose part of the panel the first-level cache holds; between them sums rest in memory.
 * At AVX2 a panel that several tiles use is widened to 16 bits first.
 */
#include "kernel/int8_dot.h"
#include "kernel/lanes/tables.h"

#if defined(BV_LEVEL_AVX512)
#define ROWS 8
#define VECS 3
#define K_BLOCK 1024
#elif defined(BV_LEVEL_AVX2)
#define ROWS 6
#define VECS 1
#define K_BLOCK 512
#define WIDENS 1
#elif defined(BV_LEVEL_NEON)
#define ROWS 4
#define VECS 1
#define K_BLOCK 1024
#else
#define ROWS 1
#define VECS 1
#define K_BLOCK 1024
#endif
#define COLS (VECS * BV_LANES)
#define ROWS_MAX 120 /* of a panel: multiples of all ROWS */
#define DEPTH 4      /* steps between two looks at the end of a chain; k is a multiple of it */

/* Complete unrolling, so that sums are registers. */
#define UNROLL _Pragma("GCC unroll 8")

/* A block of k of a panel. */
typedef struct block {
    size_t m;
    const char *rows; /* row 0 at the first element of the block */
    size_t row_bytes;
    const void *columns;
    size_t steps;
    int32_t (*sums)[COLS]; /* [m] */
} block;

/* ---- chains over k ---- */

/* Row i of a tile: two pointers and one distance make all addresses, a pointer each would not leave
 * registers for the rest. */
#define HALF ((ROWS + 1) / 2)

BV_INLINE void dot_step(const char *const at[2], size_t row_bytes, size_t offset,
                        const vcolumns columns[VECS], vsums acc[ROWS][VECS], int rows, int vecs) {
    UNROLL for (int i = 0; i < rows; i++) {
        const vword word = v_word(at[i / HALF] + (size_t)(i % HALF) * row_bytes + offset);
        UNROLL for (int j = 0; j < vecs; j++) acc[i][j] = v_dot(acc[i][j], word, columns[j]);
    }
}

BV_INLINE void load_columns(const void *columns, size_t step, vcolumns loaded[VECS], int vecs,
                            bool wide) {
    const size_t width = (size_t)vecs * BV_LANES * DOT_GROUP;
    UNROLL for (int j = 0; j < vecs; j++) {
        const size_t at = step * width + (size_t)j * BV_LANES * DOT_GROUP;
#if defined(WIDENS)
        if (wide) {
            loaded[j] = v_columns_wide((const int16_t *)columns + at);
            continue;
        }
#endif
        (void)wide;
        loaded[j] = v_columns((const int8_t *)columns + at);
    }
}

BV_INLINE void tile(const block *b, size_t row, int rows, int vecs, bool wide) {
    const size_t row_bytes = b->row_bytes, word = DOT_GROUP * sizeof(row_element);
    const char *at[2] = {b->rows + row * row_bytes, b->rows + (row + HALF) * row_bytes};
    const size_t step_bytes = (size_t)vecs * BV_LANES * DOT_GROUP * (wide ? 2 : 1);
    const char *columns = b->columns;
    vsums acc[ROWS][VECS];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        acc[i][j] = v_sums_load(b->sums[row + (size_t)i] + j * BV_LANES);
    }
    for (size_t left = b->steps; left > 0; left -= DEPTH) {
        UNROLL for (size_t d = 0; d < DEPTH; d++) {
            vcolumns loaded[VECS];
            load_columns(columns, d, loaded, vecs, wide);
            dot_step(at, row_bytes, d * word, loaded, acc, rows, vecs);
        }
        at[0] += DEPTH * word;
        at[1] += DEPTH * word;
        columns += DEPTH * step_bytes;
    }
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        v_sums_store(b->sums[row + (size_t)i] + j * BV_LANES, acc[i][j]);
    }
}

/* ---- tiles ---- */

typedef void tile_function(const block *b, size_t row);

#define TILE(kind, rows, vecs, wide)                                                               \
    static void kind##_##rows##_##vecs(const block *b, size_t row) {                               \
        tile(b, row, rows, vecs, wide);                                                            \
    }
#if ROWS == 8
#define TILES(kind, vecs, wide)                                                                    \
    TILE(kind, 1, vecs, wide)                                                                      \
    TILE(kind, 2, vecs, wide)                                                                      \
    TILE(kind, 3, vecs, wide)                                                                      \
    TILE(kind, 4, vecs, wide)                                                                      \
    TILE(kind, 5, vecs, wide)                                                                      \
    TILE(kind, 6, vecs, wide) TILE(kind, 7, vecs, wide) TILE(kind, 8, vecs, wide)
#define LIST(kind, vecs)                                                                           \
    {                                                                                              \
        kind##_1_##vecs, kind##_2_##vecs, kind##_3_##vecs, kind##_4_##vecs, kind##_5_##vecs,       \
            kind##_6_##vecs, kind##_7_##vecs, kind##_8_##vecs                                      \
    }
#elif ROWS == 6
#define TILES(kind, vecs, wide)                                                                    \
    TILE(kind, 1, vecs, wide)                                                                      \
    TILE(kind, 2, vecs, wide)                                                                      \
    TILE(kind, 3, vecs, wide)                                                                      \
    TILE(kind, 4, vecs, wide) TILE(kind, 5, vecs, wide) TILE(kind, 6, vecs, wide)
#define LIST(kind, vecs)                                                                           \
    {                                                                                              \
        kind##_1_##vecs, kind##_2_##vecs, kind##_3_##vecs, kind##_4_##vecs, kind##_5_##vecs,       \
            kind##_6_##vecs                                                                        \
    }
#elif ROWS == 4
#define TILES(kind, vecs, wide)                                                                    \
    TILE(kind, 1, vecs, wide)                                                                      \
    TILE(kind, 2, vecs, wide) TILE(kind, 3, vecs, wide) TILE(kind, 4, vecs, wide)
#define LIST(kind, vecs)                                                                           \
    { kind##_1_##vecs, kind##_2_##vecs, kind##_3_##vecs, kind##_4_##vecs }
#else
#define TILES(kind, vecs, wide) TILE(kind, 1, vecs, wide)
#define LIST(kind, vecs)                                                                           \
    { kind##_1_##vecs }
#endif

TILES(bytes, 1, false)
#if VECS == 3
TILES(bytes, 2, false)
TILES(bytes, 3, false)
static tile_function *const tiles[VECS][ROWS] = {LIST(bytes, 1), LIST(bytes, 2), LIST(bytes, 3)};
#else
static tile_function *const tiles[VECS][ROWS] = {LIST(bytes, 1)};
#endif

static void run_tiles(const block *b, tile_function *const by_rows[ROWS]) {
    size_t row = 0;
    for (; row + ROWS <= b->m; row += ROWS) by_rows[ROWS - 1](b, row);
    if (row < b->m) by_rows[b->m - row - 1](b, row);
}

#if defined(WIDENS)
TILES(words, 1, true)
static tile_function *const wide_tiles[ROWS] = LIST(words, 1);

static void run_widened(block *b) {
    _Alignas(64) int16_t wide[K_BLOCK * COLS];
    const int8_t *bytes = b->columns;
    for (size_t i = 0; i < b->steps * COLS * DOT_GROUP; i += COLS * DOT_GROUP)
        v_columns_store(wide + i, v_columns(bytes + i));
    b->columns = wide;
    run_tiles(b, wide_tiles);
}
#endif

static void run_block(block *b, size_t vecs) {
#if defined(WIDENS)
    if (b->m > ROWS) {
        run_widened(b);
        return;
    }
#endif
    run_tiles(b, tiles[vecs - 1]);
}

/* ---- a panel ---- */

/* C = (sum * scale of the column) * scale of the row (+ bias). */
BV_INLINE void scale_sums(const bv_matmul_int8_panel *p, const int32_t sums[][COLS],
                          bv_dtype type) {
    for (size_t row = 0; row < p->m; row++)
        for (size_t col = 0; col < p->n; col += BV_LANES) {
            const size_t left = BV_LANES_LEFT(col, p->n), at = row * p->out_stride + col;
            const vreal scale = v_load((const real *)p->col_scales + col);
            vreal x = v_mul(v_sums_real(v_sums_load(sums[row] + col)), scale);
            x = v_mul(x, v_set(((const real *)p->row_scales)[row]));
            if (p->bias) x = v_add(x, v_load_first((const real *)p->bias + col, left));
            v_put_first(p->out, type, at, x, left);
        }
}

static void panel(const bv_matmul_int8_panel *p) {
    _Alignas(64) int32_t sums[ROWS_MAX][COLS];
    const size_t vecs = (p->n + BV_LANES - 1) / BV_LANES, width = vecs * BV_LANES;
    const size_t k = (p->k + 15) / 16 * 16, blocks = (k + K_BLOCK - 1) / K_BLOCK;
    /* Where nothing is used again one block is enough. */
    const size_t most = p->m <= ROWS ? k : (k / 16 + blocks - 1) / blocks * 16;
    for (size_t row = 0; row < p->m; row++) memcpy(sums[row], p->starts, width * sizeof(int32_t));
    for (size_t begin = 0; begin < k; begin += most) {
        block b = {.m = p->m,
                   .rows = (const char *)p->rows + begin * sizeof(row_element),
                   .row_bytes = p->row_bytes,
                   .columns = p->panel + begin * width,
                   .steps = (k - begin < most ? k - begin : most) / DOT_GROUP,
                   .sums = sums};
        run_block(&b, vecs);
    }
    if (p->out_type == BV_BF16)
        scale_sums(p, (const int32_t(*)[COLS])sums, BV_BF16);
    else
        scale_sums(p, (const int32_t(*)[COLS])sums, BV_REAL_TYPE);
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
                                                              .rows_max = ROWS_MAX,
                                                              .group = DOT_GROUP,
                                                              .element_bytes = sizeof(row_element),
                                                              .offset = DOT_OFFSET,
                                                              .panel = panel,
                                                              .quantize = quantize};

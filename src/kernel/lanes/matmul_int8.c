/*
 * Micro-kernels of the product of bytes, the quantization of its rows, and its peak.
 *
 * As in matmul_real.c, a tile of ROWS rows of sums stays in registers while k runs, here all of it:
 * a panel of bytes is short enough to come from the second-level cache tile after tile. (Blocks of
 * k that the first-level cache holds, and at AVX2 panels that are widened to 16 bits before they
 * are used again, gained nothing.) AVX-512 has no kernels of its own, see tables.h.
 */
#if !defined(BV_LEVEL_AVX512)

#include "kernel/int8_dot.h"
#include "kernel/lanes/tables.h"

#if defined(BV_LEVEL_AVX2)
#define ROWS 6
#elif defined(BV_LEVEL_NEON)
#define ROWS 4
#else
#define ROWS 1
#endif
#define DEPTH 4    /* steps between two looks at the end of a chain; k is a multiple of it */
#define AHEAD 2048 /* bytes that a panel of few rows is fetched before it is used */

/* Complete unrolling, so that sums are registers. */
#define UNROLL _Pragma("GCC unroll 8")

/* ---- tiles ---- */

/* Row i of a tile: two pointers and one distance make all addresses, a pointer each would not leave
 * registers for the rest. */
#define HALF ((ROWS + 1) / 2)

BV_INLINE void dot_step(const char *const at[2], size_t row_bytes, size_t offset,
                        const int8_t *step, vsums acc[ROWS], int rows) {
    const vcolumns columns = v_columns(step);
    UNROLL for (int i = 0; i < rows; i++) {
        const vword word = v_word(at[i / HALF] + (size_t)(i % HALF) * row_bytes + offset);
        acc[i] = v_dot(acc[i], word, columns);
    }
}

/* A panel that is used once or twice is a stream from memory: the next ones lie right behind it. */
BV_INLINE void fetch_ahead(const int8_t *step) {
    for (size_t i = 0; i < DEPTH * BV_LANES * DOT_GROUP; i += 64)
        __builtin_prefetch(step + AHEAD + i, 0, 3);
}

BV_INLINE void tile(const bv_matmul_int8_panel *p, size_t row, int32_t sums[ROWS][BV_LANES],
                    int rows, bool streams) {
    const size_t row_bytes = p->row_bytes, word = DOT_GROUP * sizeof(row_element);
    const size_t step_bytes = BV_LANES * DOT_GROUP;
    const char *first = (const char *)p->rows + row * row_bytes;
    const char *at[2] = {first, first + HALF * row_bytes};
    const int8_t *step = p->panel;
    vsums acc[ROWS];
    UNROLL for (int i = 0; i < rows; i++) acc[i] = v_sums_zero();
    for (size_t left = (p->k + 15) / 16 * 16 / DOT_GROUP; left > 0; left -= DEPTH) {
        UNROLL for (size_t d = 0; d < DEPTH; d++)
            dot_step(at, row_bytes, d * word, step + d * step_bytes, acc, rows);
        if (streams) fetch_ahead(step);
        at[0] += DEPTH * word;
        at[1] += DEPTH * word;
        step += DEPTH * step_bytes;
    }
    UNROLL for (int i = 0; i < rows; i++) v_sums_store(sums[i], acc[i]);
}

typedef void tile_function(const bv_matmul_int8_panel *p, size_t row, int32_t sums[ROWS][BV_LANES]);

#define TILE(kind, rows, streams)                                                                  \
    static void kind##_##rows(const bv_matmul_int8_panel *p, size_t row,                           \
                              int32_t sums[ROWS][BV_LANES]) {                                      \
        tile(p, row, sums, rows, streams);                                                         \
    }
#if ROWS == 6
#define TILES(kind, streams)                                                                       \
    TILE(kind, 1, streams)                                                                         \
    TILE(kind, 2, streams)                                                                         \
    TILE(kind, 3, streams) TILE(kind, 4, streams) TILE(kind, 5, streams) TILE(kind, 6, streams)
#define LIST(kind)                                                                                 \
    { kind##_1, kind##_2, kind##_3, kind##_4, kind##_5, kind##_6 }
#elif ROWS == 4
#define TILES(kind, streams)                                                                       \
    TILE(kind, 1, streams) TILE(kind, 2, streams) TILE(kind, 3, streams) TILE(kind, 4, streams)
#define LIST(kind)                                                                                 \
    { kind##_1, kind##_2, kind##_3, kind##_4 }
#else
#define TILES(kind, streams) TILE(kind, 1, streams)
#define LIST(kind)                                                                                 \
    { kind##_1 }
#endif
TILES(stream, true)
TILES(resident, false)
static tile_function *const stream_tiles[ROWS] = LIST(stream);
static tile_function *const resident_tiles[ROWS] = LIST(resident);

/* C = (sum * scale of the column) * scale of the row (+ bias). */
BV_INLINE void scale_row(const bv_matmul_int8_panel *p, size_t row, const int32_t *sums,
                         bv_dtype type) {
    const vreal row_scale = v_set(((const real *)p->row_scales)[row]);
    vreal x = v_mul(v_mul(v_sums_real(sums), v_load(p->col_scales)), row_scale);
    if (p->bias) x = v_add(x, v_load_first(p->bias, p->n));
    v_put_first(p->out, type, row * p->out_stride, x, p->n);
}

static void panel(const bv_matmul_int8_panel *p) {
    tile_function *const *tiles = p->m <= 2 * ROWS ? stream_tiles : resident_tiles;
    _Alignas(64) int32_t sums[ROWS][BV_LANES];
    for (size_t row = 0; row < p->m; row += ROWS) {
        const size_t rows = p->m - row < ROWS ? p->m - row : ROWS;
        tiles[rows - 1](p, row, sums);
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
        for (size_t p = 0; p < (k + 15) / 16 * 16; p++) row[p] = 0;
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

/* ---- the peak ---- */

double BV_NAME(bv_dot_int8)(size_t rounds, float *sink) {
    static const int8_t bytes[BV_LANES * DOT_GROUP];
    vsums acc[ROWS];
    vcolumns columns = v_columns(bytes);
    const vword word = v_word(bytes);
    UNROLL for (int i = 0; i < ROWS; i++) acc[i] = v_sums_zero();
    for (size_t r = 0; r < rounds; r++) {
        __asm__("" : "+m"(columns)); /* or all rounds would share their products */
        UNROLL for (int i = 0; i < ROWS; i++) acc[i] = v_dot(acc[i], word, columns);
    }
    int32_t sums[ROWS][BV_LANES];
    UNROLL for (int i = 0; i < ROWS; i++) v_sums_store(sums[i], acc[i]);
    *sink = 0;
    for (int i = 0; i < ROWS; i++) /* every lane, or some would not be computed */
        for (int j = 0; j < BV_LANES; j++) *sink += (float)sums[i][j];
    return (double)rounds * ROWS * BV_LANES * DOT_GROUP * 2;
}

const bv_matmul_int8_kernels BV_NAME(bv_matmul_int8_table) = {.rows = ROWS,
                                                              .group = DOT_GROUP,
                                                              .element_bytes = sizeof(row_element),
                                                              .panel = panel,
                                                              .quantize = quantize};

#endif

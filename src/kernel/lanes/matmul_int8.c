/*
 * Micro-kernels of the product of bytes, the quantization of its rows, and its peak.
 *
 * As in matmul_real.c, a tile of ROWS x VECS vectors of sums stays in registers while k runs, here
 * all of it: a panel of bytes is short enough to come from the second-level cache tile after tile.
 * (Blocks of k that the first-level cache holds, and at AVX2 panels that are widened to 16 bits
 * before they are used again, gained nothing.) At AVX-512 eight rows of three vectors take 11 loads
 * for 24 dots, so that two dots a cycle want less than one load, and 16 bytes of the panel.
 */
#include "kernel/int8_dot.h"
#include "kernel/lanes/tables.h"

#if defined(BV_LEVEL_AVX512)
#define ROWS 8
#define VECS 3
#elif defined(BV_LEVEL_AVX2) || defined(BV_LEVEL_NEON)
#define ROWS 4
#define VECS 1
#else
#define ROWS 1
#define VECS 1
#endif
#define COLS (VECS * BV_LANES)
#include "kernel/lanes/tile_sizes.h"

#define DEPTH 4 /* steps between two looks at the end of a chain; k is a multiple of it */

/* AHEAD: bytes that a panel of few rows is fetched before it is used. NEAR: into the first-level
 * cache (3), or the second (2). FETCHES_NEXT: the next panel is fetched as well; where a panel has
 * 16 columns it stays in the first-level cache, from which another would drive it. */
#if defined(BV_LEVEL_AVX512)
#define AHEAD(m) ((m) > ROWS / 2 ? 8192 : 2048)
#define NEAR 2
#define FETCHES_NEXT true
#define FETCHES_OUT true
#else
#define AHEAD(m) 2048
#define NEAR 3
#define FETCHES_NEXT false
#define FETCHES_OUT false
#endif

/* ---- tiles ---- */

/* Row i of a tile: two pointers and one distance make all addresses, a pointer each would not leave
 * registers for the rest. */
#define HALF ((ROWS + 1) / 2)

BV_INLINE void dot_step(const char *const at[2], size_t row_bytes, size_t offset,
                        const int8_t *step, vsums acc[ROWS][VECS], int rows, int vecs) {
    vcolumns columns[VECS];
    UNROLL for (int j = 0; j < vecs; j++) columns[j] = v_columns(step + j * BV_LANES * DOT_STEP);
    UNROLL for (int i = 0; i < rows; i++) {
        const vword word = v_word(at[i / HALF] + (size_t)(i % HALF) * row_bytes + offset);
        UNROLL for (int j = 0; j < vecs; j++) acc[i][j] = v_dot(acc[i][j], word, columns[j]);
    }
}

/* While a panel is used tile after tile, each tile fetches its share of the next one. A panel that
 * is used once or twice is a stream from memory, and fetches itself. */
typedef struct fetch {
    const char *at;
    size_t bytes; /* that DEPTH steps fetch */
} fetch;

BV_INLINE void fetch_more(fetch *f) {
    const char *end = f->at + f->bytes;
    for (; f->at < end; f->at += 64) __builtin_prefetch(f->at, 0, NEAR);
}

/* What the sums of a row begin with: what its elements add, where they do, stands behind them. */
BV_INLINE vsums first_sums(const int32_t *starts, const char *row, size_t row_bytes) {
    const vsums sums = v_sums_load(starts);
#if defined(DOT_CROSSES)
    int32_t cross;
    memcpy(&cross, row + row_bytes - sizeof cross, sizeof cross);
    return v_sums_less(sums, cross);
#else
    (void)row, (void)row_bytes;
    return sums;
#endif
}

/* C = (sum * scale of the column) * scale of the row (+ bias). Without a bias -0 is added, which
 * changes nothing. */
BV_INLINE void tile_store(const bv_matmul_int8_panel *p, size_t row, vsums acc[ROWS][VECS],
                          int rows, int vecs, bv_dtype type) {
    const size_t last = p->n - (size_t)(vecs - 1) * BV_LANES;
    const real *row_scales = (const real *)p->row_scales + row;
    UNROLL for (int j = 0; j < vecs; j++) {
        const real *bias = p->bias ? (const real *)p->bias + j * BV_LANES : NULL;
        const size_t n = j < vecs - 1 ? BV_LANES : last;
        const vreal more = bias ? v_load_first(bias, n) : v_set((real)-0.0);
        const vreal col_scales = v_load((const real *)p->col_scales + j * BV_LANES);
        UNROLL for (int i = 0; i < rows; i++) {
            const size_t at = (row + (size_t)i) * p->out_stride + (size_t)j * BV_LANES;
            const vreal scaled = v_mul(v_sums_real(acc[i][j]), col_scales);
            const vreal x = v_add(v_mul(scaled, v_set(row_scales[i])), more);
            if (n == BV_LANES)
                v_put(p->out, type, at, x);
            else
                v_put_first(p->out, type, at, x, n);
        }
    }
}

BV_INLINE void tile(const bv_matmul_int8_panel *p, size_t row, fetch next, int rows, int vecs) {
    const size_t row_bytes = p->row_bytes, word = DOT_STEP * sizeof(row_element);
    const size_t step_bytes = (size_t)vecs * BV_LANES * DOT_STEP;
    const char *first = (const char *)p->rows + row * row_bytes;
    const char *at[2] = {first, first + HALF * row_bytes};
    const int8_t *step = p->panel;
    vsums acc[ROWS][VECS];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        acc[i][j] = first_sums(p->starts + j * BV_LANES, first + (size_t)i * row_bytes, row_bytes);
    }
    for (size_t left = (p->k + 15) / 16 * 16 / DOT_STEP; left > 0; left -= DEPTH) {
        UNROLL for (size_t d = 0; d < DEPTH; d++)
            dot_step(at, row_bytes, d * word, step + d * step_bytes, acc, rows, vecs);
        fetch_more(&next);
        at[0] += DEPTH * word;
        at[1] += DEPTH * word;
        step += DEPTH * step_bytes;
    }
    if (p->out_type == BV_BF16)
        tile_store(p, row, acc, rows, vecs, BV_BF16);
    else
        tile_store(p, row, acc, rows, vecs, BV_REAL_TYPE);
}

typedef void tile_function(const bv_matmul_int8_panel *p, size_t row, fetch next);

#define DOTS(rows, vecs)                                                                           \
    static void dots_##rows##_##vecs(const bv_matmul_int8_panel *p, size_t row, fetch next) {      \
        tile(p, row, next, rows, vecs);                                                            \
    }
TILES(DOTS)
static tile_function *const tiles[VECS][ROWS] = TILE_TABLE(dots);

/* Of the next panel each tile fetches a share, of a panel that streams each all. */
BV_INLINE fetch first_fetch(const bv_matmul_int8_panel *p, size_t step_bytes) {
    const size_t tiles = (p->m + ROWS - 1) / ROWS;
    if (tiles <= 2) return (fetch){(const char *)p->panel + AHEAD(p->m), DEPTH * step_bytes};
    if (!FETCHES_NEXT || !p->next) return (fetch){(const char *)p->panel, 0};
    return (fetch){(const char *)p->next, (DEPTH * step_bytes / 64 + tiles - 1) / tiles * 64};
}

/* The next tile's; what lies behind the next panel is not fetched. */
BV_INLINE fetch next_fetch(const bv_matmul_int8_panel *p, fetch f, size_t looks,
                           size_t step_bytes) {
    if (p->m <= 2 * ROWS || !f.bytes) return f;
    f.at += looks * f.bytes;
    if (f.at >= (const char *)p->next + looks * DEPTH * step_bytes) f.bytes = 0;
    return f;
}

/* Where a tile's sums go, while its chains run. Only where it was measured. */
BV_INLINE void fetch_out(const bv_matmul_int8_panel *p, size_t row, size_t count) {
    const size_t size = bv_dtype_size(p->out_type);
    const char *out = (const char *)p->out + row * p->out_stride * size;
    for (size_t i = 0; FETCHES_OUT && i < count; i++, out += p->out_stride * size)
        for (size_t j = 0; j < p->n * size; j += 64) __builtin_prefetch(out + j, 1, 2);
}

static void panel(const bv_matmul_int8_panel *p) {
    const size_t vecs = (p->n + BV_LANES - 1) / BV_LANES, step_bytes = vecs * BV_LANES * DOT_STEP;
    const size_t looks = (p->k + 15) / 16 * 16 / DOT_STEP / DEPTH;
    fetch next = first_fetch(p, step_bytes);
    for (tile_rows r = first_rows(p->m, ROWS); r.begin < p->m; r = next_rows(r)) {
        fetch_out(p, r.begin, r.count);
        tiles[vecs - 1][r.count - 1](p, r.begin, next);
        next = next_fetch(p, next, looks, step_bytes);
    }
}

/* ---- quantizing rows ---- */

/* The largest size of a row, or a NaN if there is a NaN or an infinity in it. Two vectors at a
 * time: one chain of multiply-adds would wait for itself. */
BV_INLINE real largest_size(const void *x, bv_dtype type, size_t at, size_t k) {
    vreal most[2] = {v_zero(), v_zero()}, bad[2] = {v_zero(), v_zero()};
    size_t p = 0;
    for (; k - p >= 2 * BV_LANES; p += 2 * BV_LANES) {
        UNROLL for (size_t i = 0; i < 2; i++) {
            const vreal v = v_get(x, type, at + p + i * BV_LANES);
            most[i] = v_max(v_abs(v), most[i]);
            bad[i] = v_fma(v, v_zero(), bad[i]);
        }
    }
    for (; p < k; p += BV_LANES) {
        const vreal v = v_get_first(x, type, at + p, BV_LANES_LEFT(p, k));
        most[0] = v_max(v_abs(v), most[0]);
        bad[0] = v_fma(v, v_zero(), bad[0]);
    }
    return v_largest(v_max(most[0], most[1])) + v_sum(v_add(bad[0], bad[1]));
}

/* Elements are x * factor, rounded; zeros behind them up to the next multiple of 16. */
BV_INLINE real quantize_row(const void *x, bv_dtype type, size_t at, size_t k, row_element *row) {
    const real most = largest_size(x, type, at, k);
    if (!(most >= (real)0x1p-119)) {
        for (size_t p = 0; p < (k + 15) / 16 * 16; p++) row[p] = ROW_ZERO;
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
#if defined(DOT_CROSSES)
        const int32_t cross = cross_sum(row, (k + 15) / 16 * 16);
        memcpy((char *)row + row_bytes - sizeof cross, &cross, sizeof cross);
#endif
    }
}

/* ---- the peak ---- */

double BV_NAME(bv_dot_int8)(size_t rounds, float *sink) {
    static const int8_t bytes[BV_LANES * DOT_STEP];
    int32_t sums[ROWS][COLS];
    vsums acc[ROWS][VECS];
    vcolumns columns = v_columns(bytes);
    const vword word = v_word(bytes);
    for (int i = 0; i < ROWS; i++) /* all different, or some chains would be one */
        for (int j = 0; j < COLS; j++) sums[i][j] = i * COLS + j;
    UNROLL for (int i = 0; i < ROWS; i++) UNROLL for (int j = 0; j < VECS; j++) {
        acc[i][j] = v_sums_load(sums[i] + j * BV_LANES);
    }
    for (size_t r = 0; r < rounds; r++) {
        __asm__("" : "+m"(columns)); /* or all rounds would share their products */
        UNROLL for (int i = 0; i < ROWS; i++) UNROLL for (int j = 0; j < VECS; j++) {
            acc[i][j] = v_dot(acc[i][j], word, columns);
        }
    }
    UNROLL for (int i = 0; i < ROWS; i++) UNROLL for (int j = 0; j < VECS; j++) {
        v_sums_store(sums[i] + j * BV_LANES, acc[i][j]);
    }
    *sink = 0;
    for (int i = 0; i < ROWS; i++) /* every lane, or some would not be computed */
        for (int j = 0; j < COLS; j++) *sink += (float)sums[i][j];
    return (double)rounds * ROWS * COLS * DOT_STEP * 2;
}

const bv_matmul_int8_kernels BV_NAME(bv_matmul_int8_table) = {.rows = ROWS,
                                                              .cols = COLS,
                                                              .group = DOT_GROUP,
                                                              .element_bytes = sizeof(row_element),
                                                              .row_zero = ROW_ZERO,
#if defined(DOT_CROSSES)
                                                              .crosses = true,
#endif
                                                              .panel = panel,
                                                              .quantize = quantize};

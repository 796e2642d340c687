/*
 * A tile of C, for products of reals (matmul_real.c) and of pairs (matmul_bf16.c).
 *
 * ROWS x VECS vectors stay in registers while k runs: a word of A is broadcast to all lanes, a row
 * of the panel of B is loaded, every accumulator takes one fused multiply-add (at bf16 one pair
 * step) a step. Columns beyond n are zeros of the panel and never stored; rows beyond m are never
 * read, a tile with fewer rows has code of its own.
 */
#ifndef BV_KERNEL_LANES_MATMUL_TILE_H
#define BV_KERNEL_LANES_MATMUL_TILE_H

#include "kernel/bf16_dot.h"
#include "kernel/lanes/matmul.h"

/* ---- beginning and end of a tile ---- */

BV_INLINE void tile_start(const bv_matmul_block *t, size_t row, vreal acc[ROWS][VECS], int rows,
                          int vecs) {
    const size_t last = t->n - (size_t)(vecs - 1) * BV_LANES;
    const real *start = t->start ? (const real *)t->start + row * t->start_stride : NULL;
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        const real *p = start ? start + (size_t)i * t->start_stride + j * BV_LANES : NULL;
        acc[i][j] = !p                                 ? v_zero()
                    : j < vecs - 1 || last == BV_LANES ? v_load(p)
                                                       : v_load_first(p, last);
    }
}

BV_INLINE void tile_store(const bv_matmul_block *t, size_t row, vreal acc[ROWS][VECS], int rows,
                          int vecs, bv_dtype type) {
    const size_t last = t->n - (size_t)(vecs - 1) * BV_LANES;
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        const size_t at = (row + (size_t)i) * t->out_stride + (size_t)j * BV_LANES;
        if (j < vecs - 1 || last == BV_LANES)
            v_put(t->out, type, at, acc[i][j]);
        else
            v_put_first(t->out, type, at, acc[i][j], last);
    }
}

/* The sums, as `type` has them, are added to what stands in t->addend. */
BV_INLINE void tile_add(const bv_matmul_block *t, size_t row, vreal acc[ROWS][VECS], int rows,
                        int vecs, bv_dtype type) {
    const size_t last = t->n - (size_t)(vecs - 1) * BV_LANES;
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        const real *p = (const real *)t->addend + (row + (size_t)i) * t->out_stride + j * BV_LANES;
        const vreal x = j < vecs - 1 || last == BV_LANES ? v_load(p) : v_load_first(p, last);
        acc[i][j] = v_add(x, type == BV_BF16 ? v_rounded_to_bf16(acc[i][j]) : acc[i][j]);
    }
}

/* type: of the products. */
BV_INLINE void tile_finish(const bv_matmul_block *t, size_t row, vreal acc[ROWS][VECS], int rows,
                           int vecs, bv_dtype type) {
    if (t->bias) {
        const size_t last = t->n - (size_t)(vecs - 1) * BV_LANES;
        UNROLL for (int j = 0; j < vecs; j++) {
            const real *p = (const real *)t->bias + j * BV_LANES;
            const vreal bias = j < vecs - 1 || last == BV_LANES ? v_load(p) : v_load_first(p, last);
            UNROLL for (int i = 0; i < rows; i++) acc[i][j] = v_add(acc[i][j], bias);
        }
    }
    if (t->addend) tile_add(t, row, acc, rows, vecs, type);
    if (t->out_type == BV_BF16)
        tile_store(t, row, acc, rows, vecs, BV_BF16);
    else
        tile_store(t, row, acc, rows, vecs, BV_REAL_TYPE);
}

/* Rows that are taken with several panels at once, as long as there are so many. */
#define FEW_ROWS (ROW_PANELS / 2)

/* LEAST_FETCH: bytes a step; at AVX2 a line of the cache for eight steps of a chain of reals.
 * STREAM_AHEAD: bytes that a panel for one tile of m rows is fetched before it is used. It is a
 * stream from memory, and what the hardware fetches of it stops at the end of each page; where few
 * rows leave it time, it is faster alone. */
#if defined(BV_LEVEL_AVX2)
#define LEAST_FETCH 8
#define STREAM_AHEAD(m) ((m) > FEW_ROWS ? 6144 : 0)
#elif defined(BV_LEVEL_AVX512)
#define LEAST_FETCH 16
#define STREAM_AHEAD(m) ((m) > 6 ? 6144 : 0)
#else
#define LEAST_FETCH 16
#define STREAM_AHEAD(m) 0 /* what it gains here is not measured */
#endif

/* While a panel is used tile after tile, each tile fetches its share of the next one, `stride`
 * bytes a step: the fewer tiles, the more. */
typedef struct fetch {
    const char *at;
    size_t stride, line; /* line: fetch_line() */
} fetch;

/* From line to line that is fetched. */
BV_INLINE size_t fetch_line(const bv_matmul_block *t) {
    return TAKES_SOURCE && t->source ? t->source_row : 64;
}

/* Bytes that a step takes of what comes next, or lines of its source. */
BV_INLINE size_t fetched_bytes(const bv_matmul_block *t, size_t steps) {
    return TAKES_SOURCE && t->source ? (t->k + steps - 1) / steps * 64
                                     : (t->next_bytes + steps - 1) / steps;
}

BV_INLINE fetch first_fetch(const bv_matmul_block *t, size_t steps) {
    const size_t ahead = STREAM_AHEAD(t->m);
    if (!t->next) return (fetch){(const char *)t->panel + ahead, ahead ? COLS * 4 : 0, 64};
    const size_t bytes = fetched_bytes(t, steps), tiles = (t->m + ROWS - 1) / ROWS;
    const size_t line = fetch_line(t);
    size_t share = (bytes + tiles - 1) / tiles;
    if (line != 64) share = (share + bytes / 8 - 1) / (bytes / 8) * (bytes / 8); /* whole rows */
    return (fetch){t->next, (share > LEAST_FETCH ? share : LEAST_FETCH) * line / 64, line};
}

/* Of rows that are packed next the first tile fetches the first line of each, the second tile the
 * second line, and so on; or of every second row, if a tile has half as many steps. */
BV_INLINE fetch fetch_rows(const bv_matmul_block *t, size_t tile, size_t steps) {
    const size_t pieces = (t->next_rows + steps - 1) / steps, stride = pieces * t->next_row;
    const size_t inside = (uintptr_t)t->next % 64, at = tile / pieces * 64;
    if (at >= inside + t->next_bytes) return (fetch){t->panel, 0, 64};
    const char *line = (const char *)t->next - inside + at;
    return (fetch){line + tile % pieces * t->next_row, stride, stride};
}

/* The next tile's; what lies behind the panel is not fetched. */
BV_INLINE fetch next_fetch(const bv_matmul_block *t, fetch f, size_t steps) {
    f.at += steps / REAL_DEPTH * REAL_DEPTH * f.stride;
    if (f.at < (const char *)t->next + steps * fetched_bytes(t, steps) / 64 * f.line) return f;
    return (fetch){t->panel, 0, 64};
}

/* What `steps` of the chain fetch. line: f's, a constant where there is no source, which leaves the
 * chain a register more. Three lines, as many as a step of few rows takes, are asked for without a
 * jump out of the chain's loop, which at bf16 costs 4 to 8 %. */
BV_INLINE void fetch_steps(fetch *f, size_t steps, size_t line) {
    const char *at = f->at, *end = at + steps * f->stride;
    __builtin_prefetch(at, 0, 2);
    if (at + line < end) {
        __builtin_prefetch(at + line, 0, 2);
        if (at + 2 * line < end) {
            __builtin_prefetch(at + 2 * line, 0, 2);
            for (at += 3 * line; __builtin_expect(at < end, 0); at += line)
                __builtin_prefetch(at, 0, 2);
        }
    }
    f->at = end;
}

/* Row i of a tile: two pointers and one distance make all addresses, a pointer each would not leave
 * registers for the rest. */
#define HALF ((ROWS + 1) / 2)

BV_INLINE const char *row_at(const char *const a[2], size_t a_row, int i) {
    return a[i / HALF] + (size_t)(i % HALF) * a_row;
}

/* From a tile of A to the next one. */
BV_INLINE size_t tile_bytes(const bv_matmul_block *t, size_t rows) {
    return t->a_tile ? t->a_tile : rows * t->a_row;
}

/* ---- code for every size of a tile ---- */

/* a: the tile's first row of A. */
typedef void tile_function(const bv_matmul_block *t, size_t row, const char *a, fetch next);

/* ---- few rows, several panels ---- */

/* As many panels as make the sums of a full tile. */
#if ROW_PANELS > 1
typedef vreal few_sums[ROW_PANELS][ROWS][VECS];

BV_INLINE bv_matmul_block one_panel(const bv_matmul_block *t, int panel) {
    bv_matmul_block one = *t;
    const size_t col = (size_t)panel * t->apart;
    one.n = COLS;
    if (t->start) one.start = (const real *)t->start + col;
    if (t->bias) one.bias = (const real *)t->bias + col;
    if (t->addend) one.addend = (const real *)t->addend + col;
    one.out = (char *)t->out + col * (t->out_type == BV_BF16 ? sizeof(uint16_t) : sizeof(real));
    return one;
}

BV_INLINE void few_start(const bv_matmul_block *t, few_sums acc, int rows) {
    const int panels = ROW_PANELS / rows;
    UNROLL for (int p = 0; p < panels; p++) {
        const bv_matmul_block one = one_panel(t, p);
        tile_start(&one, 0, acc[p], rows, 1);
    }
}

BV_INLINE void few_finish(const bv_matmul_block *t, few_sums acc, int rows, bv_dtype type) {
    const int panels = ROW_PANELS / rows;
    UNROLL for (int p = 0; p < panels; p++) {
        const bv_matmul_block one = one_panel(t, p);
        tile_finish(&one, 0, acc[p], rows, 1, type);
    }
}
#endif

/* What the tile of these rows begins with, in the cache before its chains wait for it. */
BV_INLINE void fetch_start(const bv_matmul_block *t, size_t row, size_t count, size_t col) {
    if (!FETCHES_START || !t->start) return;
    const real *start = (const real *)t->start + row * t->start_stride + col;
    for (size_t i = 0; i < count; i++, start += t->start_stride)
        for (size_t j = 0; j < t->n; j += BV_LANES) __builtin_prefetch(start + j, 1, 2);
}

/* Where this tile's sums go, and what they are added to, while its chains run. */
BV_INLINE void fetch_out(const bv_matmul_block *t, size_t row, size_t count) {
    if (!FETCHES_OUT || t->out == t->start) return;
    const size_t size = t->out_type == BV_BF16 ? sizeof(uint16_t) : sizeof(real);
    const size_t stride = t->out_stride * size, first = row * stride;
    for (size_t i = 0; i < count; i++)
        for (size_t at = first + i * stride, end = at + t->n * size; at < end; at += 64) {
            __builtin_prefetch((const char *)t->out + at, 1, 2);
            if (t->addend) __builtin_prefetch((const char *)t->addend + at, 0, 2);
        }
}

/* steps: of k. */
BV_INLINE void run_tiles(const bv_matmul_block *t, size_t steps,
                         tile_function *const tiles[VECS][ROWS]) {
    tile_function *const *by_rows = tiles[(t->n - 1) / BV_LANES];
    const char *a = t->a;
    fetch next = t->next_row ? fetch_rows(t, 0, steps) : first_fetch(t, steps);
    size_t tile = 0;
    for (tile_rows r = first_rows(t->m, ROWS); r.begin < t->m; r = next_rows(r)) {
        const tile_rows after = next_rows(r);
        if (after.begin < t->m)
            fetch_start(t, after.begin, after.count, 0);
        else if (t->follows)
            fetch_start(t, 0, r.count, t->n);
        fetch_out(t, r.begin, r.count);
        by_rows[r.count - 1](t, r.begin, a, next);
        next = t->next_row ? fetch_rows(t, ++tile, steps) : next_fetch(t, next, steps);
        a += tile_bytes(t, r.count);
    }
}

#endif

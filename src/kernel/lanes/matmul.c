/*
 * Micro-kernels of the matrix product, and the packing they need.
 *
 * A tile of ROWS x VECS vectors of C stays in registers while k runs: a word of A is broadcast to
 * all lanes, a row of the panel of B is loaded, every accumulator takes one fused multiply-add (at
 * bf16 one pair step) a step. Columns beyond n are zeros of the panel and never stored; rows beyond
 * m are never read, a tile with fewer rows has code of its own.
 */
#include "kernel/bf16_dot.h"
#include "kernel/lanes/tables.h"

#if defined(BV_LEVEL_AVX512)
#define ROWS 8
#define VECS 3
#elif defined(BV_LEVEL_AVX2) || defined(BV_LEVEL_NEON)
#define ROWS 6
#define VECS 1
#else
#define ROWS 1
#define VECS 1
#endif
#define COLS (VECS * BV_LANES)

/* Complete unrolling, so that accumulators are registers. */
#define UNROLL _Pragma("GCC unroll 8")

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

BV_INLINE void tile_finish(const bv_matmul_block *t, size_t row, vreal acc[ROWS][VECS], int rows,
                           int vecs) {
    if (t->bias) {
        const size_t last = t->n - (size_t)(vecs - 1) * BV_LANES;
        UNROLL for (int j = 0; j < vecs; j++) {
            const real *p = (const real *)t->bias + j * BV_LANES;
            const vreal bias = j < vecs - 1 || last == BV_LANES ? v_load(p) : v_load_first(p, last);
            UNROLL for (int i = 0; i < rows; i++) acc[i][j] = v_add(acc[i][j], bias);
        }
    }
    if (t->out_type == BV_BF16)
        tile_store(t, row, acc, rows, vecs, BV_BF16);
    else
        tile_store(t, row, acc, rows, vecs, BV_REAL_TYPE);
}

/* While a panel is used tile after tile, each tile fetches its share of the next one, `stride`
 * bytes a step: the fewer tiles, the more. (A panel for one tile is a stream that the hardware
 * fetches better alone.) */
typedef struct fetch {
    const char *at;
    size_t stride;
} fetch;

BV_INLINE fetch first_fetch(const bv_matmul_block *t) {
    if (!t->next) return (fetch){t->panel, 0};
    const size_t tiles = (t->m + ROWS - 1) / ROWS;
    return (fetch){t->next, tiles * 16 >= COLS * 4 ? 16 : (COLS * 4 + tiles - 1) / tiles};
}

/* The next tile's; what lies behind the panel is not fetched. */
BV_INLINE fetch next_fetch(const bv_matmul_block *t, fetch f, size_t steps) {
    f.at += steps * f.stride;
    if (f.at >= (const char *)t->next + steps * COLS * 4) return (fetch){t->panel, 0};
    return f;
}

/* What `steps` of the chain fetch. */
BV_INLINE void fetch_steps(fetch *f, size_t steps) {
    const char *at = f->at;
    __builtin_prefetch(at, 0, 2);
    f->at += steps * f->stride;
    for (at += 64; __builtin_expect(at < f->at, 0); at += 64) __builtin_prefetch(at, 0, 2);
}

BV_INLINE const char *tile_rows(const bv_matmul_block *t, size_t row) {
    return (const char *)t->a + row / ROWS * t->a_tile + row % ROWS * t->a_row;
}

/* ---- chains over k ---- */

/* Row i of a tile: two pointers and one distance make all addresses, a pointer each would not leave
 * registers for the rest. */
#define HALF ((ROWS + 1) / 2)

BV_INLINE const char *row_at(const char *const a[2], size_t a_row, int i) {
    return a[i / HALF] + (size_t)(i % HALF) * a_row;
}

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

#if defined(BV_LEVEL_AVX2)
/* Under a control register that flushes, plain multiply-adds are a step: of all odd elements first,
 * then of the even ones, since registers are few. Rows come as reals (splits_pairs), so that only
 * the panel has to be taken apart. */
#define PAIR_STEP (2 * ROWS * sizeof(float))

BV_INLINE void pair_step(const char *a, const uint32_t *b, vreal acc[ROWS][VECS], int rows) {
    const size_t word = sizeof(float), plane = ROWS * word;
    __m256 half[2];
    odd_halves(b, half);
    v_add_rows(acc[0], a, a + HALF * word, word, half, rows);
    even_halves(b, half);
    v_add_rows(acc[0], a + plane, a + plane + HALF * word, word, half, rows);
}

BV_INLINE void chain_pairs(const bv_matmul_block *t, size_t row, fetch next, vreal acc[ROWS][VECS],
                           int rows) {
    const char *a = tile_rows(t, row);
    const uint32_t *b = t->panel;
    size_t left = (t->k + 1) / 2;
    for (; left >= CHAIN_DEPTH;
         left -= CHAIN_DEPTH, a += CHAIN_DEPTH * PAIR_STEP, b += CHAIN_DEPTH * BV_LANES) {
        UNROLL for (size_t d = 0; d < CHAIN_DEPTH; d++)
            pair_step(a + d * PAIR_STEP, b + d * BV_LANES, acc, rows);
        fetch_steps(&next, CHAIN_DEPTH);
    }
    for (; left > 0; left--, a += PAIR_STEP, b += BV_LANES) pair_step(a, b, acc, rows);
}
#else
BV_INLINE uint32_t word_at(const char *a) {
    uint32_t word;
    memcpy(&word, a, 4);
    return word;
}

/* One step at bf16. */
BV_INLINE void pair_step(const char *const a[2], size_t a_row, const uint32_t *b,
                         vreal acc[ROWS][VECS], int rows, int vecs) {
    vpair panel[VECS];
    UNROLL for (int j = 0; j < vecs; j++) panel[j] = v_pair_load(b + j * BV_LANES);
    UNROLL for (int i = 0; i < rows; i++) {
        const vpair word = v_pair_set(word_at(row_at(a, a_row, i)));
        UNROLL for (int j = 0; j < vecs; j++) acc[i][j] = v_dot_bf16(acc[i][j], word, panel[j]);
    }
}

BV_INLINE void chain_pairs(const bv_matmul_block *t, size_t row, fetch next, vreal acc[ROWS][VECS],
                           int rows, int vecs) {
    const size_t whole = t->a_padded ? (t->k + 1) / 2 : t->k / 2;
    const size_t a_row = t->a_row, a_step = t->a_step;
    const char *a[2] = {tile_rows(t, row), tile_rows(t, row) + HALF * a_row};
    const uint32_t *b = t->panel;
    for (size_t step = 0; step < whole; step++) {
        pair_step(a, a_row, b, acc, rows, vecs);
        fetch_steps(&next, 1);
        a[0] += a_step;
        a[1] += a_step;
        b += vecs * BV_LANES;
    }
    if (t->k % 2 == 0 || t->a_padded) return;
    char words[8][4] = {{0}};
    UNROLL for (int i = 0; i < rows; i++) {
        uint16_t last;
        memcpy(&last, row_at(a, a_row, i), sizeof last);
        const uint32_t word = last;
        memcpy(words[i], &word, sizeof word);
    }
    const char *const padded[2] = {words[0], words[HALF]};
    pair_step(padded, 4, b, acc, rows, vecs);
}
#endif

/* ---- tiles ---- */

BV_INLINE void tile_real(const bv_matmul_block *t, size_t row, fetch next, int rows, int vecs) {
    vreal acc[ROWS][VECS];
    tile_start(t, row, acc, rows, vecs);
    chain_real(t, row, next, acc, rows, vecs);
    tile_finish(t, row, acc, rows, vecs);
}

#if defined(BV_LEVEL_AVX2)

/* Sums of C before and after the chain, and the bias, follow the rules of f32: only the chain runs
 * under a flushing control register, out of line so that nothing moves into or out of it. */
typedef real pair_tile[ROWS][BV_LANES];

BV_INLINE void flushed_chain(const bv_matmul_block *t, size_t row, fetch next, pair_tile tile,
                             int rows) {
    vreal acc[ROWS][VECS];
    UNROLL for (int i = 0; i < rows; i++) acc[i][0] = v_load(tile[i]);
    chain_pairs(t, row, next, acc, rows);
    UNROLL for (int i = 0; i < rows; i++) v_store(tile[i], acc[i][0]);
}

BV_INLINE void tile_pairs(const bv_matmul_block *t, size_t row, fetch next, int rows, int vecs,
                          void (*chain)(const bv_matmul_block *, size_t, fetch, pair_tile)) {
    vreal acc[ROWS][VECS];
    pair_tile tile;
    tile_start(t, row, acc, rows, vecs);
    UNROLL for (int i = 0; i < rows; i++) v_store(tile[i], acc[i][0]);
    const unsigned saved = flushing_begin();
    chain(t, row, next, tile);
    flushing_end(saved);
    UNROLL for (int i = 0; i < rows; i++) acc[i][0] = v_load(tile[i]);
    tile_finish(t, row, acc, rows, vecs);
}

#define PAIRS(rows, vecs)                                                                          \
    static __attribute__((noinline)) void chain_##rows(const bv_matmul_block *t, size_t row,       \
                                                       fetch next, pair_tile tile) {               \
        flushed_chain(t, row, next, tile, rows);                                                   \
    }                                                                                              \
    static void pairs_##rows##_##vecs(const bv_matmul_block *t, size_t row, fetch next) {          \
        tile_pairs(t, row, next, rows, vecs, chain_##rows);                                        \
    }

#else

BV_INLINE void tile_pairs(const bv_matmul_block *t, size_t row, fetch next, int rows, int vecs) {
    vreal acc[ROWS][VECS];
    tile_start(t, row, acc, rows, vecs);
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        acc[i][j] = v_flush(acc[i][j]);
    }
    chain_pairs(t, row, next, acc, rows, vecs);
    tile_finish(t, row, acc, rows, vecs);
}

#define PAIRS(rows, vecs)                                                                          \
    static void pairs_##rows##_##vecs(const bv_matmul_block *t, size_t row, fetch next) {          \
        tile_pairs(t, row, next, rows, vecs);                                                      \
    }

#endif

#define REAL(rows, vecs)                                                                           \
    static void real_##rows##_##vecs(const bv_matmul_block *t, size_t row, fetch next) {           \
        tile_real(t, row, next, rows, vecs);                                                       \
    }
/* The emulation on vectors without a flushing mode takes row after row. */
#if defined(BV_LEVEL_AVX512) || defined(BV_LEVEL_AVX2)
#define TILE(rows, vecs) REAL(rows, vecs) PAIRS(rows, vecs)
#else
#define TILE(rows, vecs) REAL(rows, vecs)
#endif

typedef void tile_function(const bv_matmul_block *t, size_t row, fetch next);

#if ROWS == 8
#define TILES(vecs)                                                                                \
    TILE(1, vecs)                                                                                  \
    TILE(2, vecs)                                                                                  \
    TILE(3, vecs) TILE(4, vecs) TILE(5, vecs) TILE(6, vecs) TILE(7, vecs) TILE(8, vecs)
#define LIST(kind, vecs)                                                                           \
    {                                                                                              \
        kind##_1_##vecs, kind##_2_##vecs, kind##_3_##vecs, kind##_4_##vecs, kind##_5_##vecs,       \
            kind##_6_##vecs, kind##_7_##vecs, kind##_8_##vecs                                      \
    }
#elif ROWS == 6
#define TILES(vecs)                                                                                \
    TILE(1, vecs) TILE(2, vecs) TILE(3, vecs) TILE(4, vecs) TILE(5, vecs) TILE(6, vecs)
#define LIST(kind, vecs)                                                                           \
    {                                                                                              \
        kind##_1_##vecs, kind##_2_##vecs, kind##_3_##vecs, kind##_4_##vecs, kind##_5_##vecs,       \
            kind##_6_##vecs                                                                        \
    }
#else
#define TILES(vecs) TILE(1, vecs)
#define LIST(kind, vecs)                                                                           \
    { kind##_1_##vecs }
#endif

#if VECS == 3
TILES(1)
TILES(2)
TILES(3)
static tile_function *const real_tiles[VECS][ROWS] = {LIST(real, 1), LIST(real, 2), LIST(real, 3)};
static tile_function *const pair_tiles[VECS][ROWS] = {LIST(pairs, 1), LIST(pairs, 2),
                                                      LIST(pairs, 3)};
#else
TILES(1)
static tile_function *const real_tiles[VECS][ROWS] = {LIST(real, 1)};
#if defined(BV_LEVEL_AVX2)
static tile_function *const pair_tiles[VECS][ROWS] = {LIST(pairs, 1)};
#endif
#endif

/* steps: of k. */
static void run_tiles(const bv_matmul_block *t, size_t steps,
                      tile_function *const tiles[VECS][ROWS]) {
    tile_function *const *by_rows = tiles[(t->n - 1) / BV_LANES];
    fetch next = first_fetch(t);
    size_t row = 0;
    for (; row + ROWS <= t->m; row += ROWS, next = next_fetch(t, next, steps))
        by_rows[ROWS - 1](t, row, next);
    if (row < t->m) by_rows[t->m - row - 1](t, row, next);
}

static void block(const bv_matmul_block *t) {
    run_tiles(t, t->k, real_tiles);
}

#if defined(BV_LEVEL_AVX512) || defined(BV_LEVEL_AVX2)
static void block_bf16(const bv_matmul_block *t) {
    run_tiles(t, (t->k + 1) / 2, pair_tiles);
}
#else
PAIRS(1, 1)
static void block_bf16(const bv_matmul_block *t) {
    for (size_t row = 0; row < t->m; row++) pairs_1_1(t, row, (fetch){t->panel, 0});
}
#endif

/* ---- packing a panel of B ---- */

static inline size_t panel_width(size_t n) {
    return (n + BV_LANES - 1) / BV_LANES * BV_LANES;
}

static inline size_t source_at(const bv_matmul_source *s, size_t p, size_t j) {
    return p * s->row_stride + j * s->col_stride;
}

static real source_real(const bv_matmul_source *s, size_t at) {
    if (s->type == BV_BF16) return (real)f32_from_bf16(((const uint16_t *)s->data)[at]);
    return ((const real *)s->data)[at];
}

static uint16_t source_half(const bv_matmul_source *s, size_t at) {
    if (s->type == BV_BF16) return ((const uint16_t *)s->data)[at];
    return bf16_from_f32((float)((const real *)s->data)[at]);
}

/* Up to sixteen neighbours in memory; the rest are zeros. */
BV_INLINE vreal get_reals(const bv_matmul_source *s, size_t at, size_t n) {
    if (n < BV_LANES) return v_get_first(s->data, s->type, at, n);
    return v_get(s->data, s->type, at);
}

BV_INLINE void get_halves(const bv_matmul_source *s, size_t at, size_t n, uint16_t *halves) {
    if (s->type == BV_BF16) {
        const uint16_t *from = (const uint16_t *)s->data + at;
        if (n == BV_LANES) {
            memcpy(halves, from, 2 * BV_LANES);
        } else {
            memset(halves, 0, 2 * BV_LANES);
            memcpy(halves, from, 2 * n);
        }
        return;
    }
    v_store_bf16(halves, get_reals(s, at, n));
}

/* Rows that are read a piece at a time lie too far apart for the CPU to foresee them. */
#define AHEAD 16

BV_INLINE void fetch_source(const bv_matmul_source *s, size_t p, size_t k_end, size_t col) {
    if (p + AHEAD >= k_end) return;
    const size_t at = (p + AHEAD) * s->row_stride + col;
    if (s->type == BV_BF16)
        __builtin_prefetch((const uint16_t *)s->data + at, 0, 3);
    else
        __builtin_prefetch((const real *)s->data + at, 0, 3);
}

/* Rows of B that lie contiguous: copied, at bf16 two by two. */
static void pack_wide(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                      size_t col_begin, size_t n, real *panel) {
    const bv_matmul_source local = *source, *s = &local; /* stores cannot alias it */
    for (size_t p = k_begin; p < k_end; p++)
        for (size_t j = 0; j < n; j += BV_LANES, panel += BV_LANES) {
            const size_t left = n - j < BV_LANES ? n - j : BV_LANES;
            fetch_source(s, p, k_end, col_begin + j);
            v_store(panel, get_reals(s, p * s->row_stride + col_begin + j, left));
        }
}

static void pack_wide_bf16(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                           size_t col_begin, size_t n, uint32_t *panel) {
    const bv_matmul_source local = *source, *s = &local; /* stores cannot alias it */
    for (size_t p = k_begin; p < k_end; p += 2)
        for (size_t j = 0; j < n; j += BV_LANES, panel += BV_LANES) {
            const size_t left = n - j < BV_LANES ? n - j : BV_LANES;
            const size_t at = p * s->row_stride + col_begin + j;
            uint16_t even[BV_LANES], odd[BV_LANES] = {0};
            fetch_source(s, p, k_end, col_begin + j);
            fetch_source(s, p + 1, k_end, col_begin + j);
            get_halves(s, at, left, even);
            if (p + 1 < k_end) get_halves(s, at + s->row_stride, left, odd);
            for (int i = 0; i < BV_LANES; i++) panel[i] = even[i] | (uint32_t)odd[i] << 16;
        }
}

/* Columns of B that lie contiguous: squares of sixteen words are transposed. in[j] is a column. */
#if defined(BV_LEVEL_AVX512)
static void transpose_words(const uint32_t in[BV_LANES][BV_LANES], uint32_t *out, size_t stride,
                            size_t rows) {
    __m512i a[16], b[16];
    UNROLL for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_si512(in[i]);
    UNROLL for (int i = 0; i < 8; i++) {
        b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
        a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
    }
    /* a[4 q + r]: column r, r + 4, r + 8, r + 12 of rows 4 q .. 4 q + 3. */
    UNROLL for (int r = 0; r < 4; r++) {
        const __m512i low = _mm512_shuffle_i32x4(a[r], a[4 + r], 0x88);
        const __m512i high = _mm512_shuffle_i32x4(a[r], a[4 + r], 0xdd);
        const __m512i low2 = _mm512_shuffle_i32x4(a[8 + r], a[12 + r], 0x88);
        const __m512i high2 = _mm512_shuffle_i32x4(a[8 + r], a[12 + r], 0xdd);
        b[r] = _mm512_shuffle_i32x4(low, low2, 0x88);
        b[8 + r] = _mm512_shuffle_i32x4(low, low2, 0xdd);
        b[4 + r] = _mm512_shuffle_i32x4(high, high2, 0x88);
        b[12 + r] = _mm512_shuffle_i32x4(high, high2, 0xdd);
    }
    for (size_t i = 0; i < rows; i++) _mm512_storeu_si512(out + i * stride, b[i]);
}
#elif defined(BV_LEVEL_AVX2)
static void transpose_words(const uint32_t in[BV_LANES][BV_LANES], uint32_t *out, size_t stride,
                            size_t rows) {
    for (size_t i = 0; i < rows; i += 8)
        for (size_t j = 0; j < BV_LANES; j += 8) {
            __m256 x[8];
            UNROLL for (int c = 0; c < 8; c++) x[c] = v8_load_words(in[j + (size_t)c] + i);
            v8_transpose(x);
            for (size_t r = 0; r < 8 && i + r < rows; r++)
                v8_store_words(out + (i + r) * stride + j, x[r]);
        }
}
#else
static void transpose_words(const uint32_t in[BV_LANES][BV_LANES], uint32_t *out, size_t stride,
                            size_t rows) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < BV_LANES; j++) out[i * stride + j] = in[j][i];
}
#endif

static void pack_tall(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                      size_t col_begin, size_t n, real *panel) {
    const bv_matmul_source local = *source, *s = &local; /* stores cannot alias it */
    const size_t width = panel_width(n);
    for (size_t p = k_begin; p < k_end; p += BV_LANES, panel += BV_LANES * width)
        for (size_t j = 0; j < n; j += BV_LANES) {
            const size_t rows = k_end - p < BV_LANES ? k_end - p : BV_LANES;
            real square[BV_LANES][BV_LANES];
            for (size_t c = 0; c < BV_LANES; c++)
                v_store(square[c], j + c < n
                                       ? get_reals(s, (col_begin + j + c) * s->col_stride + p, rows)
                                       : v_zero());
#if defined(BV_LEVEL_F64)
            for (size_t i = 0; i < rows; i++)
                for (size_t c = 0; c < BV_LANES; c++) panel[i * width + j + c] = square[c][i];
#else
            uint32_t words[BV_LANES][BV_LANES];
            memcpy(words, square, sizeof words);
            transpose_words(words, (uint32_t *)(void *)(panel + j), width, rows);
#endif
        }
}

static void pack_tall_bf16(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                           size_t col_begin, size_t n, uint32_t *panel) {
    const bv_matmul_source local = *source, *s = &local; /* stores cannot alias it */
    const size_t width = panel_width(n), depth = 2 * BV_LANES;
    for (size_t p = k_begin; p < k_end; p += depth, panel += BV_LANES * width)
        for (size_t j = 0; j < n; j += BV_LANES) {
            const size_t left = k_end - p < depth ? k_end - p : depth;
            const size_t first = left < BV_LANES ? left : BV_LANES, second = left - first;
            uint16_t halves[BV_LANES][2 * BV_LANES] = {{0}};
            for (size_t c = 0; c < BV_LANES && j + c < n; c++) {
                const size_t at = (col_begin + j + c) * s->col_stride + p;
                get_halves(s, at, first, halves[c]);
                if (second) get_halves(s, at + BV_LANES, second, halves[c] + BV_LANES);
            }
            uint32_t words[BV_LANES][BV_LANES];
            memcpy(words, halves, sizeof words);
            transpose_words(words, panel + j, width, (left + 1) / 2);
        }
}

static void pack_panel(const bv_matmul_source *s, size_t k_begin, size_t k_end, size_t col_begin,
                       size_t col_end, void *panel) {
    const size_t n = col_end - col_begin, width = panel_width(n);
    if (s->col_stride == 1) {
        pack_wide(s, k_begin, k_end, col_begin, n, panel);
        return;
    }
    if (s->row_stride == 1) {
        pack_tall(s, k_begin, k_end, col_begin, n, panel);
        return;
    }
    real *out = panel;
    for (size_t p = k_begin; p < k_end; p++)
        for (size_t j = 0; j < width; j++)
            *out++ = j < n ? source_real(s, source_at(s, p, col_begin + j)) : 0;
}

static void pack_panel_bf16(const bv_matmul_source *s, size_t k_begin, size_t k_end,
                            size_t col_begin, size_t col_end, void *panel) {
    const size_t n = col_end - col_begin, width = panel_width(n);
    if (s->col_stride == 1) {
        pack_wide_bf16(s, k_begin, k_end, col_begin, n, panel);
        return;
    }
    if (s->row_stride == 1) {
        pack_tall_bf16(s, k_begin, k_end, col_begin, n, panel);
        return;
    }
    uint32_t *out = panel;
    for (size_t p = k_begin; p < k_end; p += 2)
        for (size_t j = 0; j < width; j++) {
            const uint32_t even = j < n ? source_half(s, source_at(s, p, col_begin + j)) : 0;
            const uint32_t odd =
                j < n && p + 1 < k_end ? source_half(s, source_at(s, p + 1, col_begin + j)) : 0;
            *out++ = even | odd << 16;
        }
}

/* ---- packing rows of a transposed A ---- */

static void pack_rows(const void *a, size_t lda, size_t m, size_t k, void *packed,
                      size_t tile_bytes) {
    for (size_t p = 0; p < k; p++) {
        const real *from = (const real *)a + p * lda;
        char *to = (char *)packed + p * ROWS * sizeof *from;
        for (size_t i = 0; i < m; i += ROWS, to += tile_bytes) {
            if (p + AHEAD < k) __builtin_prefetch(from + AHEAD * lda + i, 0, 3);
            if (m - i >= ROWS)
                memcpy(to, from + i, ROWS * sizeof *from);
            else
                memcpy(to, from + i, (m - i) * sizeof *from);
        }
    }
}

#if defined(BV_LEVEL_AVX2)

/* Eight steps of up to six rows; the two lanes too many of a step lie where the next one begins, at
 * the end of a tile in the cache line between tiles. */
BV_INLINE void split_square(const uint32_t words[8][8], size_t steps, float *to) {
    const __m256 upper = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u));
    __m256 x[8];
    UNROLL for (int i = 0; i < 8; i++) x[i] = v8_load_words(words[i]);
    v8_transpose(x);
    for (size_t s = 0; s < steps; s++, to += 2 * ROWS) {
        _mm256_storeu_ps(to, _mm256_and_ps(x[s], upper));
        _mm256_storeu_ps(to + ROWS,
                         _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x[s]), 16)));
    }
}

/* A tile of m <= ROWS rows that lie along k. */
static void split_rows(const uint16_t *a, size_t lda, size_t m, size_t k, float *to) {
    for (size_t p = 0; p < k; p += 16, to += 16 * ROWS) {
        const size_t count = k - p < 16 ? k - p : 16;
        uint32_t words[8][8];
        if (count < 16) memset(words, 0, sizeof words);
        for (size_t i = 0; i < m; i++) memcpy(words[i], a + i * lda + p, 2 * count);
        for (size_t i = m; i < 8; i++) memset(words[i], 0, sizeof words[i]);
        split_square(words, (count + 1) / 2, to);
    }
}

/* Two rows of a transposed A: a step of all tiles. */
static void split_columns(const uint16_t *even, const uint16_t *odd, size_t m, char *to,
                          size_t tile_bytes) {
    for (size_t i = 0; i < m; i += ROWS, to += tile_bytes) {
        const size_t count = m - i < ROWS ? m - i : ROWS;
        uint16_t halves[2][8] = {{0}};
        if (odd) memcpy(halves[0], odd + i, 2 * count);
        memcpy(halves[1], even + i, 2 * count);
        for (int h = 0; h < 2; h++) {
            const __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)halves[h]));
            _mm256_storeu_ps((float *)(void *)to + h * ROWS,
                             _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)));
        }
    }
}

static void pack_rows_bf16(const void *a, size_t lda, bool transposed, size_t m, size_t k,
                           void *packed, size_t tile_bytes) {
    const uint16_t *from = a;
    char *to = packed;
    if (transposed) {
        for (size_t p = 0; p < k; p += 2, from += 2 * lda, to += 2 * ROWS * sizeof(float)) {
            for (size_t i = 0; p + AHEAD + 1 < k && i < m; i += 32) {
                __builtin_prefetch(from + AHEAD * lda + i, 0, 3);
                __builtin_prefetch(from + (AHEAD + 1) * lda + i, 0, 3);
            }
            split_columns(from, p + 1 < k ? from + lda : NULL, m, to, tile_bytes);
        }
        return;
    }
    for (size_t i = 0; i < m; i += ROWS, to += tile_bytes)
        split_rows(from + i * lda, lda, m - i < ROWS ? m - i : ROWS, k, (float *)(void *)to);
}

#else

/* n <= ROWS pairs; a constant n makes the copies single instructions. */
BV_INLINE void interleave(const uint16_t *even, const uint16_t *odd, size_t n, void *to) {
    uint16_t halves[2][ROWS];
    uint32_t words[ROWS];
    memcpy(halves[0], even, 2 * n);
    memcpy(halves[1], odd, 2 * n);
    for (size_t i = 0; i < n; i++) words[i] = halves[0][i] | (uint32_t)halves[1][i] << 16;
    memcpy(to, words, 4 * n);
}

static void pack_rows_bf16(const void *a, size_t lda, bool transposed, size_t m, size_t k,
                           void *packed, size_t tile_bytes) {
    BV_ASSERT(transposed);
    static const uint16_t zeros[ROWS];
    for (size_t p = 0; p < k; p += 2) {
        const uint16_t *even = (const uint16_t *)a + p * lda, *odd = even + lda;
        char *to = (char *)packed + p / 2 * ROWS * 4;
        for (size_t i = 0; i < m; i += ROWS, to += tile_bytes) {
            if (p + AHEAD + 1 < k) {
                __builtin_prefetch(even + AHEAD * lda + i, 0, 3);
                __builtin_prefetch(odd + AHEAD * lda + i, 0, 3);
            }
            const uint16_t *second = p + 1 < k ? odd + i : zeros;
            if (m - i >= ROWS)
                interleave(even + i, second, ROWS, to);
            else
                interleave(even + i, second, m - i, to);
        }
    }
}

#endif

const bv_matmul_kernels BV_NAME(bv_matmul_table) = {.rows = ROWS,
                                                    .cols = COLS,
#if defined(BV_LEVEL_AVX2)
                                                    .splits_pairs = true,
#endif
                                                    .block = block,
                                                    .block_bf16 = block_bf16,
                                                    .pack_panel = pack_panel,
                                                    .pack_panel_bf16 = pack_panel_bf16,
                                                    .pack_rows = pack_rows,
                                                    .pack_rows_bf16 = pack_rows_bf16};

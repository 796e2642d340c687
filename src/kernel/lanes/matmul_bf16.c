/*
 * Products at bf16: the tiles of matmul_tile.h, a pair of elements a step (kernel/bf16_dot.h). A
 * level without an instruction for pairs takes two multiply-adds of reals under a control register
 * that flushes (AVX2), or emulates the instruction row after row.
 */
#include "kernel/bf16_dot.h"
#include "kernel/lanes/matmul_tile.h"

/* ---- chains over k ---- */

#if defined(BV_LEVEL_AVX2)
/* Under a control register that flushes, plain multiply-adds are a step: of all odd elements first,
 * then of the even ones, since registers are few. Rows come as reals (splits_pairs); a step of the
 * panel is 16 odd elements, then 16 even ones, in the order in which v_widen takes them. */
#define PAIR_STEP(rows) (2 * (size_t)(rows) * sizeof(float))

BV_INLINE void pair_step(const char *a, const uint16_t *b, vreal acc[ROWS][VECS], int rows) {
    const char *odd[ROWS], *even[ROWS];
    __m256 half[2];
    UNROLL for (int i = 0; i < rows; i++) {
        odd[i] = a + (size_t)i * sizeof(float);
        even[i] = odd[i] + (size_t)rows * sizeof(float);
    }
    v_widen(b, half);
    v_add_rows(acc[0], odd, 0, half, rows);
    v_widen(b + BV_LANES, half);
    v_add_rows(acc[0], even, 0, half, rows);
}

/* A step of the panel, from its two rows of B. */
BV_INLINE void pack_step(const bv_matmul_block *t, const char **row, uint16_t *step) {
    const char *even = *row, *odd = *row + t->source_row;
    split_step(step, even, odd);
    __builtin_prefetch(even + AHEAD * t->source_row, 0, 3);
    __builtin_prefetch(odd + AHEAD * t->source_row, 0, 3);
    *row += 2 * t->source_row;
}

BV_INLINE void chain_pairs(const bv_matmul_block *t, const char *a, fetch next,
                           vreal acc[ROWS][VECS], int rows, bool packs, size_t line) {
    uint16_t *b = t->panel;
    const char *source = t->source;
    size_t left = (t->k + 1) / 2;
    for (; left >= PAIR_DEPTH;
         left -= PAIR_DEPTH, a += PAIR_DEPTH * PAIR_STEP(rows), b += PAIR_DEPTH * 2 * BV_LANES) {
        UNROLL for (size_t d = 0; d < PAIR_DEPTH; d++) {
            if (packs) pack_step(t, &source, b + d * 2 * BV_LANES);
            pair_step(a + d * PAIR_STEP(rows), b + d * 2 * BV_LANES, acc, rows);
        }
        fetch_steps(&next, PAIR_DEPTH, line);
    }
    for (; left > 0; left--, a += PAIR_STEP(rows), b += 2 * BV_LANES) {
        if (packs) pack_step(t, &source, b);
        pair_step(a, b, acc, rows);
    }
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

BV_INLINE void chain_pairs(const bv_matmul_block *t, const char *first, fetch next,
                           vreal acc[ROWS][VECS], int rows, int vecs) {
    const size_t whole = t->a_padded ? (t->k + 1) / 2 : t->k / 2;
    const size_t a_row = t->a_row, a_step = t->a_step;
    const char *a[2] = {first, first + HALF * a_row};
    const uint32_t *b = t->panel;
    for (size_t step = 0; step < whole; step++) {
        pair_step(a, a_row, b, acc, rows, vecs);
        fetch_steps(&next, 1, next.line);
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

#if defined(BV_LEVEL_AVX2)

/* Sums of C before and after the chain, and the bias, follow the rules of f32: only the chain runs
 * under a flushing control register, out of line so that nothing moves into or out of it. */
typedef real pair_tile[ROWS][BV_LANES];

BV_INLINE void flushed_chain(const bv_matmul_block *t, const char *a, fetch next, pair_tile tile,
                             int rows) {
    vreal acc[ROWS][VECS];
    UNROLL for (int i = 0; i < rows; i++) acc[i][0] = v_load(tile[i]);
    if (!t->source)
        chain_pairs(t, a, next, acc, rows, false, 64);
    else if (a == t->a)
        chain_pairs(t, a, next, acc, rows, true, next.line);
    else
        chain_pairs(t, a, next, acc, rows, false, next.line);
    UNROLL for (int i = 0; i < rows; i++) v_store(tile[i], acc[i][0]);
}

BV_INLINE void tile_pairs(const bv_matmul_block *t, size_t row, const char *a, fetch next, int rows,
                          int vecs,
                          void (*chain)(const bv_matmul_block *, const char *, fetch, pair_tile)) {
    vreal acc[ROWS][VECS];
    pair_tile tile;
    tile_start(t, row, acc, rows, vecs);
    UNROLL for (int i = 0; i < rows; i++) v_store(tile[i], acc[i][0]);
    const unsigned saved = flushing_begin();
    chain(t, a, next, tile);
    flushing_end(saved);
    UNROLL for (int i = 0; i < rows; i++) acc[i][0] = v_load(tile[i]);
    tile_finish(t, row, acc, rows, vecs, BV_BF16);
}

#define PAIRS(rows, vecs)                                                                          \
    static __attribute__((noinline)) void chain_##rows(const bv_matmul_block *t, const char *a,    \
                                                       fetch next, pair_tile tile) {               \
        flushed_chain(t, a, next, tile, rows);                                                     \
    }                                                                                              \
    static void pairs_##rows##_##vecs(const bv_matmul_block *t, size_t row, const char *a,         \
                                      fetch next) {                                                \
        tile_pairs(t, row, a, next, rows, vecs, chain_##rows);                                     \
    }

#else

BV_INLINE void tile_pairs(const bv_matmul_block *t, size_t row, const char *a, fetch next, int rows,
                          int vecs) {
    vreal acc[ROWS][VECS];
    tile_start(t, row, acc, rows, vecs);
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < vecs; j++) {
        acc[i][j] = v_flush(acc[i][j]);
    }
    chain_pairs(t, a, next, acc, rows, vecs);
    tile_finish(t, row, acc, rows, vecs, BV_BF16);
}

#define PAIRS(rows, vecs)                                                                          \
    static void pairs_##rows##_##vecs(const bv_matmul_block *t, size_t row, const char *a,         \
                                      fetch next) {                                                \
        tile_pairs(t, row, a, next, rows, vecs);                                                   \
    }

#endif

#if ROW_PANELS > 1
typedef real few_tiles[ROW_PANELS][ROWS][BV_LANES];

BV_INLINE void flushed_few(const bv_matmul_block *t, few_tiles tiles, int rows) {
    const int panels = ROW_PANELS / rows;
    few_sums acc;
    UNROLL for (int p = 0; p < panels; p++) UNROLL for (int i = 0; i < rows; i++) acc[p][i][0] =
        v_load(tiles[p][i]);
    const char *a = t->a;
    const uint16_t *b = t->panel;
    const size_t steps = (t->k + 1) / 2, panel = steps * 2 * t->apart;
    for (size_t left = steps; left > 0; left--, a += PAIR_STEP(rows), b += 2 * COLS)
        UNROLL for (int p = 0; p < panels; p++) pair_step(a, b + (size_t)p * panel, acc[p], rows);
    UNROLL for (int p = 0; p < panels; p++) UNROLL for (int i = 0; i < rows; i++)
        v_store(tiles[p][i], acc[p][i][0]);
}

static __attribute__((noinline)) void few_chains(const bv_matmul_block *t, few_tiles tiles) {
    if (t->m == 1) flushed_few(t, tiles, 1);
    if (t->m == 2) flushed_few(t, tiles, 2);
    if (t->m == 3) flushed_few(t, tiles, 3);
}

BV_INLINE void few_pairs(const bv_matmul_block *t, int rows) {
    const int panels = ROW_PANELS / rows;
    few_sums acc;
    few_tiles tiles;
    few_start(t, acc, rows);
    UNROLL for (int p = 0; p < panels; p++) UNROLL for (int i = 0; i < rows; i++)
        v_store(tiles[p][i], acc[p][i][0]);
    const unsigned saved = flushing_begin();
    few_chains(t, tiles);
    flushing_end(saved);
    UNROLL for (int p = 0; p < panels; p++) UNROLL for (int i = 0; i < rows; i++) acc[p][i][0] =
        v_load(tiles[p][i]);
    few_finish(t, acc, rows, BV_BF16);
}

static void run_few(const bv_matmul_block *t) {
    if (t->m == 1) few_pairs(t, 1);
    if (t->m == 2) few_pairs(t, 2);
    if (t->m == 3) few_pairs(t, 3);
}
#endif

#if defined(BV_LEVEL_AVX512) || defined(BV_LEVEL_AVX2)
TILES(PAIRS)
static tile_function *const tiles[VECS][ROWS] = TILE_TABLE(pairs);

void BV_NAME(bv_matmul_bf16)(const bv_matmul_block *block) {
#if ROW_PANELS > 1
    if (block->n > COLS) {
        run_few(block);
        return;
    }
#endif
    run_tiles(block, (block->k + 1) / 2, tiles);
}
#else
PAIRS(1, 1)

void BV_NAME(bv_matmul_bf16)(const bv_matmul_block *block) {
    const char *a = block->a;
    for (tile_rows r = first_rows(block->m, ROWS); r.begin < block->m; r = next_rows(r)) {
        for (size_t i = 0; i < r.count; i++)
            pairs_1_1(block, r.begin + i, a + i * block->a_row, (fetch){block->panel, 0, 64});
        a += tile_bytes(block, r.count);
    }
}
#endif

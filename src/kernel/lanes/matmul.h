/*
 * What the files of the matrix product share at one level: the size of a tile, and the functions
 * that stand in its table (matmul.c). See kernel/matmul.h for what they do.
 */
#ifndef BV_KERNEL_LANES_MATMUL_H
#define BV_KERNEL_LANES_MATMUL_H

#include "kernel/lane.h"
#include "kernel/matmul.h"

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
#if defined(BV_LEVEL_AVX2)
#define ROW_PANELS 6
#define TAKES_SOURCE true
#else
#define ROW_PANELS 1
#define TAKES_SOURCE false
#endif
/* Is what a tile begins with fetched before its chains run, and where it goes while they do? Only
 * where it was measured. */
#if defined(BV_LEVEL_AVX512)
#define FETCHES_START true
#define FETCHES_OUT true
#else
#define FETCHES_START TAKES_SOURCE
#define FETCHES_OUT false
#endif
#include "kernel/lanes/tile_sizes.h"

/* Steps that packing fetches ahead: rows that are read a piece at a time lie too far apart for the
 * CPU to foresee them. */
#define AHEAD 16

#if defined(BV_LEVEL_AVX2)
/* A step of 16 columns at bf16, of two rows of B: 16 odd elements, then 16 even ones, in the order
 * in which v_widen takes them. */
BV_INLINE void split_step(void *step, const void *even, const void *odd) {
    for (int h = 0; h < 2; h++) {
        const __m256i x = _mm256_loadu_si256(h ? even : odd);
        _mm256_storeu_si256((__m256i *)step + h, _mm256_permute4x64_epi64(x, 0xd8));
    }
}
#endif

/* matmul_real.c */
void BV_NAME(bv_matmul_real)(const bv_matmul_block *block);
/* matmul_bf16.c */
void BV_NAME(bv_matmul_bf16)(const bv_matmul_block *block);
/* matmul_panel.c */
void BV_NAME(bv_matmul_panel)(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                              size_t col, size_t n, void *panel);
void BV_NAME(bv_matmul_panel_bf16)(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                                   size_t col, size_t n, void *panel);
/* matmul_rows.c */
void BV_NAME(bv_matmul_rows)(const void *a, size_t lda, bool transposed, size_t m, size_t k,
                             void *packed, size_t tile_bytes);
void BV_NAME(bv_matmul_rows_bf16)(const void *a, size_t lda, bool transposed, size_t m, size_t k,
                                  void *packed, size_t tile_bytes);

#endif

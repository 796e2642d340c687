/*
 * Packing rows of A into tiles, at one level: of a transposed A, and at AVX2 of any A, as reals or
 * as pairs that are split (see matmul_bf16.c).
 */
#include "kernel/lanes/matmul.h"

/* A step of `tiles` tiles; a constant number of rows makes the copies a few instructions. */
BV_INLINE void copy_step(const real *from, char *to, size_t tile_bytes, size_t tiles, size_t rows) {
    for (size_t t = 0; t < tiles; t++, from += rows, to += tile_bytes)
        memcpy(to, from, rows * sizeof *from);
}

static void copy_tiles(const real *from, char *to, size_t tile_bytes, size_t tiles, size_t rows) {
    if (rows == ROWS)
        copy_step(from, to, tile_bytes, tiles, ROWS);
    else if (rows + 1 == ROWS)
        copy_step(from, to, tile_bytes, tiles, ROWS - 1);
    else
        copy_step(from, to, tile_bytes, tiles, rows);
}

static void copy_columns(const real *a, size_t lda, size_t m, size_t k, char *packed,
                         size_t tile_bytes) {
    const tile_rows r = first_rows(m, ROWS); /* the higher tiles come first */
    const size_t all = (m + ROWS - 1) / ROWS, before = r.higher * (r.least + 1);
    for (size_t p = 0; p < k; p++) {
        const real *from = a + p * lda;
        char *to = packed + p * ROWS * sizeof *from;
        for (size_t i = 0; p + AHEAD < k && i < m; i += BV_LANES)
            __builtin_prefetch(from + AHEAD * lda + i, 0, 3);
        copy_tiles(from, to, tile_bytes, r.higher, r.least + 1);
        copy_tiles(from + before, to + r.higher * tile_bytes, tile_bytes, all - r.higher, r.least);
    }
}

#if defined(BV_LEVEL_AVX2)

/* Four rows of a transposed A give a tile 24 words, three vectors: lanes are read from where they
 * lie, so that a blend is all. Up to six elements behind a row and in front of one are read, too,
 * so another row follows, and rows lie LEAST_ROW apart. */
#define LEAST_ROW 8

BV_INLINE void copy_four(const float *row, size_t lda, float *to) {
    const float *second = row + lda, *third = second + lda, *fourth = third + lda;
    const __m256 x = _mm256_loadu_ps(row), y = _mm256_loadu_ps(second + 2);
    const __m256 z = _mm256_loadu_ps(third + 4);
    _mm256_storeu_ps(to, _mm256_blend_ps(x, _mm256_loadu_ps(second - 6), 0xc0));
    _mm256_storeu_ps(to + 8, _mm256_blend_ps(y, _mm256_loadu_ps(third - 4), 0xf0));
    _mm256_storeu_ps(to + 16, _mm256_blend_ps(z, _mm256_loadu_ps(fourth - 2), 0xfc));
}

/* A step of a tile at bf16, of two rows of a transposed A; odd: NULL for zeros. Whole vectors are
 * stored, and what is too much of one is overwritten by the next, at the end in the cache line
 * between tiles. */
BV_INLINE void split_two(const uint16_t *even, const uint16_t *odd, size_t count, float *to) {
    uint16_t halves[2][8] = {{0}};
    if (odd) memcpy(halves[0], odd, 2 * count);
    memcpy(halves[1], even, 2 * count);
    for (size_t h = 0; h < 2; h++) {
        const __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)halves[h]));
        _mm256_storeu_ps(to + h * count, _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)));
    }
}

/* Two such steps of a whole tile: odd elements, even ones, and once more. */
BV_INLINE void split_four(const uint16_t *even, size_t lda, float *to) {
    const uint16_t *odd = even + lda, *even2 = odd + lda, *odd2 = even2 + lda;
    const __m128i first = _mm_slli_si128(_mm_loadu_si128((const void *)even), 12);
    const __m128i halves[3] = {_mm_blend_epi16(_mm_loadu_si128((const void *)odd), first, 0xc0),
                               _mm_blend_epi16(_mm_loadu_si128((const void *)(even + 2)),
                                               _mm_loadu_si128((const void *)(odd2 - 4)), 0xf0),
                               _mm_blend_epi16(_mm_loadu_si128((const void *)(odd2 + 4)),
                                               _mm_loadu_si128((const void *)(even2 - 2)), 0xfc)};
    UNROLL for (int i = 0; i < 3; i++) {
        const __m256i words = _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves[i]), 16);
        _mm256_storeu_ps(to + 8 * i, _mm256_castsi256_ps(words));
    }
}

/* The same of a tile with fewer rows. */
BV_INLINE void split_some(const uint16_t *even, size_t lda, size_t count, float *to) {
    split_two(even, even + lda, count, to);
    split_two(even + 2 * lda, even + 3 * lda, count, to + 2 * count);
}

/* The first rows of k, by fours, into all tiles. Returns how many rows are packed. More than eight
 * rows ahead would drive each other out of the cache where they lie a multiple of 2 KB apart. */
BV_INLINE size_t pack_fours(const char *a, size_t lda, size_t m, size_t k, char *packed,
                            size_t tile_bytes, size_t size) {
    const size_t row = lda * size;
    size_t p = 0;
    for (; lda >= LEAST_ROW && p + 4 < k; p += 4, a += 4 * row) {
        char *tile = packed;
        for (size_t i = 0; p + 12 <= k && i < m * size; i += 64)
            UNROLL for (size_t r = 8; r < 12; r++) __builtin_prefetch(a + r * row + i, 0, 3);
        for (tile_rows r = first_rows(m, ROWS); r.begin < m; r = next_rows(r), tile += tile_bytes) {
            const void *from = a + r.begin * size;
            float *to = (float *)(void *)tile + p * (size == sizeof(float) ? ROWS : r.count);
            if (size == sizeof(float))
                copy_four(from, lda, to);
            else if (r.count == ROWS)
                split_four(from, lda, to);
            else
                split_some(from, lda, r.count, to);
        }
    }
    return p;
}

/* Rows that lie along k are turned eight steps at a time. The two lanes too many of a step lie
 * where the next one begins, at the end of a tile in the cache line between tiles. */

/* A tile of m <= ROWS rows. */
static void turn_rows(const float *a, size_t lda, size_t m, size_t k, float *to) {
    for (size_t p = 0; p < k; p += 8) {
        const size_t count = k - p < 8 ? k - p : 8;
        __m256 x[8];
        UNROLL for (size_t i = 0; i < 8; i++) {
            float words[8] = {0};
            if (i < m && count < 8) memcpy(words, a + i * lda + p, 4 * count);
            x[i] = _mm256_loadu_ps(i < m && count == 8 ? a + i * lda + p : words);
        }
        v8_transpose(x);
        for (size_t s = 0; s < count; s++, to += ROWS) _mm256_storeu_ps(to, x[s]);
    }
}

void BV_NAME(bv_matmul_rows)(const void *a, size_t lda, bool transposed, size_t m, size_t k,
                             void *packed, size_t tile_bytes) {
    char *to = packed;
    if (transposed) {
        const size_t p = pack_fours(a, lda, m, k, packed, tile_bytes, sizeof(float));
        copy_columns((const real *)a + p * lda, lda, m, k - p, to + p * ROWS * sizeof(float),
                     tile_bytes);
        return;
    }
    for (tile_rows r = first_rows(m, ROWS); r.begin < m; r = next_rows(r), to += tile_bytes)
        turn_rows((const float *)a + r.begin * lda, lda, r.count, k, (float *)(void *)to);
}

/* A step of a tile is as many odd elements as it has rows, then the even ones. */

BV_INLINE void split_square(const uint32_t words[8][8], size_t steps, size_t rows, float *to) {
    const __m256 upper = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u));
    __m256 x[8];
    UNROLL for (int i = 0; i < 8; i++) x[i] = v8_load_words(words[i]);
    v8_transpose(x);
    for (size_t s = 0; s < steps; s++, to += 2 * rows) {
        _mm256_storeu_ps(to, _mm256_and_ps(x[s], upper));
        _mm256_storeu_ps(to + rows,
                         _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x[s]), 16)));
    }
}

/* A tile of m <= ROWS rows that lie along k. */
static void split_rows(const uint16_t *a, size_t lda, size_t m, size_t k, float *to) {
    for (size_t p = 0; p < k; p += 16, to += 16 * m) {
        const size_t count = k - p < 16 ? k - p : 16;
        uint32_t words[8][8];
        if (count < 16) memset(words, 0, sizeof words);
        for (size_t i = 0; i < m; i++) memcpy(words[i], a + i * lda + p, 2 * count);
        for (size_t i = m; i < 8; i++) memset(words[i], 0, sizeof words[i]);
        split_square(words, (count + 1) / 2, m, to);
    }
}

/* Two rows of a transposed A: a step of all tiles, of which the first one is at `packed`. */
static void split_columns(const uint16_t *even, const uint16_t *odd, size_t m, size_t step,
                          char *packed, size_t tile_bytes) {
    for (tile_rows r = first_rows(m, ROWS); r.begin < m; r = next_rows(r), packed += tile_bytes)
        split_two(even + r.begin, odd ? odd + r.begin : NULL, r.count,
                  (float *)(void *)packed + step * 2 * r.count);
}

void BV_NAME(bv_matmul_rows_bf16)(const void *a, size_t lda, bool transposed, size_t m, size_t k,
                                  void *packed, size_t tile_bytes) {
    const uint16_t *from = a;
    char *to = packed;
    if (transposed) {
        size_t p = pack_fours(a, lda, m, k, packed, tile_bytes, sizeof(uint16_t));
        for (from += p * lda; p < k; p += 2, from += 2 * lda)
            split_columns(from, p + 1 < k ? from + lda : NULL, m, p / 2, to, tile_bytes);
        return;
    }
    for (tile_rows r = first_rows(m, ROWS); r.begin < m; r = next_rows(r), to += tile_bytes)
        split_rows(from + r.begin * lda, lda, r.count, k, (float *)(void *)to);
}

#else

void BV_NAME(bv_matmul_rows)(const void *a, size_t lda, bool transposed, size_t m, size_t k,
                             void *packed, size_t tile_bytes) {
    BV_ASSERT(transposed);
    copy_columns(a, lda, m, k, packed, tile_bytes);
}

/* n <= ROWS pairs; a constant n makes the copies single instructions. */
BV_INLINE void interleave(const uint16_t *even, const uint16_t *odd, size_t n, void *to) {
    uint16_t halves[2][ROWS];
    uint32_t words[ROWS];
    memcpy(halves[0], even, 2 * n);
    memcpy(halves[1], odd, 2 * n);
    for (size_t i = 0; i < n; i++) words[i] = halves[0][i] | (uint32_t)halves[1][i] << 16;
    memcpy(to, words, 4 * n);
}

/* The same of several tiles of ROWS rows each. */
BV_INLINE void interleave_tiles(const uint16_t *even, const uint16_t *odd, size_t tiles, char *to,
                                size_t tile_bytes) {
#if defined(BV_LEVEL_AVX512)
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    for (; tiles >= 4; tiles -= 4, even += 32, odd += 32) {
        const __m512i e = _mm512_loadu_si512(even), o = _mm512_loadu_si512(odd);
        const __m512i low = _mm512_unpacklo_epi16(e, o), high = _mm512_unpackhi_epi16(e, o);
        const __m512i pairs[2] = {_mm512_permutex2var_epi64(low, first, high),
                                  _mm512_permutex2var_epi64(low, second, high)};
        for (int i = 0; i < 2; i++, to += 2 * tile_bytes) {
            _mm256_storeu_si256((void *)to, _mm512_castsi512_si256(pairs[i]));
            _mm256_storeu_si256((void *)(to + tile_bytes), _mm512_extracti64x4_epi64(pairs[i], 1));
        }
    }
#endif
    for (; tiles > 0; tiles--, even += ROWS, odd += ROWS, to += tile_bytes)
        interleave(even, odd, ROWS, to);
}

void BV_NAME(bv_matmul_rows_bf16)(const void *a, size_t lda, bool transposed, size_t m, size_t k,
                                  void *packed, size_t tile_bytes) {
    BV_ASSERT(transposed);
    static const uint16_t zeros[ROWS];
    const tile_rows first = first_rows(m, ROWS); /* the higher tiles come first */
    const size_t high = first.least == ROWS ? m / ROWS : first.least + 1 == ROWS ? first.higher : 0;
    for (size_t p = 0; p < k; p += 2) {
        const uint16_t *even = (const uint16_t *)a + p * lda, *odd = even + lda;
        const size_t full = p + 1 < k ? high : 0;
        char *to = (char *)packed + p / 2 * ROWS * 4;
        for (size_t i = 0; p + AHEAD + 1 < k && i < m; i += 32) {
            __builtin_prefetch(even + AHEAD * lda + i, 0, 3);
            __builtin_prefetch(odd + AHEAD * lda + i, 0, 3);
        }
        interleave_tiles(even, odd, full, to, tile_bytes);
        to += full * tile_bytes;
        for (size_t row = full * ROWS, t = full, n; row < m; row += n, t++, to += tile_bytes) {
            n = first.least + (t < first.higher);
            interleave(even + row, p + 1 < k ? odd + row : zeros, n, to);
        }
    }
}

#endif

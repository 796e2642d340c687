/*
 * Packing a panel of B, at one level: rows that lie contiguous are copied, columns that do are
 * transposed in squares of sixteen words, anything else goes element by element. At bf16 a word is
 * a pair of rows.
 */
#include "kernel/lanes/matmul.h"

BV_INLINE size_t panel_width(size_t n) {
    return (n + BV_LANES - 1) / BV_LANES * BV_LANES;
}

BV_INLINE size_t source_at(const bv_matmul_source *s, size_t p, size_t j) {
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

/* A step of 16 columns at bf16: words of pairs, or what matmul_bf16.c takes instead. */
BV_INLINE void put_step(uint32_t *panel, const uint16_t even[BV_LANES],
                        const uint16_t odd[BV_LANES]) {
#if defined(BV_LEVEL_AVX2)
    split_step(panel, even, odd);
#else
    for (int i = 0; i < BV_LANES; i++) panel[i] = even[i] | (uint32_t)odd[i] << 16;
#endif
}

BV_INLINE void fetch_source(const bv_matmul_source *s, size_t p, size_t k_end, size_t col) {
    if (p + AHEAD >= k_end) return;
    const size_t at = (p + AHEAD) * s->row_stride + col;
    if (s->type == BV_BF16)
        __builtin_prefetch((const uint16_t *)s->data + at, 0, 3);
    else
        __builtin_prefetch((const real *)s->data + at, 0, 3);
}

/* Rows of B that lie contiguous are copied, at bf16 two by two. */
static void pack_wide(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                      size_t col_begin, size_t n, real *panel) {
    const bv_matmul_source local = *source, *s = &local; /* stores cannot alias it */
    const size_t width = panel_width(n);
    for (size_t p = k_begin; p < k_end; p++, panel += width)
        for (size_t j = 0; j < n; j += BV_LANES) {
            fetch_source(s, p, k_end, col_begin + j);
            v_store(panel + j,
                    get_reals(s, p * s->row_stride + col_begin + j, BV_LANES_LEFT(j, n)));
        }
}

/* A step of 16 columns, rounded. */
BV_INLINE void put_rounded_step(uint32_t *panel, vreal even, vreal odd) {
#if defined(BV_LEVEL_AVX2)
    uint16_t halves[2][BV_LANES];
    v_store_bf16(halves[0], even);
    v_store_bf16(halves[1], odd);
    put_step(panel, halves[0], halves[1]);
#else
    v_store_pairs(panel, even, odd);
#endif
}

/* Rows p and p + 1 (zeros from k_end on), n <= 16 columns. */
BV_INLINE void wide_step_bf16(const bv_matmul_source *s, size_t p, size_t k_end, size_t col,
                              size_t n, uint32_t *to) {
    const size_t at = p * s->row_stride + col;
    fetch_source(s, p, k_end, col);
    fetch_source(s, p + 1, k_end, col);
    if (s->type != BV_BF16) {
        const vreal even = get_reals(s, at, n);
        put_rounded_step(to, even, p + 1 < k_end ? get_reals(s, at + s->row_stride, n) : v_zero());
        return;
    }
    if (n == BV_LANES && p + 1 < k_end) {
        const uint16_t *even = (const uint16_t *)s->data + at;
        put_step(to, even, even + s->row_stride);
        return;
    }
    uint16_t even[BV_LANES], odd[BV_LANES] = {0};
    get_halves(s, at, n, even);
    if (p + 1 < k_end) get_halves(s, at + s->row_stride, n, odd);
    put_step(to, even, odd);
}

/* Steps from a line of a panel that is written to one that is fetched: weights are packed again
 * when their panels have left the caches. */
#define WRITE_AHEAD 8

/* Rows p and p + 1 of a whole panel, of which nothing has to be rounded. */
BV_INLINE void whole_step_bf16(const uint16_t *even, size_t row_stride, uint32_t *to) {
    const uint16_t *odd = even + row_stride;
    UNROLL for (int v = 0; v < VECS; v++)
        put_step(to + v * BV_LANES, even + v * BV_LANES, odd + v * BV_LANES);
}

static void pack_wide_bf16(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                           size_t col_begin, size_t n, uint32_t *panel) {
    const bv_matmul_source local = *source, *s = &local; /* stores cannot alias it */
    const size_t width = panel_width(n);
    size_t p = k_begin;
    if (s->type == BV_BF16 && n == COLS) {
        const uint16_t *even = (const uint16_t *)s->data + p * s->row_stride + col_begin;
        for (; p + 1 < k_end; p += 2, panel += width, even += 2 * s->row_stride)
            whole_step_bf16(even, s->row_stride, panel);
    }
    for (; p < k_end; p += 2, panel += width)
        for (size_t j = 0; j < n; j += BV_LANES) {
            __builtin_prefetch(panel + j + WRITE_AHEAD * width, 1, 2);
            wide_step_bf16(s, p, k_end, col_begin + j, BV_LANES_LEFT(j, n), panel + j);
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

/* Steps of 16 words, as put_step would have written them. */
BV_INLINE void order_steps(uint32_t *panel, size_t stride, size_t steps) {
#if defined(BV_LEVEL_AVX2)
    const __m256i low = _mm256_set1_epi32(0xffff);
    for (size_t i = 0; i < steps; i++, panel += stride) {
        __m256i *const at = (__m256i *)(void *)panel;
        const __m256i x = _mm256_loadu_si256(at), y = _mm256_loadu_si256(at + 1);
        _mm256_storeu_si256(
            at, _mm256_packus_epi32(_mm256_srli_epi32(x, 16), _mm256_srli_epi32(y, 16)));
        _mm256_storeu_si256(
            at + 1, _mm256_packus_epi32(_mm256_and_si256(x, low), _mm256_and_si256(y, low)));
    }
#else
    (void)panel, (void)stride, (void)steps;
#endif
}

static void pack_tall_bf16(const bv_matmul_source *source, size_t k_begin, size_t k_end,
                           size_t col_begin, size_t n, uint32_t *panel) {
    const bv_matmul_source local = *source, *s = &local; /* stores cannot alias it */
    const size_t width = panel_width(n), depth = 2 * BV_LANES;
    for (size_t p = k_begin; p < k_end; p += depth, panel += BV_LANES * width)
        for (size_t j = 0; j < n; j += BV_LANES) {
            const size_t all = k_end - p, left = all < depth ? all : depth;
            const size_t first = left < BV_LANES ? left : BV_LANES, second = left - first;
            uint16_t halves[BV_LANES][2 * BV_LANES] = {{0}};
            for (size_t c = 0; c < BV_LANES && j + c < n; c++) {
                const size_t at = (col_begin + j + c) * s->col_stride + p;
                get_halves(s, at, first, halves[c]);
                if (second) get_halves(s, at + BV_LANES, second, halves[c] + BV_LANES);
            }
            uint32_t words[BV_LANES][BV_LANES];
            memcpy(words, halves, sizeof words);
            if (all > depth)
                for (size_t i = 0; i < BV_LANES; i++)
                    __builtin_prefetch(panel + j + (BV_LANES + i) * width, 1, 2);
            transpose_words(words, panel + j, width, (left + 1) / 2);
            order_steps(panel + j, width, (left + 1) / 2);
        }
}

/* Anything else: element by element. */
static void pack_any(const bv_matmul_source *s, size_t k_begin, size_t k_end, size_t col_begin,
                     size_t n, real *panel) {
    for (size_t p = k_begin; p < k_end; p++)
        for (size_t j = 0; j < panel_width(n); j++)
            *panel++ = j < n ? source_real(s, source_at(s, p, col_begin + j)) : 0;
}

static void pack_any_bf16(const bv_matmul_source *s, size_t k_begin, size_t k_end, size_t col_begin,
                          size_t n, uint32_t *panel) {
    for (size_t p = k_begin; p < k_end; p += 2)
        for (size_t j = 0; j < panel_width(n); j += BV_LANES, panel += BV_LANES) {
            uint16_t even[BV_LANES] = {0}, odd[BV_LANES] = {0};
            for (size_t i = 0; i < BV_LANES && j + i < n; i++) {
                even[i] = source_half(s, source_at(s, p, col_begin + j + i));
                if (p + 1 < k_end) odd[i] = source_half(s, source_at(s, p + 1, col_begin + j + i));
            }
            put_step(panel, even, odd);
        }
}

void BV_NAME(bv_matmul_panel)(const bv_matmul_source *s, size_t k_begin, size_t k_end, size_t col,
                              size_t n, void *panel) {
    if (s->col_stride == 1)
        pack_wide(s, k_begin, k_end, col, n, panel);
    else if (s->row_stride == 1)
        pack_tall(s, k_begin, k_end, col, n, panel);
    else
        pack_any(s, k_begin, k_end, col, n, panel);
}

void BV_NAME(bv_matmul_panel_bf16)(const bv_matmul_source *s, size_t k_begin, size_t k_end,
                                   size_t col, size_t n, void *panel) {
    if (s->col_stride == 1)
        pack_wide_bf16(s, k_begin, k_end, col, n, panel);
    else if (s->row_stride == 1)
        pack_tall_bf16(s, k_begin, k_end, col, n, panel);
    else
        pack_any_bf16(s, k_begin, k_end, col, n, panel);
}

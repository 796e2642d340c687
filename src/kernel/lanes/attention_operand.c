/* Packing the operands of attention, at one level. */
#include "kernel/lanes/attention_operand.h"

#if defined(BV_LEVEL_AVX512)
/* 16 x 16 words. */
BV_INLINE void transpose(__m512i x[16]) {
    __m512i y[16];
    UNROLL for (int i = 0; i < 16; i += 4) {
        const __m512i a = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        const __m512i b = _mm512_unpackhi_epi32(x[i], x[i + 1]);
        const __m512i c = _mm512_unpacklo_epi32(x[i + 2], x[i + 3]);
        const __m512i d = _mm512_unpackhi_epi32(x[i + 2], x[i + 3]);
        y[i] = _mm512_unpacklo_epi64(a, c);
        y[i + 1] = _mm512_unpackhi_epi64(a, c);
        y[i + 2] = _mm512_unpacklo_epi64(b, d);
        y[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        const __m512i a = _mm512_shuffle_i32x4(y[i], y[i + 4], 0x88);
        const __m512i b = _mm512_shuffle_i32x4(y[i], y[i + 4], 0xdd);
        const __m512i c = _mm512_shuffle_i32x4(y[i + 8], y[i + 12], 0x88);
        const __m512i d = _mm512_shuffle_i32x4(y[i + 8], y[i + 12], 0xdd);
        x[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        x[i + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
        x[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        x[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

void pack_columns(void *out, const void *x, size_t stride, size_t rows, size_t d, bool pairs) {
    const size_t halves = pairs ? d : 2 * d;
    for (size_t r = 0; r < rows; r += 16)
        for (size_t h = 0; h < halves; h += 32) {
            const size_t left = halves - h, words = left < 32 ? (left + 1) / 2 : 16;
            const __mmask32 mask = left < 32 ? (1u << left) - 1u : 0xffffffffu;
            __m512i t[16];
            _Pragma("GCC unroll 16") for (size_t i = 0; i < 16; i++) {
                const char *from = (const char *)x + least(r + i, rows - 1) * stride + 2 * h;
                t[i] = _mm512_maskz_loadu_epi16(r + i < rows ? mask : 0, from);
            }
            transpose(t);
            uint32_t *to = (uint32_t *)out + h / 2 * TILE + r;
            _Pragma("GCC unroll 16") for (size_t i = 0; i < 16; i++) if (i < words)
                _mm512_storeu_si512(to + i * TILE, t[i]);
        }
}
#elif defined(BV_LEVEL_AVX2)
/* 8 rows of `bytes` (at most 32) -> a column of words each, `rows` of them there. */
static __attribute__((noinline)) void pack_part(uint32_t *to, const char *from, size_t stride,
                                                size_t rows, size_t bytes) {
    uint32_t words[8][8] = {{0}};
    __m256 t[8];
    for (size_t i = 0; i < rows; i++) memcpy(words[i], from + i * stride, bytes);
    UNROLL for (size_t i = 0; i < 8; i++) t[i] = v8_load_words(words[i]);
    v8_transpose(t);
    for (size_t i = 0; i < (bytes + 3) / 4; i++) v8_store_words(to + i * TILE, t[i]);
}

void pack_columns(void *out, const void *x, size_t stride, size_t rows, size_t d, bool pairs) {
    const size_t bytes = d * (pairs ? 2 : sizeof(real));
    for (size_t r = 0; r < up(rows, BV_LANES); r += 8) {
        const size_t there = r < rows ? least(rows - r, 8) : 0;
        for (size_t at = 0; at < bytes; at += 32) {
            const size_t left = least(bytes - at, 32);
            const char *from = (const char *)x + r * stride + at;
            uint32_t *to = (uint32_t *)out + at / 4 * TILE + r;
            if (there < 8 || left < 32) {
                pack_part(to, from, stride, there, left);
                continue;
            }
            __m256 t[8];
            UNROLL for (size_t i = 0; i < 8; i++) t[i] =
                v8_load_words((const void *)(from + i * stride));
            v8_transpose(t);
            UNROLL for (size_t i = 0; i < 8; i++) v8_store_words(to + i * TILE, t[i]);
        }
    }
}
#else
void pack_columns(void *out, const void *x, size_t stride, size_t rows, size_t d, bool pairs) {
    const size_t step = pairs ? 4 : sizeof(real), bytes = d * (pairs ? 2 : sizeof(real));
    for (size_t r = 0; r < up(rows, BV_LANES); r++)
        for (size_t at = 0; at < bytes; at += step) {
            char *to = (char *)out + at * TILE + r * step;
            const char *from = (const char *)x + r * stride + at;
            memset(to, 0, step);
            if (r >= rows) continue;
            if (bytes - at < step)
                memcpy(to, from, bytes - at);
            else
                memcpy(to, from, step);
        }
}
#endif

/* x: rows `stride` elements apart -> [rows, width], columns from d on 0. Are all finite? */
static bool pack_reals(real *out, const real *x, size_t stride, size_t begin, size_t end,
                       size_t d) {
    const size_t width = up(d, BV_LANES);
    vreal probe = v_zero();
    for (size_t r = begin; r < end; r++) {
        const real *from = x + r * stride;
        real *to = out + r * width;
        for (size_t i = 0; i < width; i += BV_LANES) {
            const vreal value =
                i + BV_LANES <= d ? v_load(from + i) : v_load_first(from + i, d - i);
            v_store(to + i, value);
            probe = v_fma(value, v_zero(), probe);
        }
    }
    const real sum = v_sum(probe);
    return sum == sum;
}

/* Words of d elements of two rows, zeros up to width. Are all finite? */
BV_INLINE bool pair_row(uint32_t *restrict to, const uint16_t *restrict even,
                        const uint16_t *restrict odd, size_t d, size_t width) {
#if defined(BV_LEVEL_AVX512)
    const __m512i exponent = _mm512_set1_epi16(0x7f80);
    __mmask32 bad = 0;
    for (size_t i = 0; i < width; i += BV_LANES) {
        const __mmask16 mask = v_mask_first(least(d - i, BV_LANES));
        const __m512i e = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, even + i));
        const __m512i o = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, odd + i));
        const __m512i words = _mm512_or_si512(e, _mm512_slli_epi32(o, 16));
        bad |= _mm512_cmpeq_epi16_mask(_mm512_and_si512(words, exponent), exponent);
        _mm512_storeu_si512(to + i, words);
    }
#else
    uint32_t bad = 0;
    size_t i = 0;
#if defined(BV_LEVEL_AVX2)
    const __m256i exponent = _mm256_set1_epi16(0x7f80);
    __m256i infinite = _mm256_setzero_si256();
    for (; i + 8 <= d; i += 8) {
        const __m256i e = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(even + i)));
        const __m256i o = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(odd + i)));
        const __m256i words = _mm256_or_si256(e, _mm256_slli_epi32(o, 16));
        infinite = _mm256_or_si256(infinite,
                                   _mm256_cmpeq_epi16(_mm256_and_si256(words, exponent), exponent));
        _mm256_storeu_si256((void *)(to + i), words);
    }
    bad = (uint32_t)_mm256_movemask_epi8(infinite);
#endif
    for (; i < d; i++) {
        const uint32_t e = even[i], o = odd[i];
        bad |= (uint32_t)((e & 0x7f80u) == 0x7f80u) | (uint32_t)((o & 0x7f80u) == 0x7f80u);
        to[i] = e | o << 16;
    }
    for (; i < width; i++) to[i] = 0;
#endif
    return bad == 0;
}

/* The same for bf16: words of rows 2j (low) and 2j + 1, [rows / 2, width]; rows outside begin ..
 * end - 1 are 0. */
static bool pack_pairs(uint32_t *out, const uint16_t *x, size_t stride, size_t begin, size_t end,
                       size_t d) {
    static const uint16_t zeros[D_HEAD_MAX];
    const size_t width = up(d, BV_LANES);
    bool finite = true;
    for (size_t r = begin / 2; r < (end + 1) / 2; r++) {
        const uint16_t *even = 2 * r >= begin ? x + 2 * r * stride : zeros;
        const uint16_t *odd = 2 * r + 1 < end ? x + (2 * r + 1) * stride : zeros;
        finite &= pair_row(out + r * width, even, odd, d, width);
    }
    return finite;
}

bool pack_rows(void *out, const void *x, size_t stride, size_t begin, size_t end, size_t d,
               bool pairs) {
    return pairs ? pack_pairs(out, x, stride, begin, end, d)
                 : pack_reals(out, x, stride, begin, end, d);
}

word_rows read_words(void *copy, const void *x, size_t stride, size_t rows, size_t d, bool pairs) {
    const size_t step = word_bytes(pairs);
    if (!pairs || d % 2 == 0) {
        const size_t bytes = stride * (pairs ? 2 : sizeof(real));
        return (word_rows){x, bytes, step, BV_LANES * bytes};
    }
    uint16_t *to = copy;
    for (size_t r = 0; r < rows; r++) {
        memcpy(to + r * (d + 1), (const uint16_t *)x + r * stride, 2 * d);
        to[r * (d + 1) + d] = 0;
    }
    return (word_rows){copy, 2 * (d + 1), step, BV_LANES * 2 * (d + 1)};
}

/*
 * Dot products of bytes: sixteen sums of 32 bits, one a column. A step adds DOT_GROUP products to
 * each: a word of a row (that many quantized elements, the same for all columns) times a vector of
 * a panel, [16][DOT_GROUP] bytes. Sums are exact as long as they fit, so that instructions may
 * differ: AVX2 multiplies words of 16 bits, because its product of unsigned and signed bytes
 * saturates, and repairing that takes as many instructions. That of AVX-512 (vpdpbusd) does not: a
 * row is kept as unsigned bytes, 128 more than its elements, and sums begin with -128 times the sum
 * of their column, modulo 2^32. ROW_ZERO is what a 0 is in a row.
 */
#ifndef BV_KERNEL_INT8_DOT_H
#define BV_KERNEL_INT8_DOT_H

#include "kernel/lane.h"

#if defined(BV_LEVEL_AVX512)

#define DOT_GROUP 4
#define ROW_ZERO 128
typedef uint8_t row_element;
typedef __m512i vsums;
typedef __m512i vcolumns;
typedef __m512i vword;
BV_INLINE vsums v_sums_load(const int32_t *p) {
    return _mm512_loadu_si512(p);
}
BV_INLINE void v_sums_store(int32_t *p, vsums x) {
    _mm512_storeu_si512(p, x);
}
/* Sixteen sums as reals. */
BV_INLINE vreal v_sums_real(const int32_t *p) {
    return _mm512_cvtepi32_ps(v_sums_load(p));
}
BV_INLINE vcolumns v_columns(const int8_t *p) {
    return _mm512_loadu_si512(p);
}
BV_INLINE vword v_word(const void *p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
}
BV_INLINE vsums v_dot(vsums sums, vword word, vcolumns columns) {
    return _mm512_dpbusd_epi32(sums, word, columns);
}
BV_INLINE void v_row_store(row_element *p, vreal x) {
    const __m128i q = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
    _mm_storeu_si128((__m128i *)(void *)p, _mm_xor_si128(q, _mm_set1_epi8((char)ROW_ZERO)));
}

#elif defined(BV_LEVEL_AVX2)

#define DOT_GROUP 2
#define ROW_ZERO 0
typedef int16_t row_element;
typedef struct vsums {
    __m256i v[2];
} vsums;
typedef struct vcolumns {
    __m256i v[2];
} vcolumns;
typedef __m256i vword;
BV_INLINE __m256i v8_load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
BV_INLINE vsums v_sums_load(const int32_t *p) {
    return (vsums){{v8_load(p), v8_load(p + 8)}};
}
BV_INLINE void v_sums_store(int32_t *p, vsums x) {
    _mm256_storeu_si256((__m256i *)(void *)p, x.v[0]);
    _mm256_storeu_si256((__m256i *)(void *)(p + 8), x.v[1]);
}
BV_INLINE vreal v_sums_real(const int32_t *p) {
    return (vreal){{_mm256_cvtepi32_ps(v8_load(p)), _mm256_cvtepi32_ps(v8_load(p + 8))}};
}
BV_INLINE __m256i v8_widen(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
BV_INLINE vcolumns v_columns(const int8_t *p) {
    return (vcolumns){{v8_widen(p), v8_widen(p + 16)}};
}
BV_INLINE vword v_word(const void *p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
}
/* Written out, so that no two products wait in registers, of which there are few. */
BV_INLINE __m256i v8_dot(__m256i sums, __m256i word, __m256i columns) {
    __m256i product;
    __asm__("vpmaddwd %3, %2, %1\n\t"
            "vpaddd %1, %0, %0"
            : "+x"(sums), "=&x"(product)
            : "x"(word), "x"(columns));
    return sums;
}
BV_INLINE vsums v_dot(vsums sums, vword word, vcolumns columns) {
    return (vsums){{v8_dot(sums.v[0], word, columns.v[0]), v8_dot(sums.v[1], word, columns.v[1])}};
}
BV_INLINE void v_row_store(row_element *p, vreal x) {
    const __m256i low = _mm256_cvtps_epi32(x.v[0]), high = _mm256_cvtps_epi32(x.v[1]);
    const __m256i q = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)p, q);
}

#elif defined(BV_LEVEL_NEON)

#define DOT_GROUP 4
#define ROW_ZERO 0
typedef int8_t row_element;
typedef struct vsums {
    int32x4_t v[4];
} vsums;
typedef struct vcolumns {
    int8x16_t v[4];
} vcolumns;
typedef int8x16_t vword;
BV_INLINE vsums v_sums_load(const int32_t *p) {
    return (vsums){{vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)}};
}
BV_INLINE void v_sums_store(int32_t *p, vsums x) {
    for (int i = 0; i < 4; i++) vst1q_s32(p + 4 * i, x.v[i]);
}
BV_INLINE vreal v_sums_real(const int32_t *p) {
    vreal r;
    for (int i = 0; i < 4; i++) r.v[i] = vcvtq_f32_s32(vld1q_s32(p + 4 * i));
    return r;
}
BV_INLINE vcolumns v_columns(const int8_t *p) {
    return (vcolumns){{vld1q_s8(p), vld1q_s8(p + 16), vld1q_s8(p + 32), vld1q_s8(p + 48)}};
}
BV_INLINE vword v_word(const void *p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
}
/* Four products of 14 bits make a sum of 16 before it is taken up: two and two fit. */
BV_INLINE int32x4_t v4_dot(int32x4_t sums, int8x16_t word, int8x16_t columns) {
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sums, word, columns);
#else
    const int16x8_t low = vmull_s8(vget_low_s8(word), vget_low_s8(columns));
    return vpadalq_s16(sums, vpaddq_s16(low, vmull_high_s8(word, columns)));
#endif
}
BV_INLINE vsums v_dot(vsums sums, vword word, vcolumns columns) {
    for (int i = 0; i < 4; i++) sums.v[i] = v4_dot(sums.v[i], word, columns.v[i]);
    return sums;
}
BV_INLINE void v_row_store(row_element *p, vreal x) {
    int16x4_t h[4];
    for (int i = 0; i < 4; i++) h[i] = vmovn_s32(vcvtnq_s32_f32(x.v[i]));
    vst1_s8(p, vmovn_s16(vcombine_s16(h[0], h[1])));
    vst1_s8(p + 8, vmovn_s16(vcombine_s16(h[2], h[3])));
}

#else /* plain C, and f64 */

#define DOT_GROUP 4
#define ROW_ZERO 0
typedef int8_t row_element;
typedef struct vsums {
    int32_t v[BV_LANES];
} vsums;
typedef struct vcolumns {
    int8_t v[BV_LANES][DOT_GROUP];
} vcolumns;
typedef struct vword {
    int8_t v[DOT_GROUP];
} vword;
BV_INLINE vsums v_sums_load(const int32_t *p) {
    vsums x;
    memcpy(x.v, p, sizeof x.v);
    return x;
}
BV_INLINE void v_sums_store(int32_t *p, vsums x) {
    memcpy(p, x.v, sizeof x.v);
}
BV_INLINE vreal v_sums_real(const int32_t *p) {
    vreal r;
    for (int i = 0; i < BV_LANES; i++) r.v[i] = (real)p[i];
    return r;
}
BV_INLINE vcolumns v_columns(const int8_t *p) {
    vcolumns x;
    memcpy(x.v, p, sizeof x.v);
    return x;
}
BV_INLINE vword v_word(const void *p) {
    vword x;
    memcpy(x.v, p, sizeof x.v);
    return x;
}
BV_INLINE vsums v_dot(vsums sums, vword word, vcolumns columns) {
    for (int i = 0; i < BV_LANES; i++)
        for (int g = 0; g < DOT_GROUP; g++) sums.v[i] += word.v[g] * columns.v[i][g];
    return sums;
}
BV_INLINE void v_row_store(row_element *p, vreal x) {
    for (int i = 0; i < BV_LANES; i++) p[i] = (row_element)rint((double)x.v[i]);
}

#endif

#endif

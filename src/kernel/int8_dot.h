/*
 * Dot products of bytes: sixteen sums of 32 bits, one a column. A step adds DOT_STEP products to
 * each: a word of a row (that many quantized elements, the same for all columns) times vectors of a
 * panel, [16][DOT_GROUP] bytes each. Sums are exact as long as they fit, so that instructions may
 * differ.
 *
 * AVX2's product of unsigned and signed bytes saturates, so it multiplies words of 16 bits, of
 * which there are no more in a cycle than additions. So it adds before it multiplies (Winograd
 * 1968): a b + a' b' = (a' + b) (a + b') - a a' - b b' where a' and b' are two elements further
 * along k. What is to be subtracted is a number of the row, the cross sum of its elements, and one
 * of the column.
 *
 * The product of bytes of AVX-512 (vpdpbusd) does not saturate: a row is kept as unsigned bytes,
 * 128 more than its elements, and sums begin with -128 times the sum of their column. All is modulo
 * 2^32. ROW_ZERO is what a 0 is in a row.
 */
#ifndef BV_KERNEL_INT8_DOT_H
#define BV_KERNEL_INT8_DOT_H

#include "kernel/lane.h"

#if defined(BV_LEVEL_AVX512)

#define DOT_GROUP 4
#define DOT_STEP 4
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
BV_INLINE vreal v_sums_real(vsums x) {
    return _mm512_cvtepi32_ps(x);
}
BV_INLINE vcolumns v_columns(const int8_t *p) {
    return _mm512_loadu_si512(p);
}
BV_INLINE vword v_word(const void *p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
}
/* Written out: around the intrinsic gcc copies and spills sums. Where AVX-512 is emulated there is
 * only the intrinsic. */
BV_INLINE vsums v_dot(vsums sums, vword word, vcolumns columns) {
#if defined(__AVX512VNNI__)
    __asm__("vpdpbusd %[columns], %[word], %[sums]"
            : [sums] "+v"(sums)
            : [word] "v"(word), [columns] "v"(columns));
    return sums;
#else
    return _mm512_dpbusd_epi32(sums, word, columns);
#endif
}
BV_INLINE void v_row_store(row_element *p, vreal x) {
    const __m128i q = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
    _mm_storeu_si128((__m128i *)(void *)p, _mm_xor_si128(q, _mm_set1_epi8((char)ROW_ZERO)));
}

#elif defined(BV_LEVEL_AVX2)

#define DOT_GROUP 2
#define DOT_STEP 4
#define DOT_CROSSES
#define ROW_ZERO 0
typedef int16_t row_element;
typedef struct vsums {
    __m256i v[2];
} vsums;
/* Of a step's two halves, each two elements of k. */
typedef struct vcolumns {
    __m256i first[2], second[2];
} vcolumns;
typedef struct vword {
    __m256i first, second;
} vword;
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
BV_INLINE vreal v_sums_real(vsums x) {
    return (vreal){{_mm256_cvtepi32_ps(x.v[0]), _mm256_cvtepi32_ps(x.v[1])}};
}
BV_INLINE __m256i v8_widen(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
BV_INLINE vcolumns v_columns(const int8_t *p) {
    return (vcolumns){{v8_widen(p), v8_widen(p + 16)}, {v8_widen(p + 32), v8_widen(p + 48)}};
}
BV_INLINE vword v_word(const void *p) {
    const float *words =
        p; /* of reals: gcc would load integers together, and then take them apart */
    return (vword){_mm256_castps_si256(_mm256_broadcast_ss(words)),
                   _mm256_castps_si256(_mm256_broadcast_ss(words + 1))};
}
/* Written out, so that no more waits in registers, of which there are few: two factors. */
BV_INLINE __m256i v8_dot(__m256i sums, vword word, __m256i first, __m256i second) {
    __m256i x, y;
    __asm__("vpaddw %[first], %[word2], %[x]\n\t"
            "vpaddw %[second], %[word], %[y]\n\t"
            "vpmaddwd %[x], %[y], %[x]\n\t"
            "vpaddd %[x], %[sums], %[sums]"
            : [sums] "+x"(sums), [x] "=&x"(x), [y] "=&x"(y)
            : [word] "x"(word.first), [word2] "x"(word.second), [first] "x"(first),
              [second] "x"(second));
    return sums;
}
BV_INLINE vsums v_dot(vsums sums, vword word, vcolumns columns) {
    return (vsums){{v8_dot(sums.v[0], word, columns.first[0], columns.second[0]),
                    v8_dot(sums.v[1], word, columns.first[1], columns.second[1])}};
}
BV_INLINE vsums v_sums_less(vsums sums, int32_t x) {
    const __m256i less = _mm256_set1_epi32(x);
    return (vsums){{_mm256_sub_epi32(sums.v[0], less), _mm256_sub_epi32(sums.v[1], less)}};
}
/* Of elements 4 q + i and 4 q + i + 2, i = 0, 1; k is a multiple of 16. Each product comes twice.
 */
BV_INLINE int32_t cross_sum(const row_element *row, size_t k) {
    __m256i sums = _mm256_setzero_si256();
    for (size_t p = 0; p < k; p += 16) {
        const __m256i x = v8_load(row + p), turned = _mm256_shuffle_epi32(x, 0xb1);
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(x, turned));
    }
    int32_t lanes[8];
    _mm256_storeu_si256((__m256i *)(void *)lanes, sums);
    return lanes[0] + lanes[2] + lanes[4] + lanes[6];
}
BV_INLINE void v_row_store(row_element *p, vreal x) {
    const __m256i low = _mm256_cvtps_epi32(x.v[0]), high = _mm256_cvtps_epi32(x.v[1]);
    const __m256i q = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)p, q);
}

#elif defined(BV_LEVEL_NEON)

#define DOT_GROUP 4
#define DOT_STEP 4
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
BV_INLINE vreal v_sums_real(vsums x) {
    vreal r;
    for (int i = 0; i < 4; i++) r.v[i] = vcvtq_f32_s32(x.v[i]);
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
#define DOT_STEP 4
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
BV_INLINE vreal v_sums_real(vsums x) {
    vreal r;
    for (int i = 0; i < BV_LANES; i++) r.v[i] = (real)x.v[i];
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

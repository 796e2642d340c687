/*
 * Sixteen virtual lanes: the vector that every kernel is written over, once.
 *
 * A `vreal` holds 16 reals: one register at AVX-512, two at AVX2, four at NEON, an array in plain C
 * and at the f64 level (where a real is a double). Each operation is IEEE and rounded once, fused
 * only where it says fma, so that all f32 levels give equal bits. Only src/kernel/lanes/ includes
 * this file; CMake compiles those files once a level with BV_LEVEL and BV_LEVEL_<NAME> defined.
 */
#ifndef BV_KERNEL_LANE_H
#define BV_KERNEL_LANE_H

#include "kernel/dtype.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(BV_LEVEL_AVX512) || defined(BV_LEVEL_AVX2)
#include <immintrin.h>
#elif defined(BV_LEVEL_NEON)
#include <arm_neon.h>
#endif

#define BV_LANES 16
#define BV_LANES_LEFT(i, end) ((end) - (i) < BV_LANES ? (end) - (i) : BV_LANES)
/* Where a vector is a register everything is inlined. Where it is an array of 16, that would take
 * the compiler minutes and gain nothing. */
#if defined(BV_LEVEL_AVX512) || defined(BV_LEVEL_AVX2) || defined(BV_LEVEL_NEON)
#define BV_INLINE static inline __attribute__((always_inline))
#else
#define BV_INLINE static inline
#endif

#define BV_JOIN_(a, b) a##_##b
#define BV_JOIN(a, b) BV_JOIN_(a, b)
/* The name of a level's own function: BV_NAME(bv_norm_table) is bv_norm_table_avx512. */
#define BV_NAME(name) BV_JOIN(name, BV_LEVEL)

#ifdef BV_LEVEL_F64
typedef double real;
#define BV_REAL_TYPE BV_F64
#define real_fma(a, b, c) __builtin_fma(a, b, c)
#define real_sqrt(a) __builtin_sqrt(a)
#else
typedef float real;
#define BV_REAL_TYPE BV_F32
#define real_fma(a, b, c) __builtin_fmaf(a, b, c)
#define real_sqrt(a) __builtin_sqrtf(a)
#endif

/* ---- bf16: round to nearest even; denormal inputs and results become (signed) zero ---- */

BV_INLINE uint16_t bf16_from_f32(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    if ((u & 0x7f800000u) == 0) return (uint16_t)(u >> 16 & 0x8000u);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u); /* quiet NaN */
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

BV_INLINE float f32_from_bf16(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    if ((u & 0x7f800000u) == 0) u &= 0x80000000u;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* ---- the vector ---- */

#if defined(BV_LEVEL_AVX512)

typedef __m512 vreal;
BV_INLINE vreal v_zero(void) {
    return _mm512_setzero_ps();
}
BV_INLINE vreal v_set(real x) {
    return _mm512_set1_ps(x);
}
BV_INLINE vreal v_load(const real *p) {
    return _mm512_loadu_ps(p);
}
BV_INLINE void v_store(real *p, vreal x) {
    _mm512_storeu_ps(p, x);
}
BV_INLINE __mmask16 v_mask_first(size_t n) {
    return (__mmask16)((1u << n) - 1u);
}
/* Masks cost more than the question whether they are needed. */
BV_INLINE vreal v_load_first(const real *p, size_t n) {
    return n == BV_LANES ? v_load(p) : _mm512_maskz_loadu_ps(v_mask_first(n), p);
}
BV_INLINE void v_store_first(real *p, vreal x, size_t n) {
    if (n == BV_LANES)
        v_store(p, x);
    else
        _mm512_mask_storeu_ps(p, v_mask_first(n), x);
}
BV_INLINE vreal v_add(vreal a, vreal b) {
    return _mm512_add_ps(a, b);
}
BV_INLINE vreal v_sub(vreal a, vreal b) {
    return _mm512_sub_ps(a, b);
}
BV_INLINE vreal v_mul(vreal a, vreal b) {
    return _mm512_mul_ps(a, b);
}
BV_INLINE vreal v_div(vreal a, vreal b) {
    return _mm512_div_ps(a, b);
}
BV_INLINE vreal v_fma(vreal a, vreal b, vreal c) {
    return _mm512_fmadd_ps(a, b, c);
}
BV_INLINE vreal v_sqrt(vreal a) {
    return _mm512_sqrt_ps(a);
}
BV_INLINE vreal v_abs(vreal a) {
    return _mm512_abs_ps(a);
}
/* a > b ? a : b, so b where either is NaN. */
BV_INLINE vreal v_max(vreal a, vreal b) {
    return _mm512_max_ps(a, b);
}
BV_INLINE vreal v_min(vreal a, vreal b) {
    return _mm512_min_ps(a, b);
}
BV_INLINE vreal v_round(vreal a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a < b ? x : y (y where either is NaN). */
BV_INLINE vreal v_if_less(vreal a, vreal b, vreal x, vreal y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
/* Lanes 0..n-1 of x, the rest of y. */
BV_INLINE vreal v_first(size_t n, vreal x, vreal y) {
    return _mm512_mask_blend_ps(v_mask_first(n), y, x);
}
/* The 32 bits of each lane, for bit tricks on f32; BV_LANES words. */
BV_INLINE void v_bits_store(uint32_t *p, vreal x) {
    _mm512_storeu_si512(p, _mm512_castps_si512(x));
}
/* x 2^n, rounded once, for integral n; a NaN for a NaN x. */
BV_INLINE vreal v_scale(vreal x, vreal n) {
    return _mm512_scalef_ps(x, n);
}
/* p 2^n for the integral n of z = n + 1.5 2^23, if it is a normal number. */
BV_INLINE vreal v_add_exponent(vreal p, vreal z) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(z), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}
/* As reals: -0 + x 1 + 0 -0 is x, and the dot takes what is denormal as 0. */
BV_INLINE vreal v_from_bf16(__m256i halves) {
    const __m512i one = _mm512_set1_epi32((int)0x80003f80u);
    return _mm512_dpbf16_ps(_mm512_set1_ps(-0.0f), (__m512bh)_mm512_cvtepu16_epi32(halves),
                            (__m512bh)one);
}
BV_INLINE vreal v_load_bf16(const uint16_t *p) {
    return v_from_bf16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
BV_INLINE void v_store_bf16(uint16_t *p, vreal x) {
    _mm256_storeu_si256((__m256i *)(void *)p, (__m256i)_mm512_cvtneps_pbh(x));
}
BV_INLINE vreal v_load_bf16_first(const uint16_t *p, size_t n) {
    if (n == BV_LANES) return v_load_bf16(p);
    return v_from_bf16(_mm256_maskz_loadu_epi16(v_mask_first(n), p));
}
BV_INLINE void v_store_bf16_first(uint16_t *p, vreal x, size_t n) {
    if (n == BV_LANES)
        v_store_bf16(p, x);
    else
        _mm256_mask_storeu_epi16(p, v_mask_first(n), (__m256i)_mm512_cvtneps_pbh(x));
}
/* Fixed tree: lane i + lane i+8, then +4, +2, +1. */
BV_INLINE real v_sum(vreal x) {
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
BV_INLINE real v_largest(vreal x) {
    return _mm512_reduce_max_ps(x);
}

#elif defined(BV_LEVEL_AVX2)

typedef struct vreal {
    __m256 v[2];
} vreal;
/* Written out, not as a loop: the compiler then sees registers from the start, not an array in
 * memory, and needs half its time for files of many vectors. */
#define V2_HALF(n, expression)                                                                     \
    {                                                                                              \
        enum { i = n };                                                                            \
        r_.v[i] = (expression);                                                                    \
    }
#define V2(expression)                                                                             \
    vreal r_;                                                                                      \
    V2_HALF(0, expression)                                                                         \
    V2_HALF(1, expression)                                                                         \
    return r_
BV_INLINE vreal v_zero(void) {
    V2(_mm256_setzero_ps());
}
BV_INLINE vreal v_set(real x) {
    V2(_mm256_set1_ps(x));
}
BV_INLINE vreal v_load(const real *p) {
    V2(_mm256_loadu_ps(p + 8 * i));
}
BV_INLINE void v_store(real *p, vreal x) {
    _mm256_storeu_ps(p, x.v[0]);
    _mm256_storeu_ps(p + 8, x.v[1]);
}
BV_INLINE vreal v_add(vreal a, vreal b) {
    V2(_mm256_add_ps(a.v[i], b.v[i]));
}
BV_INLINE vreal v_sub(vreal a, vreal b) {
    V2(_mm256_sub_ps(a.v[i], b.v[i]));
}
BV_INLINE vreal v_mul(vreal a, vreal b) {
    V2(_mm256_mul_ps(a.v[i], b.v[i]));
}
BV_INLINE vreal v_div(vreal a, vreal b) {
    V2(_mm256_div_ps(a.v[i], b.v[i]));
}
BV_INLINE vreal v_fma(vreal a, vreal b, vreal c) {
    V2(_mm256_fmadd_ps(a.v[i], b.v[i], c.v[i]));
}
BV_INLINE vreal v_sqrt(vreal a) {
    V2(_mm256_sqrt_ps(a.v[i]));
}
BV_INLINE vreal v_abs(vreal a) {
    V2(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v[i]));
}
BV_INLINE vreal v_max(vreal a, vreal b) {
    V2(_mm256_max_ps(a.v[i], b.v[i]));
}
BV_INLINE vreal v_min(vreal a, vreal b) {
    V2(_mm256_min_ps(a.v[i], b.v[i]));
}
BV_INLINE vreal v_round(vreal a) {
    V2(_mm256_round_ps(a.v[i], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
BV_INLINE vreal v_if_less(vreal a, vreal b, vreal x, vreal y) {
    V2(_mm256_blendv_ps(y.v[i], x.v[i], _mm256_cmp_ps(a.v[i], b.v[i], _CMP_LT_OQ)));
}
BV_INLINE vreal v_first(size_t n, vreal x, vreal y) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    V2(_mm256_blendv_ps(
        y.v[i], x.v[i],
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)n - 8 * i), lane))));
}
BV_INLINE void v_bits_store(uint32_t *p, vreal x) {
    memcpy(p, &x, 64);
}
/* x 2^n, rounded once, for x of 1/2 .. 2 and integral n of -200 .. 200: the first of two factors is
 * exact. A NaN for a NaN x. */
BV_INLINE vreal v_scale(vreal x, vreal n) {
    const __m256i bias = _mm256_set1_epi32(127);
    for (int i = 0; i < 2; i++) {
        const __m256i whole = _mm256_cvtps_epi32(n.v[i]), half = _mm256_srai_epi32(whole, 1);
        const __m256i rest = _mm256_sub_epi32(whole, half);
        const __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
        const __m256i b = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
        x.v[i] = _mm256_mul_ps(x.v[i], _mm256_castsi256_ps(a));
        x.v[i] = _mm256_mul_ps(x.v[i], _mm256_castsi256_ps(b));
    }
    return x;
}
BV_INLINE vreal v_add_exponent(vreal p, vreal z) {
    V2(_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p.v[i]),
                                            _mm256_slli_epi32(_mm256_castps_si256(z.v[i]), 23))));
}
BV_INLINE __m256 v8_from_bf16(__m128i h) {
    const __m256i u = _mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16);
    const __m256i exponent = _mm256_and_si256(u, _mm256_set1_epi32(0x7f800000));
    const __m256i tiny = _mm256_cmpeq_epi32(exponent, _mm256_setzero_si256());
    const __m256i kept = _mm256_andnot_si256(tiny, _mm256_set1_epi32(-1));
    const __m256i sign = _mm256_set1_epi32((int)0x80000000);
    return _mm256_castsi256_ps(_mm256_and_si256(u, _mm256_or_si256(kept, sign)));
}
BV_INLINE __m128i v8_to_bf16(__m256 x) {
    const __m256i u = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i exponent = _mm256_and_si256(u, _mm256_set1_epi32(0x7f800000));
    const __m256i tiny = _mm256_cmpeq_epi32(exponent, _mm256_setzero_si256());
    r = _mm256_blendv_epi8(r, _mm256_and_si256(u, _mm256_set1_epi32((int)0x80000000)), tiny);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    r = _mm256_blendv_epi8(r, _mm256_or_si256(u, _mm256_set1_epi32(0x400000)), nan);
    r = _mm256_srli_epi32(r, 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}
BV_INLINE vreal v_load_bf16(const uint16_t *p) {
    V2(v8_from_bf16(_mm_loadu_si128((const __m128i *)(const void *)(p + 8 * i))));
}
BV_INLINE void v_store_bf16(uint16_t *p, vreal x) {
    for (int i = 0; i < 2; i++)
        _mm_storeu_si128((__m128i *)(void *)(p + 8 * i), v8_to_bf16(x.v[i]));
}
BV_INLINE real v_sum(vreal x) {
    const __m256 a = _mm256_add_ps(x.v[0], x.v[1]);
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
BV_INLINE real v_largest(vreal x) {
    const __m256 a = _mm256_max_ps(x.v[0], x.v[1]);
    const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(c, _mm_shuffle_ps(c, c, 1)));
}
#undef V2
#undef V2_HALF

BV_INLINE __m256 v8_load_words(const uint32_t *p) {
    return _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
BV_INLINE void v8_store_words(uint32_t *p, __m256 x) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_castps_si256(x));
}
/* 8 x 8 words. */
BV_INLINE void v8_transpose(__m256 x[8]) {
    __m256 a[8], b[8];
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    }
    _Pragma("GCC unroll 2") for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {
        x[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        x[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}

#elif defined(BV_LEVEL_NEON)

typedef struct vreal {
    float32x4_t v[4];
} vreal;
#define V4(expression)                                                                             \
    vreal r_;                                                                                      \
    for (int i = 0; i < 4; i++) r_.v[i] = (expression);                                            \
    return r_
BV_INLINE vreal v_zero(void) {
    V4(vdupq_n_f32(0));
}
BV_INLINE vreal v_set(real x) {
    V4(vdupq_n_f32(x));
}
BV_INLINE vreal v_load(const real *p) {
    V4(vld1q_f32(p + 4 * i));
}
BV_INLINE void v_store(real *p, vreal x) {
    for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, x.v[i]);
}
BV_INLINE vreal v_add(vreal a, vreal b) {
    V4(vaddq_f32(a.v[i], b.v[i]));
}
BV_INLINE vreal v_sub(vreal a, vreal b) {
    V4(vsubq_f32(a.v[i], b.v[i]));
}
BV_INLINE vreal v_mul(vreal a, vreal b) {
    V4(vmulq_f32(a.v[i], b.v[i]));
}
BV_INLINE vreal v_div(vreal a, vreal b) {
    V4(vdivq_f32(a.v[i], b.v[i]));
}
BV_INLINE vreal v_fma(vreal a, vreal b, vreal c) {
    V4(vfmaq_f32(c.v[i], a.v[i], b.v[i]));
}
BV_INLINE vreal v_sqrt(vreal a) {
    V4(vsqrtq_f32(a.v[i]));
}
BV_INLINE vreal v_abs(vreal a) {
    V4(vabsq_f32(a.v[i]));
}
BV_INLINE vreal v_max(vreal a, vreal b) {
    V4(vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
BV_INLINE vreal v_min(vreal a, vreal b) {
    V4(vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]));
}
BV_INLINE vreal v_round(vreal a) {
    V4(vrndnq_f32(a.v[i]));
}
BV_INLINE vreal v_if_less(vreal a, vreal b, vreal x, vreal y) {
    V4(vbslq_f32(vcltq_f32(a.v[i], b.v[i]), x.v[i], y.v[i]));
}
BV_INLINE vreal v_first(size_t n, vreal x, vreal y) {
    const int32_t lanes[4] = {0, 1, 2, 3};
    const int32x4_t lane = vld1q_s32(lanes);
    V4(vbslq_f32(vcgtq_s32(vdupq_n_s32((int)n - 4 * i), lane), x.v[i], y.v[i]));
}
BV_INLINE void v_bits_store(uint32_t *p, vreal x) {
    memcpy(p, &x, 64);
}
BV_INLINE vreal v_pow2(vreal n) {
    V4(vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n.v[i]), vdupq_n_s32(127)), 23)));
}
BV_INLINE vreal v_add_exponent(vreal p, vreal z) {
    V4(vreinterpretq_f32_s32(
        vaddq_s32(vreinterpretq_s32_f32(p.v[i]), vshlq_n_s32(vreinterpretq_s32_f32(z.v[i]), 23))));
}
BV_INLINE real v_sum(vreal x) {
    const float32x4_t b = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
    const float32x2_t c = vadd_f32(vget_low_f32(b), vget_high_f32(b));
    return vget_lane_f32(c, 0) + vget_lane_f32(c, 1);
}
BV_INLINE real v_largest(vreal x) {
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.v[0], x.v[1]), vmaxq_f32(x.v[2], x.v[3])));
}
#undef V4

#else /* plain C, and f64 */

typedef struct vreal {
    real v[16];
} vreal;
#define V16(expression)                                                                            \
    vreal r_;                                                                                      \
    for (int i = 0; i < 16; i++) r_.v[i] = (expression);                                           \
    return r_
BV_INLINE vreal v_zero(void) {
    V16(0);
}
BV_INLINE vreal v_set(real x) {
    V16(x);
}
BV_INLINE vreal v_load(const real *p) {
    V16(p[i]);
}
BV_INLINE void v_store(real *p, vreal x) {
    memcpy(p, x.v, sizeof x.v);
}
BV_INLINE vreal v_load_first(const real *p, size_t n) {
    vreal r = {{0}};
    memcpy(r.v, p, n * sizeof *p);
    return r;
}
BV_INLINE void v_store_first(real *p, vreal x, size_t n) {
    memcpy(p, x.v, n * sizeof *p);
}
BV_INLINE vreal v_add(vreal a, vreal b) {
    V16(a.v[i] + b.v[i]);
}
BV_INLINE vreal v_sub(vreal a, vreal b) {
    V16(a.v[i] - b.v[i]);
}
BV_INLINE vreal v_mul(vreal a, vreal b) {
    V16(a.v[i] * b.v[i]);
}
BV_INLINE vreal v_div(vreal a, vreal b) {
    V16(a.v[i] / b.v[i]);
}
BV_INLINE vreal v_fma(vreal a, vreal b, vreal c) {
    V16(real_fma(a.v[i], b.v[i], c.v[i]));
}
BV_INLINE vreal v_sqrt(vreal a) {
    V16(real_sqrt(a.v[i]));
}
BV_INLINE vreal v_abs(vreal a) {
    V16(a.v[i] < 0 || a.v[i] == 0 ? -a.v[i] + 0 : a.v[i]);
}
BV_INLINE vreal v_max(vreal a, vreal b) {
    V16(a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}
BV_INLINE vreal v_min(vreal a, vreal b) {
    V16(a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
}
BV_INLINE vreal v_round(vreal a) {
    V16((real)rint((double)a.v[i]));
}
BV_INLINE vreal v_if_less(vreal a, vreal b, vreal x, vreal y) {
    V16(a.v[i] < b.v[i] ? x.v[i] : y.v[i]);
}
BV_INLINE vreal v_first(size_t n, vreal x, vreal y) {
    V16((size_t)i < n ? x.v[i] : y.v[i]);
}
BV_INLINE void v_bits_store(uint32_t *p, vreal x) {
    for (int i = 0; i < 16; i++) {
        const float f = (float)x.v[i];
        memcpy(p + i, &f, 4);
    }
}
BV_INLINE vreal v_pow2(vreal n) {
    V16((real)ldexp(1.0, (int)n.v[i]));
}
#ifndef BV_LEVEL_F64
BV_INLINE vreal v_add_exponent(vreal p, vreal z) {
    for (int i = 0; i < 16; i++) {
        uint32_t bits, exponent;
        memcpy(&bits, &p.v[i], 4);
        memcpy(&exponent, &z.v[i], 4);
        bits += exponent << 23;
        memcpy(&p.v[i], &bits, 4);
    }
    return p;
}
#endif
BV_INLINE real v_sum(vreal x) {
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) x.v[i] = x.v[i] + x.v[i + half];
    return x.v[0];
}
BV_INLINE real v_largest(vreal x) {
    real m = x.v[0];
    for (int i = 1; i < 16; i++) m = m > x.v[i] ? m : x.v[i];
    return m;
}
#undef V16

#endif

/* ---- the same at several levels ---- */

#if defined(BV_LEVEL_AVX2) || defined(BV_LEVEL_NEON)
BV_INLINE vreal v_load_first(const real *p, size_t n) {
    if (n == BV_LANES) return v_load(p);
    real t[16] = {0};
    memcpy(t, p, n * sizeof *p);
    return v_load(t);
}
BV_INLINE void v_store_first(real *p, vreal x, size_t n) {
    if (n == BV_LANES) {
        v_store(p, x);
        return;
    }
    real t[16];
    v_store(t, x);
    memcpy(p, t, n * sizeof *p);
}
#endif
#if !defined(BV_LEVEL_AVX512) && !defined(BV_LEVEL_AVX2)
BV_INLINE vreal v_load_bf16(const uint16_t *p) {
    real t[16];
    for (int i = 0; i < 16; i++) t[i] = f32_from_bf16(p[i]);
    return v_load(t);
}
BV_INLINE void v_store_bf16(uint16_t *p, vreal x) {
    real t[16];
    v_store(t, x);
    for (int i = 0; i < 16; i++) p[i] = bf16_from_f32((float)t[i]);
}
#endif
#if !defined(BV_LEVEL_AVX512)
BV_INLINE vreal v_load_bf16_first(const uint16_t *p, size_t n) {
    if (n == BV_LANES) return v_load_bf16(p);
    uint16_t t[16] = {0};
    memcpy(t, p, n * 2);
    return v_load_bf16(t);
}
BV_INLINE void v_store_bf16_first(uint16_t *p, vreal x, size_t n) {
    if (n == BV_LANES) {
        v_store_bf16(p, x);
        return;
    }
    uint16_t t[16];
    v_store_bf16(t, x);
    memcpy(p, t, n * 2);
}
#endif

/* What bf16 makes of x. */
BV_INLINE vreal v_rounded_to_bf16(vreal x) {
#if defined(BV_LEVEL_AVX512)
    return v_from_bf16((__m256i)_mm512_cvtneps_pbh(x));
#elif defined(BV_LEVEL_AVX2)
    for (int q = 0; q < 2; q++) x.v[q] = v8_from_bf16(v8_to_bf16(x.v[q]));
    return x;
#else
    uint16_t halves[BV_LANES];
    v_store_bf16(halves, x);
    return v_load_bf16(halves);
#endif
}

/* Words of two rows rounded to bf16; the even one is the lower half. */
BV_INLINE void v_store_pairs(uint32_t *out, vreal even, vreal odd) {
#if defined(BV_LEVEL_AVX512)
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi16(order, both));
#elif defined(BV_LEVEL_AVX2)
    for (int q = 0; q < 2; q++) {
        const __m128i e = v8_to_bf16(even.v[q]), o = v8_to_bf16(odd.v[q]);
        _mm_storeu_si128((void *)(out + 8 * q), _mm_unpacklo_epi16(e, o));
        _mm_storeu_si128((void *)(out + 8 * q + 4), _mm_unpackhi_epi16(e, o));
    }
#else
    uint16_t e[BV_LANES], o[BV_LANES];
    v_store_bf16(e, even);
    v_store_bf16(o, odd);
    for (int i = 0; i < BV_LANES; i++) out[i] = e[i] | (uint32_t)o[i] << 16;
#endif
}

/* Sixteen elements at index `at` of an array whose type is known at compile time after inlining. */
BV_INLINE vreal v_get(const void *base, bv_dtype type, size_t at) {
    return type == BV_BF16 ? v_load_bf16((const uint16_t *)base + at)
                           : v_load((const real *)base + at);
}
BV_INLINE void v_put(void *base, bv_dtype type, size_t at, vreal x) {
    if (type == BV_BF16)
        v_store_bf16((uint16_t *)base + at, x);
    else
        v_store((real *)base + at, x);
}
/* The same for the first n <= 16 elements; absent lanes are 0. */
BV_INLINE vreal v_get_first(const void *base, bv_dtype type, size_t at, size_t n) {
    return type == BV_BF16 ? v_load_bf16_first((const uint16_t *)base + at, n)
                           : v_load_first((const real *)base + at, n);
}
BV_INLINE void v_put_first(void *base, bv_dtype type, size_t at, vreal x, size_t n) {
    if (type == BV_BF16)
        v_store_bf16_first((uint16_t *)base + at, x, n);
    else
        v_store_first((real *)base + at, x, n);
}

#endif

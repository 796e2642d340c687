/*
 * Sixteen random numbers at once: bv_random (base/random.h) for counters that differ in their last
 * word. A compiler puts the products of such a loop in order after each multiplication; here they
 * stay where they are, in lanes of 64 bits, of which only the lower halves are read on.
 */
#ifndef BV_KERNEL_LANES_RANDOM_H
#define BV_KERNEL_LANES_RANDOM_H

#include "base/random.h"
#include "kernel/lane.h"

#if defined(BV_LEVEL_AVX512) || defined(BV_LEVEL_AVX2)

#if defined(BV_LEVEL_AVX512)
#define WIDE_LANES 8
typedef __m512i vwide;
BV_INLINE vwide v_wide(uint32_t x) {
    return _mm512_set1_epi64(x);
}
BV_INLINE vwide v_wide_load(const uint64_t *p) {
    return _mm512_loadu_si512(p);
}
BV_INLINE vwide v_wide_product(vwide a, vwide b) {
    return _mm512_mul_epu32(a, b);
}
/* The upper half of a, xor b, xor c. */
BV_INLINE vwide v_wide_mix(vwide a, vwide b, vwide c) {
    return _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(a, 32), b), c);
}
BV_INLINE void v_wide_store(uint32_t *p, vwide first, vwide second) {
    _mm256_storeu_si256((void *)p, _mm512_cvtepi64_epi32(first));
    _mm256_storeu_si256((void *)(p + 8), _mm512_cvtepi64_epi32(second));
}
static const uint8_t wide_order[2 * WIDE_LANES] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                   8, 9, 10, 11, 12, 13, 14, 15};
#else
#define WIDE_LANES 4
typedef __m256i vwide;
BV_INLINE vwide v_wide(uint32_t x) {
    return _mm256_set1_epi64x(x);
}
BV_INLINE vwide v_wide_load(const uint64_t *p) {
    return _mm256_loadu_si256((const void *)p);
}
BV_INLINE vwide v_wide_product(vwide a, vwide b) {
    return _mm256_mul_epu32(a, b);
}
BV_INLINE vwide v_wide_mix(vwide a, vwide b, vwide c) {
    return _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(a, 32), b), c);
}
BV_INLINE void v_wide_store(uint32_t *p, vwide first, vwide second) {
    const __m256 x = _mm256_castsi256_ps(first), y = _mm256_castsi256_ps(second);
    _mm256_storeu_ps((float *)(void *)p, _mm256_shuffle_ps(x, y, 0x88));
}
/* Of two registers, so that v_wide_store puts them in order. */
static const uint8_t wide_order[2 * WIDE_LANES] = {0, 1, 4, 5, 2, 3, 6, 7};
#endif

/* words[w][i]: word w of bv_random(seed, purpose, site, step, a, b + i * b_step). */
BV_INLINE void v_random(uint64_t seed, bv_random_purpose purpose, uint32_t site, uint32_t step,
                        uint32_t a, uint32_t b, uint32_t b_step, uint32_t words[4][BV_LANES]) {
    const vwide m0 = v_wide(0xD2511F53u), m1 = v_wide(0xCD9E8D57u);
    for (uint32_t i = 0; i < BV_LANES; i += 2 * WIDE_LANES) {
        uint64_t last[2 * WIDE_LANES];
        for (size_t k = 0; k < 2 * WIDE_LANES; k++) last[k] = b + (i + wide_order[k]) * b_step;
        vwide c[4][2];
        for (size_t k = 0; k < 2; k++) {
            c[0][k] = v_wide((uint32_t)purpose << 24 | (site & 0xffffffu));
            c[1][k] = v_wide(step), c[2][k] = v_wide(a);
            c[3][k] = v_wide_load(last + k * WIDE_LANES);
        }
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
            _Pragma("GCC unroll 2") for (size_t k = 0; k < 2; k++) {
                const vwide p0 = v_wide_product(m0, c[0][k]), p1 = v_wide_product(m1, c[2][k]);
                c[0][k] = v_wide_mix(p1, c[1][k], v_wide(k0)), c[1][k] = p1;
                c[2][k] = v_wide_mix(p0, c[3][k], v_wide(k1)), c[3][k] = p0;
            }
        for (size_t w = 0; w < 4; w++) v_wide_store(words[w] + i, c[w][0], c[w][1]);
    }
}

#else

BV_INLINE void v_random(uint64_t seed, bv_random_purpose purpose, uint32_t site, uint32_t step,
                        uint32_t a, uint32_t b, uint32_t b_step, uint32_t words[4][BV_LANES]) {
    for (uint32_t i = 0; i < BV_LANES; i++) {
        const bv_random4 r = bv_random(seed, purpose, site, step, a, b + i * b_step);
        for (size_t w = 0; w < 4; w++) words[w][i] = r.v[w];
    }
}

#endif

/* Where a word as bv_uniform_f32 is at least p: x, else 0. Upper 24 bits are exact as reals. */
BV_INLINE vreal v_keep(const uint32_t words[BV_LANES], double p, vreal x) {
    real upper[BV_LANES];
    for (size_t i = 0; i < BV_LANES; i++) upper[i] = (real)(int32_t)(words[i] >> 8);
    return v_if_less(v_load(upper), v_set((real)(float)p * (real)0x1p24), v_zero(), x);
}

#endif

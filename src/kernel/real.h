/*
 * Elementary functions on vectors of 16 lanes: ours, so that bits do not depend on a C library.
 * f32: polynomials of fused multiply-adds, error below 2 ulp (Cephes' coefficients, Moshier 1989).
 * f64 is the reference of the tests and asks the C library.
 */
#ifndef BV_KERNEL_REAL_H
#define BV_KERNEL_REAL_H

#include "kernel/lane.h"

#ifdef BV_LEVEL_F64

BV_INLINE vreal v_exp(vreal x) {
    for (int i = 0; i < BV_LANES; i++) x.v[i] = exp(x.v[i]);
    return x;
}
BV_INLINE vreal v_exp2_near(vreal x) {
    for (int i = 0; i < BV_LANES; i++) x.v[i] = exp2(x.v[i]);
    return x;
}
BV_INLINE vreal v_tanh(vreal x) {
    for (int i = 0; i < BV_LANES; i++) x.v[i] = tanh(x.v[i]);
    return x;
}

#else

/* exp(x) / 2^n for the n nearest to x / ln 2. */
BV_INLINE vreal v_exp_rest(vreal x, vreal n) {
    vreal r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vreal p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    return v_add(v_fma(p, v_mul(r, r), r), v_set(1.0f));
}

#if defined(BV_LEVEL_AVX2)
/* Any arguments. Rare, so out of line. */
static __attribute__((noinline, cold, unused)) void exp_far(float x[BV_LANES]) {
    const vreal y = v_min(v_set(89.0f), v_max(v_set(-104.0f), v_load(x)));
    const vreal n = v_round(v_mul(y, v_set(1.44269504088896341f)));
    v_store(x, v_scale(v_exp_rest(y, n), n));
}

/* Are all results normal numbers? */
BV_INLINE bool exp_near(vreal x) {
    const vreal size = v_abs(x);
    const __m256 limit = _mm256_set1_ps(86.0f);
    const __m256 low = _mm256_cmp_ps(size.v[0], limit, _CMP_LT_OQ);
    const __m256 high = _mm256_cmp_ps(size.v[1], limit, _CMP_LT_OQ);
    return _mm256_movemask_ps(_mm256_and_ps(low, high)) == 0xff;
}
#endif

/* Below -104 the result is 0, above 89 infinite; a NaN stays. */
BV_INLINE vreal v_exp(vreal x) {
#if defined(BV_LEVEL_AVX2)
    if (__builtin_expect(!exp_near(x), 0)) {
        float t[BV_LANES];
        v_store(t, x);
        exp_far(t);
        return v_load(t);
    }
    const vreal n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    vreal p = v_exp_rest(x, n);
    for (int i = 0; i < 2; i++) {
        const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n.v[i]), 23);
        const __m256i bits = _mm256_add_epi32(_mm256_castps_si256(p.v[i]), exponent);
        p.v[i] = _mm256_castsi256_ps(bits);
    }
    return p;
#elif defined(BV_LEVEL_AVX512)
    x = v_min(v_set(89.0f), v_max(v_set(-104.0f), x));
    const vreal n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    return v_scale(v_exp_rest(x, n), n);
#else
    x = v_if_less(x, v_set(-104.0f), v_set(-104.0f), x);
    x = v_if_less(v_set(89.0f), x, v_set(89.0f), x);
    vreal n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    n = v_if_less(v_abs(n), v_set(1000.0f), n, v_zero()); /* NaN: any n will do */
    const vreal p = v_exp_rest(x, n);
    /* Two factors, so that results may be denormal or infinite. */
    const vreal half = v_round(v_mul(n, v_set(0.5f)));
    return v_mul(v_mul(p, v_pow2(half)), v_pow2(v_sub(n, half)));
#endif
}

/* 2^x for x of -125 .. 125, beyond them that of the nearer end. No NaN for a NaN. */
BV_INLINE vreal v_exp2_near(vreal x) {
    const vreal whole = v_set(0x1.8p23f); /* added, it leaves no place for a fraction */
    x = v_min(v_set(125.0f), v_max(v_set(-125.0f), x));
    const vreal z = v_add(x, whole), r = v_sub(x, v_sub(z, whole));
    vreal p = v_set(1.535336188319500e-4f);
    p = v_fma(p, r, v_set(1.339887440266574e-3f));
    p = v_fma(p, r, v_set(9.618437357674640e-3f));
    p = v_fma(p, r, v_set(5.550332471162809e-2f));
    p = v_fma(p, r, v_set(2.402264791363012e-1f));
    p = v_fma(p, r, v_set(6.931472028550421e-1f));
    return v_add_exponent(v_fma(p, r, v_set(1.0f)), z);
}

BV_INLINE vreal v_tanh(vreal x) {
    const vreal z = v_mul(x, x);
    vreal p = v_set(-5.70498872745e-3f);
    p = v_fma(p, z, v_set(2.06390887954e-2f));
    p = v_fma(p, z, v_set(-5.37397155531e-2f));
    p = v_fma(p, z, v_set(1.33314422036e-1f));
    p = v_fma(p, z, v_set(-3.33332819422e-1f));
    const vreal small = v_fma(v_mul(p, z), x, x);
    const vreal a = v_abs(x);
    const vreal e = v_exp(v_add(a, a));
    const vreal large = v_sub(v_set(1.0f), v_div(v_set(2.0f), v_add(e, v_set(1.0f))));
    const vreal big = v_if_less(x, v_zero(), v_sub(v_zero(), large), large);
    return v_if_less(a, v_set(0.625f), small, big);
}

#endif

/* A body is written once with its types as constants and chosen here by the types of the run. */
#ifdef BV_LEVEL_F64
#define BV_BY_TYPE(type, body, ...)                                                                \
    do {                                                                                           \
        BV_ASSERT((type) == BV_F64);                                                               \
        body(__VA_ARGS__, BV_F64);                                                                 \
    } while (0)
#else
#define BV_BY_TYPE(type, body, ...)                                                                \
    do {                                                                                           \
        if ((type) == BV_BF16)                                                                     \
            body(__VA_ARGS__, BV_BF16);                                                            \
        else                                                                                       \
            body(__VA_ARGS__, BV_F32);                                                             \
    } while (0)
#endif
#define BV_BY_TYPES(first, second, body, ...)                                                      \
    do {                                                                                           \
        if ((first) == BV_BF16)                                                                    \
            BV_BY_TYPE(second, body, __VA_ARGS__, BV_BF16);                                        \
        else                                                                                       \
            BV_BY_TYPE(second, body, __VA_ARGS__, BV_REAL_TYPE);                                   \
    } while (0)

#endif

/*
 * AVX-512 on CPUs that have AVX2, for tests: the intrinsics that src/kernel/lanes/ uses, as
 * functions. SIMDe supplies what is simple; here stands what it lacks (masked loads and stores,
 * conversions, most of bf16) and what it does otherwise than the instruction (its dot product of
 * bf16 is not fused and keeps denormals, its scalef rounds twice, its sums of bytes do not wrap).
 *
 * What stands here follows the pseudocode of Intel's manual (Software Developer's Manual, volume 2)
 * element by element, and shares nothing with the kernels. Memory behind a mask is not touched.
 * With the preset avx512-emulated the compiler includes this file before those sources
 * (cmake/rooms.cmake); an intrinsic that neither knows does not compile. Exceptions and their flags
 * are not emulated, and which NaN results is not either.
 */
#ifndef BV_TESTS_EMULATED_AVX512_H
#define BV_TESTS_EMULATED_AVX512_H

#if defined(__AVX512F__)
#error "this file is for compilers that may not use AVX-512 themselves"
#endif

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <math.h>
#include <simde/x86/avx512.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Not inlined: the kernels would take minutes to compile. */
#define BV_EMULATED static __attribute__((noinline, unused))

/* A register of 512 bits by its elements. */
typedef union emulated512 {
    __m512 ps;
    __m512i si;
    __m512bh bh;
    __m256 half[2];
    __m256i half_si[2];
    float f[16];
    uint32_t u[16];
    int32_t i[16];
    uint16_t h[32];
    uint8_t b[64];
} emulated512;

/* ---- SIMDe's, out of line ---- */

/* By the name of the predicate, which must be a constant; this is the one that is used. */
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask(x, y, predicate) emulated_mm512##predicate(x, y)
BV_EMULATED __mmask16 emulated_mm512_CMP_LT_OQ(__m512 x, __m512 y) {
    return simde_mm512_cmp_ps_mask(x, y, SIMDE_CMP_LT_OQ);
}

#undef _mm512_test_epi32_mask
#define _mm512_test_epi32_mask(x, y) emulated_mm512_test_epi32_mask(x, y)
BV_EMULATED __mmask16 emulated_mm512_test_epi32_mask(__m512i x, __m512i y) {
    return simde_mm512_test_epi32_mask(x, y);
}

#undef _mm512_mask_and_epi32
#define _mm512_mask_and_epi32(from, k, x, y) emulated_mm512_mask_and_epi32(from, k, x, y)
BV_EMULATED __m512i emulated_mm512_mask_and_epi32(__m512i from, __mmask16 k, __m512i x, __m512i y) {
    return simde_mm512_mask_and_epi32(from, k, x, y);
}

#undef _mm512_mask_blend_ps
#define _mm512_mask_blend_ps(k, x, y) emulated_mm512_mask_blend_ps(k, x, y)
BV_EMULATED __m512 emulated_mm512_mask_blend_ps(__mmask16 k, __m512 x, __m512 y) {
    return simde_mm512_mask_blend_ps(k, x, y);
}

/* ---- masked loads and stores: elements whose bit is 0 are neither read nor written ---- */

#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps(k, p) emulated_mm512_maskz_loadu_ps(k, p)
BV_EMULATED __m512 emulated_mm512_maskz_loadu_ps(__mmask16 k, const void *p) {
    emulated512 r = {.u = {0}};
    for (int i = 0; i < 16; i++)
        if (k >> i & 1) memcpy(&r.f[i], (const char *)p + 4 * i, 4);
    return r.ps;
}

#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps(p, k, x) emulated_mm512_mask_storeu_ps(p, k, x)
BV_EMULATED void emulated_mm512_mask_storeu_ps(void *p, __mmask16 k, __m512 x) {
    const emulated512 from = {.ps = x};
    for (int i = 0; i < 16; i++)
        if (k >> i & 1) memcpy((char *)p + 4 * i, &from.f[i], 4);
}

#undef _mm512_maskz_loadu_epi16
#define _mm512_maskz_loadu_epi16(k, p) emulated_mm512_maskz_loadu_epi16(k, p)
BV_EMULATED __m512i emulated_mm512_maskz_loadu_epi16(__mmask32 k, const void *p) {
    emulated512 r = {.u = {0}};
    for (int i = 0; i < 32; i++)
        if (k >> i & 1) memcpy(&r.h[i], (const char *)p + 2 * i, 2);
    return r.si;
}

#undef _mm256_maskz_loadu_epi16
#define _mm256_maskz_loadu_epi16(k, p) emulated_mm256_maskz_loadu_epi16(k, p)
BV_EMULATED __m256i emulated_mm256_maskz_loadu_epi16(__mmask16 k, const void *p) {
    const emulated512 r = {.si = emulated_mm512_maskz_loadu_epi16(k, p)};
    return r.half_si[0];
}

#undef _mm256_mask_storeu_epi16
#define _mm256_mask_storeu_epi16(p, k, x) emulated_mm256_mask_storeu_epi16(p, k, x)
BV_EMULATED void emulated_mm256_mask_storeu_epi16(void *p, __mmask16 k, __m256i x) {
    uint16_t from[16];
    memcpy(from, &x, sizeof from);
    for (int i = 0; i < 16; i++)
        if (k >> i & 1) memcpy((char *)p + 2 * i, &from[i], 2);
}

/* ---- elements ---- */

#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(x, n) emulated_mm512_extractf32x8_ps(x, n)
BV_EMULATED __m256 emulated_mm512_extractf32x8_ps(__m512 x, int n) {
    return (const emulated512){.ps = x}.half[n & 1];
}

#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(x) emulated_mm512_cvtepu16_epi32(x)
BV_EMULATED __m512i emulated_mm512_cvtepu16_epi32(__m256i x) {
    const emulated512 from = {.half_si = {x, x}};
    emulated512 r;
    for (int i = 0; i < 16; i++) r.u[i] = from.h[i];
    return r.si;
}

#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(x) emulated_mm512_cvtps_epi32(x)
BV_EMULATED __m512i emulated_mm512_cvtps_epi32(__m512 x) {
    const emulated512 from = {.ps = x};
    const emulated512 r = {
        .half_si = {_mm256_cvtps_epi32(from.half[0]), _mm256_cvtps_epi32(from.half[1])}};
    return r.si;
}

#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(x) emulated_mm512_cvtepi32_ps(x)
BV_EMULATED __m512 emulated_mm512_cvtepi32_ps(__m512i x) {
    const emulated512 from = {.si = x};
    const emulated512 r = {
        .half = {_mm256_cvtepi32_ps(from.half_si[0]), _mm256_cvtepi32_ps(from.half_si[1])}};
    return r.ps;
}

/* VPMOVDB: the lowest byte of each. */
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8(x) emulated_mm512_cvtepi32_epi8(x)
BV_EMULATED __m128i emulated_mm512_cvtepi32_epi8(__m512i x) {
    const emulated512 from = {.si = x};
    uint8_t bytes[16];
    for (int i = 0; i < 16; i++) bytes[i] = (uint8_t)from.u[i];
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

#undef _mm512_cmpeq_epi16_mask
#define _mm512_cmpeq_epi16_mask(x, y) emulated_mm512_cmpeq_epi16_mask(x, y)
BV_EMULATED __mmask32 emulated_mm512_cmpeq_epi16_mask(__m512i x, __m512i y) {
    const emulated512 a = {.si = x}, b = {.si = y};
    __mmask32 k = 0;
    for (int i = 0; i < 32; i++) k |= (__mmask32)(a.h[i] == b.h[i]) << i;
    return k;
}

/* No instruction: what gcc makes of it, halves of halves, the upper one first. */
#undef _mm512_reduce_max_ps
#define _mm512_reduce_max_ps(x) emulated_mm512_reduce_max_ps(x)
BV_EMULATED float emulated_mm512_reduce_max_ps(__m512 x) {
    emulated512 r = {.ps = x};
    for (int n = 8; n > 0; n /= 2)
        for (int i = 0; i < n; i++) r.f[i] = r.f[i + n] > r.f[i] ? r.f[i + n] : r.f[i];
    return r.f[0];
}

/* ---- bytes ---- */

/* VPDPBUSD: unsigned bytes of the first times signed ones of the second; sums wrap. */
#undef _mm512_dpbusd_epi32
#define _mm512_dpbusd_epi32(sums, x, y) emulated_mm512_dpbusd_epi32(sums, x, y)
BV_EMULATED __m512i emulated_mm512_dpbusd_epi32(__m512i sums, __m512i x, __m512i y) {
    const emulated512 a = {.si = x}, b = {.si = y};
    emulated512 r = {.si = sums};
    for (int i = 0; i < 64; i++) r.u[i / 4] += (uint32_t)(a.b[i] * (int8_t)b.b[i]);
    return r.si;
}

/* ---- reals ---- */

/* VSCALEFPS: x 2^floor(n). The product is exact in double for all that does not end as 0 or as an
 * infinity, and so is rounded once. */
BV_EMULATED float emulated_scale(float x, float n) {
    if (isnan(x) || isnan(n)) return x + n;
    if (isinf(n)) return n > 0 ? x * n : isinf(x) ? x - x : x * 0.0f;
    const float whole = floorf(n);
    const int power = whole > 500 ? 500 : whole < -500 ? -500 : (int)whole;
    const uint64_t bits = (uint64_t)(1023 + power) << 52;
    double factor;
    memcpy(&factor, &bits, 8);
    return (float)((double)x * factor);
}

#undef _mm512_scalef_ps
#define _mm512_scalef_ps(x, n) emulated_mm512_scalef_ps(x, n)
BV_EMULATED __m512 emulated_mm512_scalef_ps(__m512 x, __m512 n) {
    emulated512 r = {.ps = x};
    const emulated512 by = {.ps = n};
    for (int i = 0; i < 16; i++) r.f[i] = emulated_scale(r.f[i], by.f[i]);
    return r.ps;
}

/* ---- bf16 ---- */

/* convert_fp32_to_bfloat16 of VCVTNEPS2BF16. */
BV_EMULATED uint16_t emulated_to_bf16(uint32_t x) {
    const uint32_t exponent = x >> 23 & 0xff, fraction = x & 0x7fffff;
    if (exponent == 0) return (uint16_t)(x >> 31 << 15); /* zero or denormal */
    if (exponent == 0xff) return (uint16_t)(x >> 16 | (fraction ? 1u << 6 : 0));
    return (uint16_t)((x + 0x7fff + (x >> 16 & 1)) >> 16);
}

#undef _mm512_cvtneps_pbh
#define _mm512_cvtneps_pbh(x) emulated_mm512_cvtneps_pbh(x)
BV_EMULATED __m256i emulated_mm512_cvtneps_pbh(__m512 x) {
    const emulated512 from = {.ps = x};
    emulated512 r;
    for (int i = 0; i < 16; i++) r.h[i] = emulated_to_bf16(from.u[i]);
    return r.half_si[0];
}

/* The second operand becomes the lower half. */
#undef _mm512_cvtne2ps_pbh
#define _mm512_cvtne2ps_pbh(x, y) emulated_mm512_cvtne2ps_pbh(x, y)
BV_EMULATED __m512bh emulated_mm512_cvtne2ps_pbh(__m512 x, __m512 y) {
    const emulated512 r = {
        .half_si = {emulated_mm512_cvtneps_pbh(y), emulated_mm512_cvtneps_pbh(x)}};
    return r.bh;
}

/* make_fp32 of VDPBF16PS for the upper or the lower half of a word, or a real; denormals are 0. */
BV_EMULATED float emulated_daz(uint32_t x) {
    const uint32_t bits = (x & 0x7f800000) ? x : x & 0x80000000;
    float r;
    memcpy(&r, &bits, 4);
    return r;
}

/* a b + c for a result in reach of the denormals: it is flushed if it is below 2^-126 after being
 * rounded to 24 bits as if exponents had no limit (volume 1, 4.9.1.5). So the sum is made 2^60
 * larger: then it is rounded thus. Of a and b the smaller one is far below 2^60. */
static __attribute__((noinline, cold, unused)) float emulated_tiny(float a, float b, float c) {
    const float small = fabsf(a) < fabsf(b) ? a : b, other = fabsf(a) < fabsf(b) ? b : a;
    const float sum = __builtin_fmaf(small * 0x1p60f, other, c * 0x1p60f);
    return fabsf(sum) < 0x1p-66f ? copysignf(0, sum) : sum * 0x1p-60f;
}

/* VDPBF16PS: first the odd elements are added, then the even ones, each sum fused and rounded to
 * nearest even, denormals taken and given as zeros, whatever MXCSR says. */
#undef _mm512_dpbf16_ps
#define _mm512_dpbf16_ps(c, a, b) emulated_mm512_dpbf16_ps(c, a, b)
BV_EMULATED __m512 emulated_mm512_dpbf16_ps(__m512 sums, __m512bh x, __m512bh y) {
    const emulated512 a = {.bh = x}, b = {.bh = y};
    emulated512 c = {.ps = sums};
    for (int odd = 1; odd >= 0; odd--) {
        float p[16], q[16], s[16], r[16];
        int tiny = 0;
        for (int i = 0; i < 16; i++) {
            p[i] = emulated_daz(odd ? a.u[i] & 0xffff0000 : a.u[i] << 16);
            q[i] = emulated_daz(odd ? b.u[i] & 0xffff0000 : b.u[i] << 16);
            s[i] = emulated_daz(c.u[i]);
            r[i] = __builtin_fmaf(p[i], q[i], s[i]);
            tiny |= (fabsf(r[i]) <= 0x1p-126f) & (r[i] != 0);
        }
        for (int i = 0; i < 16 && tiny; i++)
            if (fabsf(r[i]) <= 0x1p-126f && r[i] != 0) r[i] = emulated_tiny(p[i], q[i], s[i]);
        memcpy(c.f, r, sizeof r);
    }
    return c.ps;
}

#endif

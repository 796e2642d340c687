/*
 * The bf16 dot product of class bf16/1: for each lane, first a fused multiply-add of the odd
 * elements, then of the even ones, each rounded to nearest even, with denormal inputs and results
 * flushed to signed zero. This is what vdpbf16ps does; elsewhere it is emulated exactly. A result
 * is denormal in its sense when it is below 2^-126 after rounding to 24 bits without a lower limit
 * of the exponent: IEEE rounding alone gives 2^-126 for a few sums just below (tested in
 * tests/kernel/test_matmul.c against the instruction). A pair is a word, its even element in the
 * lower half. The accumulator must not be denormal when a chain begins: v_flush it.
 */
#ifndef BV_KERNEL_BF16_DOT_H
#define BV_KERNEL_BF16_DOT_H

#include "kernel/lane.h"

#if defined(BV_LEVEL_AVX512)

typedef __m512i vpair; /* 16 pairs; the even element in the low half */
BV_INLINE vpair v_pair_set(uint32_t bits) {
    return _mm512_set1_epi32((int)bits);
}
BV_INLINE vpair v_pair_load(const uint32_t *p) {
    return _mm512_loadu_si512(p);
}
BV_INLINE vreal v_flush(vreal x) {
    return x;
} /* the instruction does it */
BV_INLINE vreal v_dot_bf16(vreal c, vpair a, vpair b) {
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}

#else

BV_INLINE float pair_even(uint32_t bits) {
    return f32_from_bf16((uint16_t)bits);
}
BV_INLINE float pair_odd(uint32_t bits) {
    return f32_from_bf16((uint16_t)(bits >> 16));
}

typedef struct vpair {
    vreal even, odd;
} vpair;
BV_INLINE vpair v_pair_set(uint32_t bits) {
    return (vpair){v_set(pair_even(bits)), v_set(pair_odd(bits))};
}
BV_INLINE vpair v_pair_load(const uint32_t *p) {
    real even[BV_LANES], odd[BV_LANES];
    for (int i = 0; i < BV_LANES; i++) {
        even[i] = pair_even(p[i]);
        odd[i] = pair_odd(p[i]);
    }
    return (vpair){v_load(even), v_load(odd)};
}

#if defined(BV_LEVEL_F64)
BV_INLINE vreal v_flush(vreal x) {
    return x;
} /* the reference only flushes bf16 inputs */
BV_INLINE vreal v_fma_flushed(vreal a, vreal b, vreal c) {
    return v_fma(a, b, c);
}
#else
BV_INLINE vreal v_flush(vreal x) {
    return v_if_less(v_abs(x), v_set(0x1p-126f), v_mul(x, v_zero()), x);
}
/* Where IEEE rounding gave 2^-126: the product is exact in double, and so is the sum as far as it
 * decides. Rare, so out of line. */
static __attribute__((noinline, cold, unused)) void
settle_smallest(float *r, const float *a, const float *b, const float *c) {
    for (int i = 0; i < BV_LANES; i++) {
        if (__builtin_fabsf(r[i]) != 0x1p-126f) continue;
        if (__builtin_fabs((double)a[i] * b[i] + c[i]) < 0x1p-126 - 0x1p-151)
            r[i] = __builtin_copysignf(0, r[i]);
    }
}
BV_INLINE vreal v_fma_flushed(vreal a, vreal b, vreal c) {
    const vreal r = v_fma(a, b, c);
    const vreal size = v_abs(r), one = v_set(1);
    const vreal flushed = v_if_less(size, v_set(0x1p-126f), v_mul(r, v_zero()), r);
    /* 1 where size is 2^-126, the only normal number that may have been rounded up to normal. */
    const vreal smallest = v_if_less(size, v_set(0x1.000002p-126f),
                                     v_if_less(size, v_set(0x1p-126f), v_zero(), one), v_zero());
    if (__builtin_expect(v_largest(smallest) > 0, 0)) {
        float t[4][BV_LANES];
        v_store(t[0], flushed), v_store(t[1], a), v_store(t[2], b), v_store(t[3], c);
        settle_smallest(t[0], t[1], t[2], t[3]);
        return v_load(t[0]);
    }
    return flushed;
}
#endif

BV_INLINE vreal v_dot_bf16(vreal c, vpair a, vpair b) {
    return v_fma_flushed(a.even, b.even, v_fma_flushed(a.odd, b.odd, c));
}
#endif

/* Steps between two looks at the end of a chain of reals, and of pairs. With 16 registers a step is
 * twenty instructions, and counting and fetching would be ten more, which a busy neighbour on the
 * core's other thread makes dear. */
#if defined(BV_LEVEL_AVX2)
#define REAL_DEPTH 8
#define PAIR_DEPTH 4
#else
#define REAL_DEPTH 1
#define PAIR_DEPTH 1
#endif

#if defined(BV_LEVEL_AVX2)
/* Between these two calls plain multiply-adds flush as the class wants it, so that two of them are
 * a step. What runs there must stand in a function that is not inlined. */
BV_INLINE unsigned flushing_begin(void) {
    const unsigned saved = _mm_getcsr();
    _mm_setcsr(saved | 0x8040u);
    return saved;
}
BV_INLINE void flushing_end(unsigned saved) {
    _mm_setcsr(saved);
}

/* sum += x half, one element of A with 16 of B. Instructions are written out because gcc, left to
 * choose, overwrites the broadcast instead of the sum and then runs out of registers. */
BV_INLINE void v_add_product(vreal *sum, const void *x, const __m256 half[2]) {
    const __m256 word = _mm256_broadcast_ss(x);
    for (int q = 0; q < 2; q++)
        __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum->v[q]) : "x"(word), "x"(half[q]));
}

/* The same for three rows of A at once: gcc would broadcast several ahead, and spill sums. */
BV_INLINE void v_add_products(vreal sums[3], const void *x, const void *y, const void *z,
                              const __m256 half[2]) {
    __m256 word;
    __asm__("vbroadcastss %[x], %[word]\n\t"
            "vfmadd231ps %[low], %[word], %[x_low]\n\t"
            "vfmadd231ps %[high], %[word], %[x_high]\n\t"
            "vbroadcastss %[y], %[word]\n\t"
            "vfmadd231ps %[low], %[word], %[y_low]\n\t"
            "vfmadd231ps %[high], %[word], %[y_high]\n\t"
            "vbroadcastss %[z], %[word]\n\t"
            "vfmadd231ps %[low], %[word], %[z_low]\n\t"
            "vfmadd231ps %[high], %[word], %[z_high]"
            : [word] "=&x"(word), [x_low] "+x"(sums[0].v[0]), [x_high] "+x"(sums[0].v[1]),
              [y_low] "+x"(sums[1].v[0]), [y_high] "+x"(sums[1].v[1]), [z_low] "+x"(sums[2].v[0]),
              [z_high] "+x"(sums[2].v[1])
            : [x] "m"(*(const float *)x), [y] "m"(*(const float *)y), [z] "m"(*(const float *)z),
              [low] "x"(half[0]), [high] "x"(half[1]));
}

/* sums[r] += x half for row r of A, whose element is at a[r] + at. */
BV_INLINE void v_add_rows(vreal *sums, const char *const *a, size_t at, const __m256 half[2],
                          int rows) {
    int r = 0;
    _Pragma("GCC unroll 2") for (; r + 3 <= rows; r += 3)
        v_add_products(sums + r, a[r] + at, a[r + 1] + at, a[r + 2] + at, half);
    _Pragma("GCC unroll 2") for (; r < rows; r++) v_add_product(&sums[r], a[r] + at, half);
}

/* A register for the address of each row: if gcc saw how far apart they are, it would make some of
 * them anew for each step. */
BV_INLINE void hold_rows(const char **a, int rows) {
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; r++) __asm__("" : "+r"(a[r]));
}

/* Sixteen bf16 as reals: elements 0-3 and 8-11, then 4-7 and 12-15. Written out so that each of the
 * two reads memory itself: one instruction less than a load for both. */
BV_INLINE void v_widen(const uint16_t *x, __m256 out[2]) {
    const __m256i zero = _mm256_setzero_si256();
    __asm__("vpunpcklwd %1, %2, %0"
            : "=x"(out[0])
            : "m"(*(const __m256i *)(const void *)x), "x"(zero));
    __asm__("vpunpckhwd %1, %2, %0"
            : "=x"(out[1])
            : "m"(*(const __m256i *)(const void *)x), "x"(zero));
}

/* The odd and the even elements of 16 words, as reals. */
BV_INLINE void odd_halves(const void *words, __m256 half[2]) {
    const __m256i upper = _mm256_set1_epi32((int)0xffff0000u);
    for (int q = 0; q < 2; q++)
        half[q] = _mm256_castsi256_ps(
            _mm256_and_si256(_mm256_loadu_si256((const __m256i *)words + q), upper));
}
BV_INLINE void even_halves(const void *words, __m256 half[2]) {
    for (int q = 0; q < 2; q++)
        half[q] = _mm256_castsi256_ps(
            _mm256_slli_epi32(_mm256_loadu_si256((const __m256i *)words + q), 16));
}
#endif

/* Rounds 16 values and gives their bf16 bits as words. */
BV_INLINE void v_bf16_words(uint32_t *words, vreal x) {
    uint16_t h[BV_LANES];
    v_store_bf16(h, x);
    for (int i = 0; i < BV_LANES; i++) words[i] = h[i];
}

#endif

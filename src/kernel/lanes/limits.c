/* Loops that do nothing but multiply-adds in registers. */
#include "kernel/limits.h"

#include "kernel/bf16_dot.h"
#include "kernel/lanes/tables.h"

/* Enough chains to hide the latency of a multiply-add on two ports, few enough for the registers.
 */
#if defined(BV_LEVEL_AVX512)
#define CHAINS 12
#elif defined(BV_LEVEL_AVX2) || defined(BV_LEVEL_NEON)
#define CHAINS 6
#else
#define CHAINS 1
#endif
#define UNROLL _Pragma("GCC unroll 12")

static void keep(float *sink, const vreal *c) {
    vreal sum = c[0];
    for (int i = 1; i < CHAINS; i++) sum = v_add(sum, c[i]);
    *sink = (float)v_sum(sum);
}

static double multiply_add(size_t rounds, float *sink) {
    vreal c[CHAINS];
    const vreal a = v_set((real)0.999), b = v_set((real)0.001);
    for (int i = 0; i < CHAINS; i++) c[i] = v_set((real)i);
    for (size_t r = 0; r < rounds; r++) {
        UNROLL for (int i = 0; i < CHAINS; i++) c[i] = v_fma(c[i], a, b);
    }
    keep(sink, c);
    return (double)rounds * CHAINS * BV_LANES * 2;
}

#if defined(BV_LEVEL_AVX512)
static double dot_bf16(size_t rounds, float *sink) {
    vreal c[CHAINS];
    const vpair a = v_pair_set(0x3f003f00u), b = v_pair_set(0x3a003a00u);
    for (int i = 0; i < CHAINS; i++) c[i] = v_set((real)i);
    for (size_t r = 0; r < rounds; r++) {
        UNROLL for (int i = 0; i < CHAINS; i++) c[i] = v_dot_bf16(c[i], a, b);
    }
    keep(sink, c);
    return (double)rounds * CHAINS * BV_LANES * 4;
}
#define DOT_BF16 dot_bf16
#else
#define DOT_BF16 multiply_add /* what the emulation is made of */
#endif

const bv_limits_kernels BV_NAME(bv_limits_table) = {
    .multiply_add = multiply_add, .dot_bf16 = DOT_BF16, .dot_int8 = BV_NAME(bv_dot_int8)};

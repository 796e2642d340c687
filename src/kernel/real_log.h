/*
 * The logarithm of real_host.h, for who takes many: where it is compiled in, a level's own
 * multiply-add stands in place of a call.
 */
#ifndef BV_KERNEL_REAL_LOG_H
#define BV_KERNEL_REAL_LOG_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* log 2 in two parts. */
#define BV_LN2_HIGH 0x1.62e42fefa39efp-1
#define BV_LN2_LOW 0x1.abc9e3b39803fp-56

/* x = m 2^e, m in [0.5, 1), as frexp: of a finite x > 0. */
static inline double bv_mantissa(double x, int *e) {
    uint64_t bits;
    const int tiny = x < 0x1p-1022 ? 54 : 0;
    x *= tiny ? 0x1p54 : 1;
    memcpy(&bits, &x, sizeof bits);
    *e = (int)(bits >> 52) - 1022 - tiny;
    bits = (bits & 0xfffffffffffff) | 0x3fe0000000000000;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline double bv_log_inline(double x) {
    if (!(x > 0)) return x == 0 ? -HUGE_VAL : x != x ? x : (x - x) / 0.0;
    if (x == HUGE_VAL) return x;
    int e;
    double m = bv_mantissa(x, &e);
    if (m < 0.70710678118654752) {
        m *= 2;
        e--;
    }
    /* log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716 */
    const double s = (m - 1) / (m + 1), z = s * s;
    static const double odd[] = {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                                 1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
    double p = 1.0 / 25;
    for (int k = 0; k < 11; k++) p = fma(p, z, odd[k]);
    const double tail = 2 * s * z * p;
    return fma(e, BV_LN2_HIGH, fma(e, BV_LN2_LOW, 2 * s + tail));
}

#endif

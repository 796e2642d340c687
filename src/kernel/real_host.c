#include "kernel/real_host.h"

#include "kernel/real_log.h"
#include <math.h>

double bv_exp(double x) {
    if (!(x < 709.79)) return x != x ? x : HUGE_VAL;
    if (x < -745.2) return 0;
    const double n = rint(x * 1.4426950408889634);
    double r = fma(-n, BV_LN2_HIGH, x);
    r = fma(-n, BV_LN2_LOW, r);
    /* Taylor: |r| <= 0.347, r^14 / 14! < 5e-18 */
    double p = 1.0 / 6227020800.0;
    static const double factorial[] = {479001600, 39916800, 3628800, 362880, 40320, 5040,
                                       720,       120,      24,      6,      2,     1};
    for (int i = 0; i < 12; i++) p = fma(p, r, 1.0 / factorial[i]);
    return ldexp(fma(p, r, 1.0), (int)n);
}

double bv_log(double x) {
    return bv_log_inline(x);
}

double bv_pow(double x, double y) {
    return bv_exp(y * bv_log(x));
}

/* x = k pi/2 + r, |r| <= pi/4; returns k mod 4. */
static int reduce(double x, double *r) {
    const double k = rint(x * 0.63661977236758134);
    double y = fma(-k, 0x1.921fb54442d18p+0, x);
    y = fma(-k, 0x1.1a62633145c07p-54, y);
    *r = y;
    return (int)((long long)k & 3);
}

static double sine_series(double r) {
    const double z = r * r;
    static const double f[] = {-1307674368000.0, 6227020800.0, -39916800.0, 362880.0,
                               -5040.0,          120.0,        -6.0};
    double p = 1.0 / 355687428096000.0;
    for (int i = 0; i < 7; i++) p = fma(p, z, 1.0 / f[i]);
    return fma(p * z, r, r);
}

static double cosine_series(double r) {
    const double z = r * r;
    static const double f[] = {20922789888000.0, -87178291200.0, 479001600.0, -3628800.0,
                               40320.0,          -720.0,         24.0};
    double p = -1.0 / 6402373705728000.0;
    for (int i = 0; i < 7; i++) p = fma(p, z, 1.0 / f[i]);
    return fma(p * z, z, fma(-0.5, z, 1.0));
}

static double quarter(int k, double r) {
    const double value = k & 1 ? cosine_series(r) : sine_series(r);
    return k & 2 ? -value : value;
}

double bv_sin(double x) {
    double r;
    const int k = reduce(x, &r);
    return quarter(k, r);
}

double bv_cos(double x) {
    double r;
    const int k = reduce(x, &r);
    return quarter(k + 1, r);
}

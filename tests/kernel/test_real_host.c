/* The elementary functions of the host against the C library's, in long double: errors in units of
 * the last place, over the ranges of real_host.h and at the edges of what they treat apart. */
#include "support/check.h"

#include "base/random.h"
#include "kernel/real_host.h"
#include <float.h>
#include <math.h>

#define DRAWS 20000
#define ULPS 4 /* promised by real_host.h */

static double draw(uint32_t i, double low, double high) {
    const bv_random4 r = bv_random(5, BV_RANDOM_TEST, 0, 0, i, 0);
    return low + bv_uniform_f64(r.v[0], r.v[1]) * (high - low);
}

static void check(const char *name, double x, double got, long double expected) {
    const double near = (double)fabsl(expected);
    const double ulp = nextafter(near, HUGE_VAL) - near;
    const long double off = fabsl((long double)got - expected);
    if (!(off <= ULPS * (long double)ulp))
        fail_msg("%s(%a) = %a, off by %Lg ulp", name, x, got, off / ulp);
}

static void test_log(void **state) {
    (void)state;
    static const double edges[] = {DBL_TRUE_MIN,
                                   0x1.8p-1050,
                                   0x1.fffffffffffffp-1023,
                                   DBL_MIN,
                                   0.5,
                                   0x1.6a09e667f3bccp-1,
                                   0x1.6a09e667f3bcdp-1,
                                   0x1.fffffffffffffp-1,
                                   0x1.0000000000001p0,
                                   2,
                                   DBL_MAX};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        check("log", edges[i], bv_log(edges[i]), logl((long double)edges[i]));
    for (uint32_t i = 0; i < DRAWS; i++) {
        const double x = ldexp(draw(i, 1, 2), (int)(i % 2098) - 1074), y = draw(i, 0.5, 2);
        check("log", x, bv_log(x), logl((long double)x));
        check("log", y, bv_log(y), logl((long double)y));
    }
    assert_true(bv_log(1) == 0);
    assert_true(bv_log(0) == -HUGE_VAL && bv_log(-0.0) == -HUGE_VAL);
    assert_true(bv_log(HUGE_VAL) == HUGE_VAL);
    assert_true(isnan(bv_log(-1)) && isnan(bv_log(NAN)) && isnan(bv_log(-HUGE_VAL)));
}

static void test_exp(void **state) {
    (void)state;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const double x = draw(i, -708, 709.7), y = draw(i, -1, 1);
        check("exp", x, bv_exp(x), expl((long double)x));
        check("exp", y, bv_exp(y), expl((long double)y));
    }
    assert_true(bv_exp(0) == 1 && bv_exp(-HUGE_VAL) == 0 && bv_exp(HUGE_VAL) == HUGE_VAL);
    assert_true(isnan(bv_exp(NAN)));
}

/* Near a zero of theirs only so near as the angle was reduced: to 2^-107 of its size. */
static void test_angles(void **state) {
    (void)state;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const double x = draw(i, -1e6, 1e6), y = draw(i, -1, 1);
        check("sin", x, bv_sin(x), sinl((long double)x));
        check("cos", x, bv_cos(x), cosl((long double)x));
        check("sin", y, bv_sin(y), sinl((long double)y));
        check("cos", y, bv_cos(y), cosl((long double)y));
    }
    assert_true(bv_sin(0) == 0 && bv_cos(0) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_log), cmocka_unit_test(test_exp),
                                       cmocka_unit_test(test_angles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

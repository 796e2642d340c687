/* pass@k against exact rational arithmetic, against enumeration, and its interval. */
#include "support/check.h"

#include "arena/pass_at_k.h"
#include <math.h>

/* C(n, k), exact for n <= 60. */
static unsigned __int128 choose(uint64_t n, uint64_t k) {
    unsigned __int128 out = 1;
    if (k > n) return 0;
    for (uint64_t i = 1; i <= k; i++) out = out * (n - k + i) / i;
    return out;
}

/* 1 - C(n-c, k) / C(n, k), rounded once: numerator and denominator are exact. */
static double exact(uint64_t n, uint64_t c, uint64_t k) {
    const unsigned __int128 all = choose(n, k), missed = choose(n - c, k);
    return (double)((long double)(all - missed) / (long double)all);
}

static void test_equals_exact_rationals(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 60; n++)
        for (uint64_t c = 0; c <= n; c++)
            for (uint64_t k = 1; k <= n; k++) {
                const double got = bv_pass_at_k(n, c, k), wanted = exact(n, c, k);
                /* c factors, each rounded a few times */
                if (fabs(got - wanted) > 4 * (double)(c + 1) * 0x1p-53)
                    fail_msg("n %d c %d k %d: %.17g, not %.17g", (int)n, (int)c, (int)k, got,
                             wanted);
            }
}

/* The share of all subsets of k of n samples that have one of the first c. */
static double enumerate(unsigned n, unsigned c, unsigned k) {
    unsigned all = 0, hit = 0;
    for (unsigned subset = 0; subset < 1u << n; subset++) {
        if ((unsigned)__builtin_popcount(subset) != k) continue;
        all++;
        hit += (subset & ((1u << c) - 1)) != 0;
    }
    return (double)hit / all;
}

static void test_equals_enumeration(void **state) {
    (void)state;
    for (unsigned n = 1; n <= 12; n++)
        for (unsigned c = 0; c <= n; c++)
            for (unsigned k = 1; k <= n; k++)
                assert_true(fabs(bv_pass_at_k(n, c, k) - enumerate(n, c, k)) < 1e-14);
}

static void test_edges(void **state) {
    (void)state;
    assert_true(bv_pass_at_k(200, 0, 100) == 0);
    assert_true(bv_pass_at_k(200, 200, 1) == 1);
    assert_true(bv_pass_at_k(200, 101, 100) == 1); /* fewer failures than k */
    assert_true(bv_pass_at_k(4, 1, 1) == 0.25);
    const double large = bv_pass_at_k(1000000, 1, 500000); /* no overflow: one half */
    assert_true(fabs(large - 0.5) < 1e-12);
}

static void test_interval(void **state) {
    (void)state;
    bv_pass_counts counts[100];
    for (size_t i = 0; i < 100; i++) counts[i] = (bv_pass_counts){10, i < 30 ? 10 : 0};
    const bv_pass_estimate e = bv_pass_at_k_estimate(counts, 100, 1);
    assert_true(fabs(e.mean - 0.3) < 1e-12);
    /* The mean of 100 coins of 0.3 has a standard deviation of 0.0458; 1.96 of them each way. */
    assert_true(fabs(e.low - 0.21) < 0.015 && fabs(e.high - 0.39) < 0.015);
    const bv_pass_estimate again = bv_pass_at_k_estimate(counts, 100, 1);
    assert_memory_equal(&e, &again, sizeof e);
    for (size_t i = 0; i < 100; i++) counts[i].c = 10;
    const bv_pass_estimate all = bv_pass_at_k_estimate(counts, 100, 10);
    assert_true(all.mean == 1 && all.low == 1 && all.high == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_exact_rationals),
        cmocka_unit_test(test_equals_enumeration),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

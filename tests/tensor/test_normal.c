/* Initial weights: equal to their definition to the last bit, also where tables are not enough. */
#include "kernel/real_host.h"
#include "support/check.h"
#include "tensor/normal.h"

#include <math.h>

/* Written out once more: the curves and figures in the docs come from these bits. */
static double define(bv_random4 r) {
    const double u = 1.0 - bv_uniform_f64(r.v[0], r.v[1]);
    const double angle = 6.283185307179586 * bv_uniform_f64(r.v[2], r.v[3]);
    return sqrt(-2.0 * bv_log(u)) * bv_cos(angle);
}

static void check(const bv_normal_tables *t, bv_random4 words, double std) {
    const float got = bv_normal_from_words(t, words, std), wanted = (float)(std * define(words));
    if (memcmp(&got, &wanted, sizeof got) == 0) return;
    fail_msg("%08x %08x %08x %08x times %g: %a instead of %a", words.v[0], words.v[1], words.v[2],
             words.v[3], std, (double)got, (double)wanted);
}

static void test_bits_are_the_definition(void **state) {
    (void)state;
    bv_normal_tables t;
    bv_normal_tables_make(&t);
    for (uint32_t i = 0; i < 2000000; i++)
        check(&t, bv_random(1, BV_RANDOM_INIT, i % 7, 0, 0, i), i & 1 ? 0.02 : 1);
}

/* Logarithms near 0, whole and half turns and the borders of the tables' parts, all against all:
 * there the tables' value is worst. */
static void test_edges(void **state) {
    (void)state;
    bv_normal_tables t;
    uint64_t edges[700];
    size_t count = 0;
    bv_normal_tables_make(&t);
    for (int bit = 0; bit < 53; bit++)
        for (int i = -1; i <= 1; i++) {
            edges[count++] = ((1ull << bit) + (uint64_t)i) & ((1ull << 53) - 1);
            edges[count++] = ((1ull << 53) - (1ull << bit) + (uint64_t)i) & ((1ull << 53) - 1);
        }
    for (uint64_t part = 0; part < 256; part += 8)
        for (int i = -2; i <= 2; i++)
            edges[count++] = ((part << 45) + (uint64_t)i) & ((1ull << 53) - 1);
    assert_true(count <= sizeof edges / sizeof *edges);
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b < count; b++) {
            const bv_random4 words = {{(uint32_t)(edges[a] >> 21), (uint32_t)(edges[a] << 11),
                                       (uint32_t)(edges[b] >> 21), (uint32_t)(edges[b] << 11)}};
            check(&t, words, 0.02);
        }
}

/* Any stretch gives the same numbers as one after another. */
static void test_stretches(void **state) {
    (void)state;
    bv_normal_tables t;
    float all[300], some[300];
    const uint64_t begin = (1ull << 32) - 100;
    bv_normal_tables_make(&t);
    for (size_t i = 0; i < 300; i++) {
        const uint64_t at = begin + i;
        all[i] = bv_normal_from_words(
            &t, bv_random(9, BV_RANDOM_INIT, 3, 0, (uint32_t)(at >> 32), (uint32_t)at), 0.5);
    }
    for (size_t first = 0; first < 70; first++) {
        bv_normal_fill(&t, 9, 3, begin + first, 300 - first, 0.5, some);
        assert_memory_equal(some, all + first, (300 - first) * sizeof *all);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_are_the_definition),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_stretches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "support/check.h"

#include "base/clock.h"
#include "base/random.h"

typedef struct known {
    uint32_t counter[4];
    uint64_t key;
    uint32_t out[4];
} known;

/* kat_vectors of Random123, philox4x32 with 10 rounds. */
static const known vectors[] = {
    {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     0xffffffffffffffff,
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     0x299f31d0a4093822,
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void test_known_answers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const bv_random4 r = bv_philox(vectors[i].key, vectors[i].counter);
        assert_memory_equal(r.v, vectors[i].out, sizeof r.v);
    }
}

static void test_purposes_and_sites_are_streams_of_their_own(void **state) {
    (void)state;
    const bv_random4 a = bv_random(1, BV_RANDOM_INIT, 0, 0, 0, 0);
    const bv_random4 others[] = {
        bv_random(2, BV_RANDOM_INIT, 0, 0, 0, 0), bv_random(1, BV_RANDOM_TEST, 0, 0, 0, 0),
        bv_random(1, BV_RANDOM_INIT, 1, 0, 0, 0), bv_random(1, BV_RANDOM_INIT, 0, 1, 0, 0),
        bv_random(1, BV_RANDOM_INIT, 0, 0, 1, 0), bv_random(1, BV_RANDOM_INIT, 0, 0, 0, 1),
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_memory_not_equal(a.v, others[i].v, sizeof a.v);
    const bv_random4 same = bv_random(1, BV_RANDOM_INIT, 0, 0, 0, 0);
    assert_memory_equal(a.v, same.v, sizeof a.v);
}

static void test_uniform_limits_and_mean(void **state) {
    (void)state;
    assert_true(bv_uniform_f32(0) == 0 && bv_uniform_f64(0, 0) == 0);
    assert_true(bv_uniform_f32(UINT32_MAX) < 1 && bv_uniform_f64(UINT32_MAX, UINT32_MAX) < 1);
    double sum32 = 0, sum64 = 0;
    const int n = 20000;
    for (int i = 0; i < n; i++) {
        const bv_random4 r = bv_random(7, BV_RANDOM_TEST, 0, 0, (uint32_t)i, 0);
        sum32 += bv_uniform_f32(r.v[0]);
        sum64 += bv_uniform_f64(r.v[1], r.v[2]);
    }
    /* Five standard errors of a mean of n uniform numbers: 5 / sqrt(12 n) = 0.0102. */
    assert_true(sum32 / n > 0.4898 && sum32 / n < 0.5102);
    assert_true(sum64 / n > 0.4898 && sum64 / n < 0.5102);
}

static void test_clock(void **state) {
    (void)state;
    const uint64_t begin = bv_clock_ns();
    const double seconds = bv_clock_seconds();
    usleep(2000);
    assert_true(bv_clock_ns() - begin >= 2000000);
    assert_true(bv_clock_seconds() - seconds >= 0.0019);
    assert_true(bv_clock_wall_ms() > 1700000000000); /* after November 2023 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_purposes_and_sites_are_streams_of_their_own),
        cmocka_unit_test(test_uniform_limits_and_mean),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the sampler may choose, how often, and that the choice is a function of its position. */
#include "support/check.h"

#include "base/random.h"
#include "engine/sampler.h"
#include <math.h>

#define VOCAB 6
#define DRAWS 20000

/* Probabilities 0.4, 0.3, 0.15, 0.1, 0.05 in another order, and one that is not a number. */
static const double probabilities[VOCAB] = {0.1, 0.4, 0, 0.05, 0.3, 0.15};
static float logits[VOCAB];

static int begin(void **state) {
    (void)state;
    for (int i = 0; i < VOCAB; i++) logits[i] = (float)log(probabilities[i]) + 3;
    logits[2] = NAN;
    return 0;
}

static bv_sampler *make(bv_sampler_options options) {
    bv_sampler *s;
    options.seed = 8;
    assert_ok(bv_sampler_create(&options, VOCAB, &s));
    return s;
}

/* Draws often; shares must be those of `kept` tokens, renormalized, within five deviations. */
static void check(bv_sampler_options options, unsigned kept) {
    bv_sampler *s = make(options);
    int counts[VOCAB] = {0};
    double sum = 0;
    for (uint32_t i = 0; i < DRAWS; i++) counts[bv_sampler_pick(s, logits, i % 3, i / 3)]++;
    double p[VOCAB] = {0};
    for (int i = 0; i < VOCAB; i++)
        if (kept >> i & 1) sum += p[i] = pow(probabilities[i], 1 / options.temperature);
    for (int i = 0; i < VOCAB; i++) {
        const double expected = p[i] / sum, deviation = sqrt(expected * (1 - expected) / DRAWS);
        const double share = (double)counts[i] / DRAWS;
        if (fabs(share - expected) > 5 * deviation)
            fail_msg("token %d: %.4f of the draws instead of %.4f", i, share, expected);
    }
    bv_sampler_destroy(&s);
}

static void test_shares(void **state) {
    (void)state;
    check((bv_sampler_options){.temperature = 1, .top_p = 1}, 0x3b);
    check((bv_sampler_options){.temperature = 2, .top_p = 1}, 0x3b);
    check((bv_sampler_options){.temperature = 0.5, .top_p = 1}, 0x3b);
    check((bv_sampler_options){.temperature = 1, .top_p = 1, .top_k = 2}, 0x12);
    check((bv_sampler_options){.temperature = 1, .top_p = 0.6}, 0x12);  /* 0.4 + 0.3 reach it */
    check((bv_sampler_options){.temperature = 1, .top_p = 0.71}, 0x32); /* one more is needed */
    check((bv_sampler_options){.temperature = 1, .top_p = 0}, 0x02); /* the likeliest is enough */
    check((bv_sampler_options){.temperature = 1, .top_p = 1, .min_p = 0.3}, 0x32);
    check((bv_sampler_options){.temperature = 1, .top_p = 0.7, .top_k = 3, .min_p = 0.2}, 0x12);
    /* Top-p is of all tokens, also of those that min-p leaves out after it. */
    check((bv_sampler_options){.temperature = 1, .top_p = 0.75, .min_p = 0.3}, 0x32);
    check((bv_sampler_options){.temperature = 1, .top_p = 0.9, .min_p = 0.5}, 0x12);
}

#define MANY 200

/* What survives by the obvious way: the likeliest of the rest, again and again. */
static size_t slow_cut(const bv_sampler_options *o, const float *many, bool kept[MANY]) {
    double p[MANY], total = 0, sum = 0, largest = -INFINITY;
    size_t order[MANY], count = 0, most = o->top_k && o->top_k < MANY ? o->top_k : MANY;
    bool taken[MANY] = {false};
    for (int i = 0; i < MANY; i++) /* fmax here crashes gcc 12 for arm64 */
        if (many[i] > largest) largest = many[i];
    for (int i = 0; i < MANY; i++) p[i] = exp(((double)many[i] - largest) / o->temperature);
    for (size_t k = 0; k < most; k++) {
        size_t best = MANY;
        for (size_t i = 0; i < MANY; i++)
            if (!taken[i] && (best == MANY || p[i] > p[best])) best = i;
        taken[order[k] = best] = true;
        total += p[best];
    }
    for (size_t k = 0; k < most && (k == 0 || sum < o->top_p * total); k++) {
        const size_t i = order[k];
        sum += p[i];
        kept[i] = p[i] >= o->min_p;
        count += kept[i];
    }
    return count;
}

/* Many tokens, some equal: what is drawn is what survives, and all of that is drawn. */
static void test_cuts_of_many(void **state) {
    (void)state;
    for (uint32_t seed = 0; seed < 40; seed++) {
        float many[MANY];
        bool kept[MANY] = {false}, drawn[MANY] = {false};
        for (uint32_t i = 0; i < MANY; i++)
            many[i] = (float)(bv_random(5, BV_RANDOM_TEST, seed, i, 0, 0).v[0] % 40) / 64;
        const bv_random4 r = bv_random(5, BV_RANDOM_TEST, seed, MANY, 0, 0);
        const bv_sampler_options options = {.temperature = 1,
                                            .top_k = r.v[0] % 3 ? r.v[1] % 30 : 0,
                                            .top_p = r.v[0] % 5 ? 0.001 + r.v[2] % 97 * 0.01 : 1,
                                            .min_p = r.v[0] % 2 ? r.v[3] % 100 * 0.01 : 0,
                                            .seed = seed};
        bv_sampler *s;
        assert_ok(bv_sampler_create(&options, MANY, &s));
        size_t count = slow_cut(&options, many, kept);
        for (uint32_t i = 0; i < 40 * MANY; i++) {
            const uint32_t token = bv_sampler_pick(s, many, 0, i);
            if (!kept[token]) fail_msg("seed %u: token %u was drawn", seed, token);
            count -= !drawn[token];
            drawn[token] = true;
        }
        assert_int_equal(count, 0); /* the least likely is missed once in e^21 tries */
        bv_sampler_destroy(&s);
    }
}

static void test_greedy(void **state) {
    (void)state;
    static const float ties[VOCAB] = {NAN, 1, 3, 3, -INFINITY, 2};
    bv_sampler *s = make((bv_sampler_options){.temperature = 0, .top_p = 1});
    assert_int_equal(bv_sampler_pick(s, logits, 0, 0), 1);
    assert_int_equal(bv_sampler_pick(s, ties, 0, 0), 2);
    bv_sampler_destroy(&s);
    /* The coldest temperature is greedy too, and top-k of one. */
    s = make((bv_sampler_options){.temperature = 1e-300, .top_p = 1});
    assert_int_equal(bv_sampler_pick(s, logits, 0, 0), 1);
    bv_sampler_destroy(&s);
    s = make((bv_sampler_options){.temperature = 50, .top_p = 1, .top_k = 1});
    assert_int_equal(bv_sampler_pick(s, ties, 0, 0), 2);
    bv_sampler_destroy(&s);
}

static void test_choice_is_a_function(void **state) {
    (void)state;
    bv_sampler *a = make((bv_sampler_options){.temperature = 1, .top_p = 0.9});
    bv_sampler *b = make((bv_sampler_options){.temperature = 1, .top_p = 0.9});
    int changes = 0;
    for (uint32_t i = 0; i < 200; i++) bv_sampler_pick(a, logits, 9, i); /* a has a past */
    for (uint32_t i = 200; i-- > 0;) {
        const uint32_t token = bv_sampler_pick(a, logits, 1, i);
        assert_int_equal(token, bv_sampler_pick(b, logits, 1, i));
        changes += token != bv_sampler_pick(b, logits, 2, i);
    }
    assert_in_range(changes, 80, 180);
    bv_sampler_destroy(&a);
    bv_sampler_destroy(&b);
}

/* Another seed is another text. */
static void test_seeds_differ(void **state) {
    (void)state;
    const bv_sampler_options options[] = {{.temperature = 1, .top_p = 1, .seed = 1},
                                          {.temperature = 1, .top_p = 1, .seed = 2}};
    bv_sampler *s[2];
    int changes = 0;
    for (int k = 0; k < 2; k++) assert_ok(bv_sampler_create(&options[k], VOCAB, &s[k]));
    for (uint32_t i = 0; i < 200; i++)
        changes += bv_sampler_pick(s[0], logits, 1, i) != bv_sampler_pick(s[1], logits, 1, i);
    assert_in_range(changes, 80, 180);
    for (int k = 0; k < 2; k++) bv_sampler_destroy(&s[k]);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        bv_sampler_options options;
        const char *told;
    } bad[] = {{{.temperature = -1, .top_p = 1}, "temperature"},
               {{.temperature = NAN, .top_p = 1}, "temperature"},
               {{.temperature = 1, .top_p = -0.1}, "top-p"},
               {{.temperature = 1, .top_p = 1.5}, "top-p"},
               {{.temperature = 1, .top_p = 1, .min_p = 2}, "min-p"},
               {{.temperature = 1, .top_p = 1, .min_p = -0.1}, "min-p"},
               {{.temperature = 1, .top_p = 1, .min_p = NAN}, "min-p"}};
    bv_sampler *s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(bv_sampler_create(&bad[i].options, VOCAB, &s), BV_CODE_USAGE, bad[i].told);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),       cmocka_unit_test(test_cuts_of_many),
        cmocka_unit_test(test_greedy),       cmocka_unit_test(test_choice_is_a_function),
        cmocka_unit_test(test_seeds_differ), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}

/* The n-gram model against the definitions of Chen & Goodman, followed by hand over a list of
 * n-grams from which one can be taken out; and at the ends: short texts, the largest alphabet, the
 * longest n-grams. */
#include "support/check.h"

#include "base/random.h"
#include "model/kneser_ney.h"
#include <math.h>
#include <string.h>

#define LENGTH 90

/* A text, and the position of the token whose longest n-gram does not count (0: all do). */
typedef struct text {
    uint8_t tokens[LENGTH];
    size_t vocab, order, taken;
} text;

/* ---- by the definitions ---- */

/* How often the n-gram occurs; n <= order. Shorter ones only count where a longest one ends. */
static size_t occurrences(const text *t, const uint8_t *gram, size_t n) {
    size_t count = 0;
    for (size_t end = t->order; end <= LENGTH; end++)
        count += !(t->taken && end == t->taken + 1) && !memcmp(t->tokens + end - n, gram, n);
    return count;
}

/* The count that smoothing works with. */
static size_t count_of(const text *t, const uint8_t *gram, size_t n) {
    uint8_t longer[BV_KNESER_NEY_ORDER_MAX];
    size_t before = 0;
    if (n == t->order) return occurrences(t, gram, n);
    memcpy(longer + 1, gram, n);
    for (size_t v = 0; v < t->vocab; v++) {
        longer[0] = (uint8_t)v;
        before += occurrences(t, longer, n + 1) > 0;
    }
    return before;
}

/* Of the whole text, over all n-grams that are there: each where it ends first. */
static double discount(const text *whole, size_t n, size_t count) {
    double grams[5] = {0};
    for (size_t end = whole->order; end <= LENGTH; end++) {
        const uint8_t *gram = whole->tokens + end - n;
        bool seen = false;
        for (size_t e = whole->order; e < end; e++)
            seen = seen || !memcmp(whole->tokens + e - n, gram, n);
        const size_t c = count_of(whole, gram, n);
        if (!seen && c < 5) grams[c]++;
    }
    if (count == 0) return 0;
    const size_t i = count < 3 ? count : 3;
    const double y = grams[1] / (grams[1] + 2 * grams[2]);
    const double d = (double)i - (double)(i + 1) * y * grams[i + 1] / grams[i];
    return d > 0 && d < (double)i ? d : 0.5 * (double)i;
}

/* p(token | the k tokens before it). */
static double probability(const text *t, const text *whole, const uint8_t *at, size_t k,
                          uint8_t token) {
    uint8_t gram[BV_KNESER_NEY_ORDER_MAX];
    double total = 0, given_up = 0, kept = 0;
    const double shorter = k ? probability(t, whole, at, k - 1, token) : 1 / (double)t->vocab;
    memcpy(gram, at - k, k);
    for (size_t v = 0; v < t->vocab; v++) {
        gram[k] = (uint8_t)v;
        const size_t c = count_of(t, gram, k + 1);
        const double d = discount(whole, k + 1, c);
        total += (double)c;
        given_up += d;
        if (v == token) kept = (double)c - d;
    }
    return total > 0 ? (kept + given_up * shorter) / total : shorter;
}

static text random_text(uint32_t seed, size_t vocab, size_t order) {
    text t = {.vocab = vocab, .order = order};
    for (uint32_t i = 0; i < LENGTH; i++) {
        const bv_random4 r = bv_random(seed, BV_RANDOM_TEST, 0, 0, i, 0);
        /* half of the tokens follow from the one before, so that there are frequent n-grams */
        t.tokens[i] = (uint8_t)(i && r.v[1] % 2 ? (t.tokens[i - 1] + 1u) % vocab : r.v[0] % vocab);
    }
    return t;
}

static void check_text(text t, size_t position, size_t known, bool take_out) {
    const text whole = t;
    uint32_t tokens[LENGTH];
    double p[BV_KNESER_NEY_VOCAB_MAX];
    bv_kneser_ney *m;
    for (size_t i = 0; i < LENGTH; i++) tokens[i] = t.tokens[i];
    assert_ok(bv_kneser_ney_create(t.tokens, LENGTH, t.vocab, t.order, &m));
    const uint32_t left_out = take_out ? tokens[position] : (uint32_t)t.vocab;
    bv_kneser_ney_predict(m, tokens + position - 1, known, left_out, p);
    if (take_out) t.taken = position;
    const size_t k = known + 1 < t.order ? known + 1 : t.order - 1;
    for (size_t v = 0; v < t.vocab; v++) {
        const double want = probability(&t, &whole, t.tokens + position, k, (uint8_t)v);
        if (fabs(p[v] - want) > 1e-14)
            fail_msg("order %zu of %zu tokens, position %zu, %zu known: p[%zu] is %.17g, not %.17g",
                     t.order, t.vocab, position, known, v, p[v], want);
    }
    bv_kneser_ney_destroy(&m);
}

static void test_definitions(void **state) {
    (void)state;
    for (size_t order = 1; order <= 5; order++)
        for (size_t vocab = 2; vocab <= 5; vocab += 3)
            for (size_t position = 8; position < LENGTH; position += 9) {
                const text t = random_text((uint32_t)(order * 100 + vocab), vocab, order);
                check_text(t, position, position - 1, false);
                check_text(t, position, position - 1, true);
                check_text(t, position, 0, false); /* the first tokens of a window */
                check_text(t, position, 1, false);
            }
}

/* ---- the ends ---- */

static void check_sum(const bv_kneser_ney *m, size_t vocab, const uint32_t *last, size_t known,
                      uint32_t left_out) {
    double p[BV_KNESER_NEY_VOCAB_MAX], sum = 0;
    bv_kneser_ney_predict(m, last, known, left_out, p);
    for (size_t v = 0; v < vocab; v++) {
        assert_true(p[v] > 0);
        sum += p[v];
    }
    assert_true(fabs(sum - 1) < 1e-13);
}

/* Every byte, and n-grams that fill a word: the highest token above all. */
static void test_bytes(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    static uint8_t tokens[COUNT];
    static uint32_t wide[COUNT];
    bv_kneser_ney *m;
    for (uint32_t i = 0; i < COUNT; i++) {
        const bv_random4 r = bv_random(3, BV_RANDOM_TEST, 0, 0, i, 0);
        wide[i] = tokens[i] = (uint8_t)(r.v[1] % 3 ? 255 : r.v[0]);
    }
    assert_ok(bv_kneser_ney_create(tokens, COUNT, 256, BV_KNESER_NEY_ORDER_MAX, &m));
    for (size_t i = 1; i < COUNT; i += 7) {
        check_sum(m, 256, wide + i - 1, i - 1, 256);
        check_sum(m, 256, wide + i - 1, i - 1, wide[i]);
        check_sum(m, 256, wide + i - 1, i - 1, (wide[i] + 1) % 256); /* was never there */
    }
    bv_kneser_ney_destroy(&m);
}

/* Texts with no n-gram of the order, or one, say nothing, or hardly anything. */
static void test_short_texts(void **state) {
    (void)state;
    const uint8_t tokens[] = {1, 0, 1, 1};
    const uint32_t wide[] = {1, 0, 1, 1};
    double p[2];
    bv_kneser_ney *m;
    for (size_t count = 0; count <= 4; count++) {
        assert_ok(bv_kneser_ney_create(tokens, count, 2, 4, &m));
        check_sum(m, 2, wide + 2, 2, 2);
        check_sum(m, 2, wide + 2, 2, 1);
        bv_kneser_ney_predict(m, wide + 2, 2, 2, p);
        if (count < 4)
            assert_true(p[0] == 0.5);
        else
            assert_true(p[1] > 0.5);
        bv_kneser_ney_predict(m, wide + 2, 2, 1, p); /* without the only one */
        assert_true(p[0] == 0.5);
        bv_kneser_ney_destroy(&m);
    }
}

/* Of what is too long not a byte is looked at. */
static void test_too_long(void **state) {
    (void)state;
    bv_kneser_ney *m;
    const size_t most = BV_KNESER_NEY_COUNT_MAX;
    assert_ok(bv_kneser_ney_check_count(most));
    assert_fails(bv_kneser_ney_check_count(most + 1), BV_CODE_USAGE,
                 "at most 268435456 tokens, not 268435457\n  try: --set kneser_ney=0");
    assert_fails(bv_kneser_ney_create(NULL, most + 1, 2, 3, &m), BV_CODE_USAGE, "at most");
    assert_null(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_short_texts), cmocka_unit_test(test_too_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

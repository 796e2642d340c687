/* Rows of n-grams: one each while they fit, shared evenly beyond, and the same in whole sequences
 * as token by token. That they mean what PyTorch's model means: test_golden.c. */
#include "model/gpt_inputs.h"
#include "model/ngram.h"
#include "support/check.h"

#define VOCAB 9

static bv_gpt_config config_of(size_t ngram, size_t rows) {
    return (bv_gpt_config){.vocab_size = VOCAB, .ngram = ngram, .ngram_rows = rows};
}

static void test_rows_of_their_own(void **state) {
    (void)state;
    const bv_gpt_config c = config_of(3, 1000); /* 10^3 with the token that is missing */
    bool seen[1000] = {0};
    assert_int_equal(bv_ngram_table_rows(&c, 2), 100);
    assert_int_equal(bv_ngram_table_rows(&c, 3), 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        const uint32_t tokens[] = {i / 100, i / 10 % 10, i % 10};
        const uint32_t row = bv_ngram_row(&c, 3, &tokens[2], 2);
        assert_true(row < 1000 && !seen[row]);
        seen[row] = true;
    }
}

static void test_shared_rows(void **state) {
    (void)state;
    const bv_gpt_config c = config_of(4, 999);
    unsigned uses[999] = {0};
    assert_int_equal(bv_ngram_table_rows(&c, 4), 999);
    for (uint32_t i = 0; i < 10000; i++) {
        const uint32_t tokens[] = {i / 1000, i / 100 % 10, i / 10 % 10, i % 10};
        const uint32_t row = bv_ngram_row(&c, 4, &tokens[3], 3);
        assert_true(row < 999);
        uses[row]++;
    }
    for (size_t i = 0; i < 999; i++) assert_true(uses[i] <= 30); /* 10 in the mean */
}

static void test_missing_tokens(void **state) {
    (void)state;
    const bv_gpt_config c = config_of(3, 999);
    const uint32_t tokens[] = {1, 2, 3}, none[] = {VOCAB, VOCAB, 3}, some[] = {VOCAB, 2, 3};
    assert_int_equal(bv_ngram_row(&c, 3, &tokens[2], 0), bv_ngram_row(&c, 3, &none[2], 2));
    assert_int_equal(bv_ngram_row(&c, 3, &tokens[2], 1), bv_ngram_row(&c, 3, &some[2], 2));
    assert_int_not_equal(bv_ngram_row(&c, 3, &tokens[2], 1), bv_ngram_row(&c, 3, &tokens[2], 2));
}

/* Two sequences; in the second a document begins at position 2. */
static void test_sequences(void **state) {
    (void)state;
    const bv_gpt gpt = {.config = config_of(3, 500)};
    const uint32_t tokens[] = {4, 5, 6, 7, 4, 5, 6, 7}, visible[] = {0, 0, 0, 0, 0, 0, 2, 2};
    bv_gpt_inputs in;
    assert_ok(bv_gpt_inputs_create(&gpt, NULL, bv_kernels_reference(), NULL, 10, &in));
    bv_gpt_inputs_lay_out(&in, tokens, NULL, 2, 4, visible);
    const uint32_t *pairs = in.ngrams, *triples = in.ngrams + 10;
    for (size_t r = 0; r < 8; r++) {
        const size_t known = r % 4 - visible[r];
        assert_int_equal(in.positions[r], r % 4);
        assert_int_equal(pairs[r], bv_ngram_row(&gpt.config, 2, &tokens[r], known));
        assert_int_equal(triples[r], bv_ngram_row(&gpt.config, 3, &tokens[r], known));
    }
    assert_int_equal(pairs[3], pairs[7]);         /* 6 7 */
    assert_int_not_equal(triples[3], triples[7]); /* 5 6 7, and 6 7 that begin a document */
    assert_int_not_equal(pairs[2], pairs[6]);     /* 5 6, and 6 */
    bv_gpt_inputs_destroy(&in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_their_own), cmocka_unit_test(test_shared_rows),
        cmocka_unit_test(test_missing_tokens), cmocka_unit_test(test_sequences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

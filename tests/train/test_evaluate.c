/* Where documents begin in windows of text: the mask of training and evaluation. And which windows
 * are evaluated: each token once, or windows that are spread over the text. */
#include "support/check.h"

#include "support/tiny_gpt.h"
#include "train/evaluate.h"

#define END 9

static void test_an_end_of_text_begins_the_next_document(void **state) {
    (void)state;
    const uint32_t tokens[] = {1, 2,   END, 3, 4, END, END, 5, /* the second window: */
                               6, END, 7,   8, 1, 2,   3,   4};
    const uint32_t expected[] = {0, 0, 2, 2, 2, 5, 6, 6, 0, 1, 1, 1, 1, 1, 1, 1};
    uint32_t found[16];
    bv_first_visible(tokens, 2, 8, END, found);
    assert_memory_equal(found, expected, sizeof expected);
}

static void test_without_an_end_a_window_is_one_document(void **state) {
    (void)state;
    const uint32_t tokens[] = {1, 2, 3, 4, 5, 6}, expected[6] = {0};
    uint32_t found[6];
    bv_first_visible(tokens, 2, 3, END, found);
    assert_memory_equal(found, expected, sizeof expected);
}

/* ---- windows ---- */

#define TEXT_MAX 64

typedef struct world {
    bv_pool *pool;
    bv_gpt_trainer *trainer;
    bv_gpt_scorer *scorer;
    uint32_t text[TEXT_MAX];
    volatile sig_atomic_t signal;
    int calls; /* of progress */
} world;

static int begin(void **state) {
    static world w;
    const bv_kernels *kernels;
    bv_gpt_config config = tiny_gpt2();
    *state = &w;
    assert_ok(bv_gpt_config_check(&config));
    assert_ok(bv_kernels_pick(&kernels));
    assert_ok(bv_pool_create(2, &w.pool));
    const bv_gpt_trainer_options options = {.config = config,
                                            .kernels = kernels,
                                            .pool = w.pool,
                                            .batch_max = 2,
                                            .micro_batch = 2,
                                            .grains = 1,
                                            .seed = 4,
                                            .optimizer = BV_OPTIMIZER_ADAMW};
    assert_ok(bv_gpt_trainer_create(&options, &w.trainer));
    w.scorer = bv_gpt_trainer_scorer(w.trainer);
    for (uint32_t i = 0; i < TEXT_MAX; i++)
        w.text[i] = bv_random(3, BV_RANDOM_TEST, 0, 0, i, 0).v[0] % TINY_VOCAB;
    return 0;
}

static int end(void **state) {
    world *w = *state;
    bv_gpt_trainer_destroy(&w->trainer);
    bv_pool_destroy(&w->pool);
    return 0;
}

static void read_text(const void *context, uint64_t offset, size_t count, uint32_t *tokens) {
    assert_true(offset + count <= TEXT_MAX);
    memcpy(tokens, (const uint32_t *)context + offset, count * sizeof *tokens);
}

/* Some windows, one after another. */
static bv_evaluation slow_sum(const world *w, size_t tokens, const size_t *windows, size_t count,
                              bool masked) {
    bv_evaluation sum = {0};
    for (size_t i = 0; i < count; i++) {
        const uint32_t *at = w->text + windows[i] * TINY_CONTEXT;
        const size_t left = tokens - 1 - windows[i] * TINY_CONTEXT,
                     n = left < TINY_CONTEXT ? left : TINY_CONTEXT;
        uint32_t visible[TINY_CONTEXT];
        float losses[TINY_CONTEXT];
        bv_first_visible(at, 1, n, END, visible);
        bv_gpt_scorer_losses(w->scorer, at, at + 1, masked ? visible : NULL, 1, n, losses);
        for (size_t k = 0; k < n; k++) sum.nats += (double)losses[k];
        sum.tokens += n;
    }
    return sum;
}

static void check_windows(const world *w, size_t tokens, size_t most, const size_t *windows,
                          size_t count) {
    const bv_token_source source = {read_text, w->text, tokens};
    for (size_t batch = 1; batch <= 7; batch++)
        for (int masked = 0; masked < 2; masked++) {
            const bv_evaluation expected = slow_sum(w, tokens, windows, count, masked);
            const bv_evaluate_options options = {.context = TINY_CONTEXT,
                                                 .batch = batch,
                                                 .windows_max = most,
                                                 .document_mask = masked,
                                                 .end_of_text = END};
            bv_evaluation found;
            assert_ok(bv_evaluate(w->scorer, &source, &options, &found));
            if (found.nats != expected.nats || found.tokens != expected.tokens)
                fail_msg("%zu tokens, at most %zu windows, batch %zu: %.17g nats of %llu tokens",
                         tokens, most, batch, found.nats, (unsigned long long)found.tokens);
            assert_false(found.interrupted);
        }
}

static void test_each_token_once(void **state) {
    static const size_t all[] = {0, 1, 2, 3, 4, 5};
    static const struct {
        size_t tokens, windows;
    } texts[] = {{2, 1}, {10, 1}, {11, 1}, {12, 2}, {51, 5}, {52, 6}, {57, 6}, {61, 6}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check_windows(*state, texts[i].tokens, 0, all, texts[i].windows);
        check_windows(*state, texts[i].tokens, texts[i].windows, all, texts[i].windows);
        check_windows(*state, texts[i].tokens, 1000, all, texts[i].windows);
    }
}

static void test_some_windows_are_spread(void **state) {
    static const size_t one[] = {0}, two[] = {0, 3}, four[] = {0, 1, 3, 4},
                        five[] = {0, 1, 2, 3, 4};
    check_windows(*state, 57, 1, one, 1);
    check_windows(*state, 57, 2, two, 2);
    check_windows(*state, 57, 4, four, 4);
    check_windows(*state, 57, 5, five, 5);
}

static void stop_after_two(void *context, const bv_evaluation *so_far) {
    world *w = context;
    assert_int_equal(so_far->tokens, 20 * ++w->calls);
    w->signal = w->calls == 2;
}

static void test_a_signal_ends_it_early(void **state) {
    world *w = *state;
    const bv_token_source source = {read_text, w->text, 61};
    const bv_evaluate_options options = {.context = TINY_CONTEXT,
                                         .batch = 2,
                                         .signal = &w->signal,
                                         .progress = stop_after_two,
                                         .progress_context = w};
    bv_evaluation found;
    assert_ok(bv_evaluate(w->scorer, &source, &options, &found));
    assert_true(found.interrupted);
    assert_int_equal(found.tokens, 40);
}

static void test_too_short(void **state) {
    const world *w = *state;
    const bv_evaluate_options options = {.context = TINY_CONTEXT, .batch = 2};
    bv_evaluation found;
    for (uint64_t count = 0; count < 2; count++) {
        const bv_token_source source = {read_text, w->text, count};
        assert_fails(bv_evaluate(w->scorer, &source, &options, &found), BV_CODE_INPUT,
                     "at least 2 are needed");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_end_of_text_begins_the_next_document),
        cmocka_unit_test(test_without_an_end_a_window_is_one_document),
        cmocka_unit_test(test_each_token_once),
        cmocka_unit_test(test_some_windows_are_spread),
        cmocka_unit_test(test_a_signal_ends_it_early),
        cmocka_unit_test(test_too_short),
    };
    return cmocka_run_group_tests(tests, begin, end);
}

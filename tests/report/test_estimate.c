/* Estimates of memory against what a trainer really takes. */
#include "report/estimate.h"

#include "model/gpt.h"
#include "model/gpt_train.h"
#include "support/any_settings.h"
#include "support/check.h"
#include <math.h>

static bv_settings settings_of(const char *words) {
    bv_settings s;
    bv_settings_default(&s);
    assert_ok(bv_settings_preset(&s, "tiny"));
    assert_ok(bv_settings_set(&s, "vocab_size", "300"));
    assert_ok(bv_settings_words(&s, words));
    assert_ok(bv_settings_check(&s));
    return s;
}

static void check_parameters(bv_gpt_trainer *trainer, const bv_settings *s) {
    size_t count, elements = 0;
    const bv_named_tensor *list = bv_gpt_trainer_parameters(trainer, &count);
    for (size_t i = 0; i < count; i++)
        elements += list[i].shape[0] * (list[i].rank == 1 ? 1 : list[i].shape[1]);
    assert_int_equal(bv_gpt_parameter_count(&s->model), elements);
}

static void check_settings(const bv_settings *s, const bv_kernels *kernels, int threads) {
    bv_pool *pool;
    assert_ok(bv_pool_create(threads, &pool));
    bv_estimate e;
    assert_ok(bv_estimate_memory(s, 0, kernels, pool, &e));
    bv_gpt_trainer *trainer;
    assert_ok(bv_gpt_trainer_create(&(bv_gpt_trainer_options){.config = s->model,
                                                              .numerics = s->numerics,
                                                              .kernels = kernels,
                                                              .pool = pool,
                                                              .batch_max = s->batch,
                                                              .micro_batch = s->micro_batch,
                                                              .grains = s->grains,
                                                              .recompute = s->recompute,
                                                              .unfused = !s->fuse,
                                                              .optimizer = s->optimizer},
                                    &trainer));
    check_parameters(trainer, s);
    const bv_gpt_trainer_memory m = bv_gpt_trainer_memory_used(trainer);
    assert_int_equal(e.weights, m.weights);
    assert_int_equal(e.gradients, m.gradients);
    assert_int_equal(e.optimizer, m.optimizer);
    assert_int_equal(e.activations, m.activations);
    assert_int_equal(e.total, e.weights + e.gradients + e.optimizer + e.activations);
    bv_gpt_trainer_destroy(&trainer);
    bv_pool_destroy(&pool);
}

static void check(const char *words, int threads) {
    const bv_settings s = settings_of(words);
    const bv_kernels *kernels;
    assert_ok(bv_kernels_pick(&kernels));
    check_settings(&s, kernels, threads);
}

static void test_against_trainer(void **state) {
    (void)state;
    check("", 1);
    check("dtype=bf16", 2);
    check("recompute=all layers=6", 2);
    check("recompute=cheap activation=swiglu qk_norm=true", 2);
    check("fuse=false dropout=0.1", 3);
    check("optimizer=muon grains=8 dtype=bf16", 2);
    check("grains=2 micro_batch=3 tied=false", 1);
    check("ngram=4 ngram_rows=600 optimizer=muon", 2);
    check("activation=swiglu rms_norm=true position=rope bias=false kv_heads=1 context=200", 2);
    check("batch=32 dtype=bf16", 2); /* BV_MANY_ROWS */
    check("optimizer=muon", 64);     /* more threads than matrices */
}

static void test_any_settings(void **state) {
    (void)state;
    const any_range r = any_wanted(150);
    size_t levels;
    const bv_kernels *const *list = bv_kernels_all(&levels);
    for (uint32_t i = r.first; i < r.end; i++) {
        any_settings a = any_begin(r.seed, i);
        bv_settings s;
        any_apply(&a, &s);
        const bv_kernels *kernels = list[any_draw(&a, (uint32_t)levels)];
        print_message("draw %u, %s: %s\n", i, kernels->level, a.text.data);
        if (bv_kernels_usable(kernels)) check_settings(&s, kernels, 1 + (int)any_draw(&a, 4));
        bv_buffer_free(&a.text);
    }
}

static bv_estimate estimate_with(const char *word) {
    bv_settings s = settings_of("layers=8 batch=33");
    assert_ok(bv_settings_words(&s, word));
    assert_ok(bv_settings_check(&s));
    const bv_kernels *kernels;
    assert_ok(bv_kernels_pick(&kernels));
    bv_estimate e;
    assert_ok(bv_estimate_memory(&s, 0, kernels, NULL, &e));
    return e;
}

static void test_settings_matter(void **state) {
    (void)state;
    const bv_estimate all = estimate_with("micro_batch=33");
    assert_true(estimate_with("micro_batch=8").activations < all.activations);
    const bv_estimate cheap = estimate_with("recompute=cheap");
    assert_true(cheap.activations < all.activations);
    assert_true(estimate_with("recompute=all").activations < cheap.activations);
    /* Plans of fewer rows keep both packed forms of each layer's matrices, 12 x 32 x 32. */
    const bv_estimate few = estimate_with("micro_batch=31");
    assert_int_equal(few.weights - all.weights, 8 * 12 * 32 * 32 * 2 * sizeof(float));
}

/* A model that no machine here could hold is still estimated: weights, gradients and AdamW in f32
 * are at least 16 bytes a parameter. */
static void test_gpt3(void **state) {
    (void)state;
    bv_settings s;
    bv_settings_default(&s);
    assert_ok(bv_settings_preset(&s, "gpt3-175b"));
    s.model.vocab_size = 50257;
    assert_ok(bv_settings_check(&s));
    const bv_kernels *kernels;
    assert_ok(bv_kernels_pick(&kernels));
    bv_estimate e;
    assert_ok(bv_estimate_memory(&s, 0, kernels, NULL, &e));
    assert_true((double)e.total > 16 * 174e9 && (double)e.total < 20 * 176e9);
    assert_fails(bv_estimate_fits(&e, "gpt3-175b"), BV_CODE_MEMORY, "gpt3-175b needs 2.9 TB");
    assert_ok(bv_estimate_fits(&(bv_estimate){.total = 1}, "nothing"));
}

/* Every second layer's queries see no more than the band; each sees half of itself, as causal
 * attention over all counts half of the context. */
static void test_band_is_counted(void **state) {
    (void)state;
    const bv_settings s = settings_of("band=20"); /* context 32 */
    bv_settings dense = s;
    dense.model.band = 0;
    for (size_t band = 1; band <= 40; band++) {
        bv_settings banded = s;
        banded.model.band = band;
        double spared = 0;
        for (size_t i = 0; i < s.model.context; i++)
            if (i >= band) spared += (double)i + 0.5 - (double)band;
        const double flops = 4 * spared * (double)(s.model.heads * s.model.d_head);
        const double less =
            bv_gpt_forward_flops(&dense.model) - bv_gpt_forward_flops(&banded.model);
        assert_true(fabs(less * (double)s.model.context - flops) < 1e-3);
    }
}

/* n-grams are counted from a token a byte, in keys of eight bytes that are sorted from one place
 * into another; what is left beside them fits into the same for a text like this. */
static void test_counted_ngrams(void **state) {
    (void)state;
    const bv_settings s = settings_of("vocab_size=65 kneser_ney=7 tied=false");
    const bv_kernels *kernels;
    assert_ok(bv_kernels_pick(&kernels));
    bv_estimate without, with;
    assert_ok(bv_estimate_memory(&s, 0, kernels, NULL, &without));
    assert_ok(bv_estimate_memory(&s, 1000, kernels, NULL, &with));
    assert_int_equal(without.counts, 0);
    assert_int_equal(with.counts, 17 * 1000);
    assert_int_equal(with.total, without.total + with.counts);
    const bv_settings plain = settings_of("");
    assert_ok(bv_estimate_memory(&plain, 1000, kernels, NULL, &with));
    assert_int_equal(with.counts, 0);
}

/* Sizes whose sums go beyond 64 bits are refused, and not told as something small. */
static void test_too_large(void **state) {
    (void)state;
    const bv_kernels *kernels;
    bv_estimate e;
    assert_ok(bv_kernels_pick(&kernels));
    for (int one = 0; one < 2; one++) { /* many tensors, or one that is too large alone */
        bv_settings s = settings_of("width=100000 ff_width=1000000 heads=1000 context=1000000 "
                                    "batch=1000000");
        assert_ok(bv_settings_words(&s, one ? "layers=1 vocab_size=10000000" : "layers=40"));
        assert_ok(bv_settings_check(&s));
        assert_fails(bv_estimate_memory(&s, 0, kernels, NULL, &e), BV_CODE_USAGE,
                     "more than 2^60 bytes");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_trainer), cmocka_unit_test(test_any_settings),
        cmocka_unit_test(test_settings_matter), cmocka_unit_test(test_gpt3),
        cmocka_unit_test(test_band_is_counted), cmocka_unit_test(test_counted_ngrams),
        cmocka_unit_test(test_too_large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

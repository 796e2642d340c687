/* The gradient of whole models, every parameter of it, against finite differences in double: the
 * plan runs at the f64 level, so what is compared is the mathematics of every op and of autograd.
 */
#include "support/check.h"
#include "support/tiny_gpt.h"
#include <math.h>

static double loss_of(bv_gpt_trainer *t, const uint32_t *inputs, const uint32_t *targets) {
    double losses[TINY_ROWS], sum = 0;
    bv_gpt_trainer_changed(t);
    bv_gpt_scorer_losses(bv_gpt_trainer_scorer(t), inputs, targets, NULL, TINY_BATCH, TINY_CONTEXT,
                         losses);
    for (int i = 0; i < TINY_ROWS; i++) sum += losses[i];
    return sum / TINY_ROWS;
}

/* Central differences with step h have an error of h^2 f'''/6 and rounding of eps f / h. */
static void check_gradient(bv_gpt_config config, bv_recompute recompute) {
    assert_null(bv_gpt_config_check(&config));
    bv_pool *pool;
    assert_null(bv_pool_create(1, &pool));
    const bv_gpt_trainer_options options = {.config = config,
                                            .numerics = BV_NUMERICS_F64,
                                            .kernels = bv_kernels_reference(),
                                            .pool = pool,
                                            .batch_max = TINY_BATCH,
                                            .micro_batch = 3,
                                            .grains = 1,
                                            .recompute = recompute,
                                            .seed = 7};
    bv_gpt_trainer *t;
    assert_null(bv_gpt_trainer_create(&options, &t));
    uint32_t inputs[TINY_ROWS], targets[TINY_ROWS];
    tiny_batch(3, inputs, targets);
    /* Larger weights than the initialization's, so that no gradient is tiny. */
    size_t count;
    const bv_named_tensor *list = bv_gpt_trainer_parameters(t, &count);
    for (size_t p = 0; p < count; p++) {
        const size_t n = bv_named_tensor_elements(&list[p]);
        for (size_t i = 0; i < n; i++) {
            const bv_random4 r = bv_random(1, BV_RANDOM_TEST, 2, (uint32_t)p, (uint32_t)i, 0);
            ((double *)list[p].data)[i] += bv_uniform_f64(r.v[0], r.v[1]) - 0.5;
        }
    }
    bv_gpt_trainer_changed(t);
    double loss, norm;
    tiny_gradient(t, 0, 3, 1, inputs, targets, &loss, &norm);
    assert_true(fabs(loss - loss_of(t, inputs, targets)) < 1e-13);
    const double h = 1e-5;
    for (size_t p = 0; p < count; p++) {
        double *w = list[p].data;
        const double *g = bv_gpt_trainer_parameter_gradient(t, p);
        const size_t n = bv_named_tensor_elements(&list[p]);
        for (size_t i = 0; i < n; i += 1 + n / 40) { /* some forty elements of each */
            const double saved = w[i];
            w[i] = saved + h;
            const double up = loss_of(t, inputs, targets);
            w[i] = saved - h;
            const double down = loss_of(t, inputs, targets);
            w[i] = saved;
            const double numeric = (up - down) / (2 * h);
            if (fabs(numeric - g[i]) > 1e-8 + 1e-7 * fabs(numeric))
                fail_msg("%s[%zu]: %.12g, finite difference %.12g", list[p].name, i, g[i], numeric);
        }
    }
    bv_gpt_trainer_destroy(&t);
    bv_pool_destroy(&pool);
}

static void test_gpt2(void **state) {
    (void)state;
    check_gradient(tiny_gpt2(), BV_RECOMPUTE_NONE);
}

static void test_modern(void **state) {
    (void)state;
    check_gradient(tiny_modern(), BV_RECOMPUTE_NONE);
}

static void test_recomputed(void **state) {
    (void)state;
    check_gradient(tiny_modern(), BV_RECOMPUTE_CHEAP);
    check_gradient(tiny_modern(), BV_RECOMPUTE_ALL);
}

static void test_squared_relu(void **state) {
    (void)state;
    bv_gpt_config config = tiny_modern();
    config.activation = BV_RELU2;
    config.logit_soft_cap = 0;
    check_gradient(config, BV_RECOMPUTE_NONE);
}

static void test_ngrams(void **state) {
    (void)state;
    bv_gpt_config config = tiny_modern();
    config.layers = 1;
    config.ngram = 3;
    config.ngram_rows = 30;
    check_gradient(config, BV_RECOMPUTE_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gpt2), cmocka_unit_test(test_modern),
                                       cmocka_unit_test(test_recomputed),
                                       cmocka_unit_test(test_squared_relu),
                                       cmocka_unit_test(test_ngrams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

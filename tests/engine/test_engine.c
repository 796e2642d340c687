/* One log-probability, whichever way it is computed: in training's forward pass, by the scorer of
 * `eval`, and by the engine, token by token or in pieces, alone or beside other sequences. */
#include "support/check.h"

#include "base/random.h"
#include "engine/engine.h"
#include "model/gpt_train.h"
#include "support/tiny_gpt.h"

#define CONTEXT 150 /* more than two pages of the KV cache, and than two tiles of keys */

typedef struct world {
    bv_gpt_config config;
    const bv_kernels *kernels;
    bv_numerics numerics;
    bv_pool *pool;
    bv_kneser_ney *counts;
    bv_gpt_trainer *trainer;
    uint32_t inputs[CONTEXT], targets[CONTEXT];
    float trained[CONTEXT]; /* -log p of each target in training's forward pass; with counts, which
                               training looks at otherwise, by the trainer's scorer */
    char what[80];
} world;

/* A step, so that the network has a word to say; then what it says. */
static void correct_counts(world *w) {
    double loss, norm;
    bv_gpt_trainer_gradient(w->trainer, &loss, &norm);
    bv_gpt_trainer_apply(
        w->trainer,
        &(bv_optimizer_step){
            .lr = 0.1, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .gradient_scale = 1, .step = 1});
    bv_gpt_scorer_losses(bv_gpt_trainer_scorer(w->trainer), w->inputs, w->targets, NULL, 1, CONTEXT,
                         w->trained);
}

static void begin(world *w, bv_gpt_config config, const bv_kernels *kernels, bv_numerics numerics,
                  int threads) {
    *w = (world){.config = config, .kernels = kernels, .numerics = numerics};
    w->config.context = CONTEXT;
    assert_ok(bv_gpt_config_check(&w->config));
    assert_ok(bv_pool_create(threads, &w->pool));
    w->counts = tiny_counts(&w->config);
    const bv_gpt_trainer_options options = {.config = w->config,
                                            .kneser_ney = w->counts,
                                            .numerics = numerics,
                                            .kernels = kernels,
                                            .pool = w->pool,
                                            .batch_max = 1,
                                            .micro_batch = 1,
                                            .grains = 1,
                                            .seed = 4,
                                            .optimizer = BV_OPTIMIZER_ADAMW};
    assert_ok(bv_gpt_trainer_create(&options, &w->trainer));
    for (uint32_t i = 0; i <= CONTEXT; i++) {
        const uint32_t token = bv_random(2, BV_RANDOM_TEST, 0, 0, i, 0).v[0] % TINY_VOCAB;
        if (i < CONTEXT) w->inputs[i] = token;
        if (i) w->targets[i - 1] = token;
    }
    bv_gpt_trainer_step_begin(w->trainer, 0, CONTEXT);
    bv_gpt_trainer_grain_begin(w->trainer);
    bv_gpt_trainer_micro(w->trainer, w->inputs, w->targets, NULL, 1, 0);
    bv_gpt_trainer_grain_end(w->trainer);
    memcpy(w->trained, bv_gpt_trainer_row_losses(w->trainer), sizeof w->trained);
    if (w->counts) correct_counts(w);
    snprintf(w->what, sizeof w->what, "%s, %s, %d threads, %zu KV heads", kernels->level,
             bv_numerics_name(numerics), threads, w->config.kv_heads);
}

static void end(world *w) {
    bv_gpt_trainer_destroy(&w->trainer);
    bv_kneser_ney_destroy(&w->counts);
    bv_pool_destroy(&w->pool);
}

static void same(const world *w, const char *how, size_t at, float loss) {
    if (memcmp(&loss, &w->trained[at], sizeof loss))
        fail_msg("%s: %s: -log p of token %zu is %a, in training %a", w->what, how, at,
                 (double)loss, (double)w->trained[at]);
}

static void check_scorer(world *w) {
    float losses[CONTEXT];
    bv_gpt_scorer *scorer;
    const bv_gpt_scorer_options options = {.config = w->config,
                                           .numerics = w->numerics,
                                           .kernels = w->kernels,
                                           .pool = w->pool,
                                           .weights = bv_gpt_trainer_weights(w->trainer),
                                           .kneser_ney = w->counts,
                                           .sequences_max = 2,
                                           .context = CONTEXT};
    assert_ok(bv_gpt_scorer_create(&options, &scorer));
    bv_gpt_scorer_losses(scorer, w->inputs, w->targets, NULL, 1, CONTEXT, losses);
    for (size_t i = 0; i < CONTEXT; i++) same(w, "whole", i, losses[i]);
    bv_gpt_scorer_losses(scorer, w->inputs, w->targets, NULL, 1, 70, losses);
    for (size_t i = 0; i < 70; i++) same(w, "a shorter text", i, losses[i]);
    bv_gpt_scorer_destroy(&scorer);
}

static void check_engine(world *w) {
    bv_engine *e;
    const bv_engine_options options = {.config = w->config,
                                       .numerics = w->numerics,
                                       .kernels = w->kernels,
                                       .pool = w->pool,
                                       .weights = bv_gpt_trainer_weights(w->trainer),
                                       .kneser_ney = w->counts,
                                       .rows_max = 40,
                                       .sequences_max = 3};
    assert_ok(bv_engine_create(&options, &e));
    for (size_t i = 0; i < CONTEXT; i++) {
        assert_ok(bv_engine_feed(e, 0, w->inputs + i, 1));
        same(w, "token by token", i, -bv_engine_logprob(e, 0, w->targets[i]));
    }
    assert_fails(bv_engine_feed(e, 0, w->inputs, 1), BV_CODE_INPUT, "do not fit");
    /* Pieces of 1, 2, 3 ... tokens, some longer than a step of the engine. */
    bv_engine_reset(e, 1);
    for (size_t at = 0, n = 1; at + n <= CONTEXT; at += n, n = n < 20 ? n + 1 : 47) {
        assert_ok(bv_engine_feed(e, 1, w->inputs + at, n));
        same(w, "in pieces", at + n - 1, -bv_engine_logprob(e, 0, w->targets[at + n - 1]));
    }
    /* A copy goes on beside a sequence that stands elsewhere. */
    bv_engine_reset(e, 0);
    bv_engine_reset(e, 2);
    assert_ok(bv_engine_feed(e, 0, w->inputs, 66));
    assert_ok(bv_engine_copy(e, 0, 1));
    for (size_t i = 66; i < CONTEXT; i++) {
        const size_t sequences[] = {2, 1};
        const uint32_t tokens[] = {w->inputs[i - 66], w->inputs[i]};
        assert_ok(bv_engine_step(e, sequences, tokens, 2));
        same(w, "beside another", i, -bv_engine_logprob(e, 1, w->targets[i]));
        same(w, "the other", i - 66, -bv_engine_logprob(e, 0, w->targets[i - 66]));
    }
    bv_engine_destroy(&e);
}

static void test_one_probability(void **state) {
    (void)state;
    size_t count;
    const bv_kernels *const *levels = bv_kernels_all(&count);
    for (size_t l = 0; l < count; l++)
        for (int n = 0; n < 8; n++) {
            if (!bv_kernels_usable(levels[l])) continue;
            world w;
            const bv_gpt_config configs[] = {tiny_gpt2(), tiny_modern(), tiny_ngram(),
                                             tiny_counted()};
            begin(&w, configs[n % 4], levels[l], n / 4 ? BV_NUMERICS_BF16 : BV_NUMERICS_F32,
                  1 + (n + (int)l) % 3);
            check_scorer(&w);
            check_engine(&w);
            end(&w);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_probability)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A tiny model and a batch of tokens for tests that train. */
#ifndef BV_TESTS_SUPPORT_TINY_GPT_H
#define BV_TESTS_SUPPORT_TINY_GPT_H

#include "base/random.h"
#include "model/gpt_train.h"
#include "support/check.h"

#define TINY_BATCH 4
#define TINY_CONTEXT 10
#define TINY_ROWS (TINY_BATCH * TINY_CONTEXT)
#define TINY_VOCAB 21

static inline bv_gpt_config tiny_gpt2(void) {
    return (bv_gpt_config){.vocab_size = TINY_VOCAB,
                           .context = TINY_CONTEXT,
                           .layers = 2,
                           .heads = 2,
                           .width = 12,
                           .position = BV_POSITION_LEARNED,
                           .norm_eps = 1e-5,
                           .bias = true,
                           .activation = BV_GELU_TANH,
                           .tied = true};
}

static inline bv_gpt_config tiny_modern(void) {
    return (bv_gpt_config){.vocab_size = TINY_VOCAB,
                           .context = TINY_CONTEXT,
                           .layers = 2,
                           .heads = 4,
                           .kv_heads = 2,
                           .width = 16,
                           .ff_width = 24,
                           .position = BV_POSITION_ROPE,
                           .rope_base = 10000,
                           .rms_norm = true,
                           .norm_eps = 1e-5,
                           .qk_norm = true,
                           .activation = BV_SWIGLU,
                           .logit_soft_cap = 5,
                           .band = 4};
}

/* With embeddings of pairs, a row each, and of triples and quadruples, which share rows. */
static inline bv_gpt_config tiny_ngram(void) {
    bv_gpt_config config = tiny_modern();
    config.ngram = 4;
    config.ngram_rows = 500;
    return config;
}

/* Corrects n-grams of a text. */
static inline bv_gpt_config tiny_counted(void) {
    bv_gpt_config config = tiny_modern();
    config.logit_soft_cap = 0;
    config.kneser_ney = 3;
    return config;
}

/* The counts for such a model, of 2,000 random tokens; NULL for others. */
static inline bv_kneser_ney *tiny_counts(const bv_gpt_config *config) {
    uint8_t tokens[2000];
    bv_kneser_ney *counts = NULL;
    for (uint32_t i = 0; i < sizeof tokens; i++)
        tokens[i] = bv_random(8, BV_RANDOM_TEST, 0, 0, i, 0).v[0] % TINY_VOCAB;
    if (config->kneser_ney)
        assert_ok(
            bv_kneser_ney_create(tokens, sizeof tokens, TINY_VOCAB, config->kneser_ney, &counts));
    return counts;
}

static inline void tiny_batch(uint64_t seed, uint32_t *inputs, uint32_t *targets) {
    for (uint32_t i = 0; i < TINY_ROWS; i++) {
        inputs[i] = bv_random(seed, BV_RANDOM_TEST, 0, 0, i, 0).v[0] % TINY_VOCAB;
        targets[i] = bv_random(seed, BV_RANDOM_TEST, 1, 0, i, 0).v[0] % TINY_VOCAB;
    }
}

/* One whole step's gradient: grains of equal size, micro-batches of `micro` sequences. */
static inline void tiny_gradient(bv_gpt_trainer *t, uint32_t step, size_t micro, size_t grains,
                                 const uint32_t *inputs, const uint32_t *targets, double *loss,
                                 double *norm) {
    const size_t grain = TINY_BATCH / grains;
    bv_gpt_trainer_step_begin(t, step, TINY_ROWS);
    for (size_t g = 0; g < TINY_BATCH; g += grain) {
        bv_gpt_trainer_grain_begin(t);
        for (size_t i = g; i < g + grain; i += micro) {
            const size_t n = g + grain - i < micro ? g + grain - i : micro;
            bv_gpt_trainer_micro(t, inputs + i * TINY_CONTEXT, targets + i * TINY_CONTEXT, NULL, n,
                                 i);
        }
        bv_gpt_trainer_grain_end(t);
    }
    bv_gpt_trainer_gradient(t, loss, norm);
}

#endif

/*
 * Small fixed work on one thread, for counting its instructions: workload NAME. What is counted
 * happens between ratchet_begin and ratchet_end, after a first run that makes what is made once.
 * BEAVER_CPU chooses the level of kernels.
 */
#include "base/memory.h"
#include "engine/engine.h"
#include "model/gpt_score.h"
#include "text/tokenizer.h"
#include "train/rehearsal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) void ratchet_begin(void);
__attribute__((noinline)) void ratchet_end(void);

void ratchet_begin(void) {
    __asm__ volatile("");
}

void ratchet_end(void) {
    __asm__ volatile("" ::: "memory");
}

static void settings(bv_settings *s, const char *dtype) {
    bv_settings_default(s);
    bv_error *error = bv_settings_words(
        s, "vocab_size=67 context=24 layers=1 heads=2 width=48 batch=2 position=rope");
    if (!error) error = bv_settings_set(s, "dtype", dtype);
    if (!error) error = bv_settings_check(s);
    BV_ASSERT(!error);
}

static bv_status train(const bv_kernels *kernels, bv_pool *pool, const char *dtype) {
    bv_settings s;
    bv_rehearsal *rehearsal;
    size_t tokens;
    settings(&s, dtype);
    const bv_train_options options = {
        .settings = &s, .end_of_text = UINT32_MAX, .kernels = kernels, .pool = pool};
    BV_TRY(bv_rehearsal_create(&options, &rehearsal));
    bv_rehearsal_step(rehearsal, &tokens);
    ratchet_begin();
    bv_rehearsal_step(rehearsal, &tokens);
    ratchet_end();
    bv_rehearsal_destroy(&rehearsal);
    return BV_OK;
}

/* A token after a prompt. */
static bv_status generate(const bv_kernels *kernels, bv_pool *pool, const char *dtype) {
    bv_settings s;
    bv_weights *weights;
    bv_engine *engine;
    static const uint32_t prompt[] = {3, 14, 15, 9, 26, 5, 35};
    settings(&s, dtype);
    BV_TRY(bv_gpt_weights_create(&s.model, kernels, pool, &weights));
    bv_weights_initialize(weights, 1);
    BV_TRY(bv_engine_create(&(bv_engine_options){.config = s.model,
                                                 .numerics = s.numerics,
                                                 .kernels = kernels,
                                                 .pool = pool,
                                                 .weights = weights,
                                                 .rows_max = 8,
                                                 .sequences_max = 1},
                            &engine));
    BV_TRY(bv_engine_feed(engine, 0, prompt, 7));
    ratchet_begin();
    bv_error *error = bv_engine_feed(engine, 0, prompt, 1);
    ratchet_end();
    bv_engine_destroy(&engine);
    bv_weights_destroy(&weights);
    return error;
}

static bv_status encode(void) {
    static const bv_pair merges[] = {{'t', 'h'}, {256, 'e'}, {'i', 'n'}, {'e', 'r'}, {' ', 257}};
    static const char sentence[] = "The other beaver isn't in the 12 rivers; there it'll gnaw.\n";
    char text[32 * sizeof sentence] = "";
    bv_tokenizer *t;
    bv_encoder *encoder;
    const uint32_t *tokens;
    size_t count;
    for (int i = 0; i < 32; i++) memcpy(text + strlen(text), sentence, sizeof sentence);
    BV_TRY(bv_tokenizer_bpe("gpt2", merges, sizeof merges / sizeof *merges, &t));
    BV_TRY(bv_encoder_create(t, &encoder));
    BV_TRY(bv_encoder_encode(encoder, text, strlen(text), &tokens, &count));
    ratchet_begin();
    bv_error *error = bv_encoder_encode(encoder, text, strlen(text), &tokens, &count);
    ratchet_end();
    bv_encoder_destroy(&encoder);
    bv_tokenizer_destroy(&t);
    return error;
}

int main(int argc, char **argv) {
    const bv_kernels *kernels;
    bv_pool *pool;
    const char *what = argc > 1 ? argv[1] : "", *dash = strchr(what, '-');
    const char *dtype = dash ? dash + 1 : "f32";
    bv_error *error = bv_kernels_pick(&kernels);
    if (!error) error = bv_pool_create(1, &pool);
    if (error) {
        fprintf(stderr, "%s\n", bv_error_text(error));
        return 77; /* this CPU has no such level */
    }
    if (!strncmp(what, "train-", 6))
        error = train(kernels, pool, dtype);
    else if (!strncmp(what, "generate-", 9))
        error = generate(kernels, pool, dtype);
    else if (!strcmp(what, "encode"))
        error = encode();
    else
        error = bv_fail(BV_CODE_USAGE, "no workload is called \"%s\"", what);
    if (error) fprintf(stderr, "%s\n", bv_error_text(error));
    bv_pool_destroy(&pool);
    return error ? 1 : 0;
}

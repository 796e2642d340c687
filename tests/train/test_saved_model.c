/* Opened models: weights that are read in place, then packed bit by bit, give the bits of weights
 * that were loaded; a damaged file is noticed, by whoever waits and by whoever only asks. */
#include "support/check.h"

#include "engine/engine.h"
#include "model/safetensors.h"
#include "support/tiny_run.h"
#include "train/saved_model.h"

#define TOKENS 12

static char *model_file(const tiny_run *t) {
    static char path[400];
    snprintf(path, sizeof path, "%s/checkpoints/latest/model.safetensors", t->run);
    return path;
}

/* Logits after each of some tokens: [TOKENS, vocab]. */
static void logits_of(const bv_saved_model *m, bv_weights *weights, const tiny_run *t, float *out) {
    bv_engine *engine;
    assert_ok(bv_engine_create(&(bv_engine_options){.config = m->config,
                                                    .numerics = m->numerics,
                                                    .kernels = t->options.kernels,
                                                    .pool = t->pool,
                                                    .weights = weights,
                                                    .rows_max = 4,
                                                    .sequences_max = 1},
                               &engine));
    const size_t vocab = m->config.vocab_size;
    for (uint32_t i = 0; i < TOKENS; i++) {
        const uint32_t token = 100 + 7 * i;
        assert_ok(bv_engine_feed(engine, 0, &token, 1));
        memcpy(out + i * vocab, bv_engine_logits(engine, 0), vocab * sizeof *out);
    }
    bv_engine_destroy(&engine);
}

static bv_weights *loaded(const bv_saved_model *m, const tiny_run *t) {
    bv_weights *weights;
    size_t count;
    assert_ok(bv_gpt_weights_create(&m->config, t->options.kernels, t->pool, &weights));
    bv_named_tensor *list = bv_name_weights(weights, BV_F32, &count);
    assert_ok(bv_safetensors_read(model_file(t), list, count));
    bv_weights_changed(weights);
    bv_free(list);
    return weights;
}

static void same_bits(const char *settings) {
    tiny_run t;
    bv_saved_model m;
    tiny_begin(&t, settings, 0, 2);
    assert_ok(bv_train(&t.options));
    assert_ok(bv_saved_model_open(t.run, NULL, t.options.kernels, t.pool, &m));
    const size_t bytes = TOKENS * m.config.vocab_size * sizeof(float);
    float *in_place = bv_malloc(bytes), *copied = bv_malloc(bytes);
    assert_int_equal(bv_weights_bytes(m.weights), 0); /* nothing was copied */
    logits_of(&m, m.weights, &t, in_place);
    assert_true(bv_weights_bytes(m.weights) > 0); /* packed behind the first token */
    assert_ok(bv_saved_model_check(&m, true));
    assert_ok(bv_saved_model_check(&m, true)); /* known */
    bv_weights *weights = loaded(&m, &t);
    logits_of(&m, weights, &t, copied);
    assert_memory_equal(in_place, copied, bytes);
    bv_weights_destroy(&weights);
    bv_saved_model_close(&m);
    bv_free(in_place);
    bv_free(copied);
    tiny_end(&t);
}

static void test_in_place_f32(void **state) {
    (void)state;
    same_bits("dtype=f32 steps=4");
}

static void test_in_place_bf16(void **state) {
    (void)state;
    same_bits("dtype=bf16 steps=4 layers=3 width=36 heads=3");
}

static void test_damaged(void **state) {
    (void)state;
    tiny_run t;
    bv_saved_model m;
    bv_buffer file = {0};
    tiny_begin(&t, "steps=4", 0, 1);
    assert_ok(bv_train(&t.options));
    assert_ok(bv_file_read(model_file(&t), &file));
    file.data[file.size - 1] ^= 1;
    assert_ok(bv_file_write(model_file(&t), file.data, file.size));
    bv_buffer_free(&file);
    /* not begun: checked by who waits */
    assert_ok(bv_saved_model_open(t.run, NULL, t.options.kernels, t.pool, &m));
    assert_ok(bv_saved_model_check(&m, false));
    assert_fails(bv_saved_model_check(&m, true), BV_CODE_INPUT, "is damaged");
    bv_saved_model_close(&m);
    /* begun: known after a while without waiting */
    assert_ok(bv_saved_model_open(t.run, NULL, t.options.kernels, t.pool, &m));
    bv_saved_model_check_begin(&m);
    bv_error *error = BV_OK;
    while (!error) error = bv_saved_model_check(&m, false);
    assert_fails(error, BV_CODE_INPUT, "is damaged");
    bv_saved_model_close(&m);
    /* begun and closed: nothing leaks, nobody waits for an answer */
    assert_ok(bv_saved_model_open(t.run, NULL, t.options.kernels, t.pool, &m));
    bv_saved_model_check_begin(&m);
    bv_saved_model_close(&m);
    tiny_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_place_f32),
        cmocka_unit_test(test_in_place_bf16),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

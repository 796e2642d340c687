/* Opened models: weights that are read in place, then packed bit by bit, give the bits of weights
 * that were loaded; a damaged file is noticed, by whoever waits and by whoever only asks; so is a
 * foreign tokenizer, also one of as many tokens. */
#include "support/check.h"

#include "engine/engine.h"
#include "model/safetensors.h"
#include "support/tiny_run.h"
#include "train/checkpoint.h"
#include "train/saved_model.h"

#include <sys/wait.h>

#define TOKENS 12

static const char *model_file(const tiny_run *t) {
    return path_in(t->run, "checkpoints/latest/model.safetensors");
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

/* The SHA-256 that the model opened from there must have; "": it cannot be opened. */
static const char *hash_of(const tiny_run *t, const char *path) {
    static char hash[BV_SHA256_TEXT_SIZE];
    bv_saved_model m;
    bv_error *error =
        bv_saved_model_open(path_in(t->run, path), NULL, t->options.kernels, t->pool, &m);
    snprintf(hash, sizeof hash, "%s", error ? "" : bv_saved_model_sha256(&m));
    if (!error) assert_ok(bv_saved_model_check(&m, true));
    if (!error) bv_saved_model_close(&m);
    bv_error_free(&error);
    return hash;
}

static void test_one_of_its_checkpoints(void **state) {
    (void)state;
    tiny_run t;
    char hash[BV_SHA256_TEXT_SIZE];
    tiny_begin(&t, "steps=8", 0, 1);
    assert_ok(bv_train(&t.options));
    for (int step = 4; step <= 8; step += 4) {
        char path[80];
        snprintf(path, sizeof path, "checkpoints/%d/model.safetensors", step);
        assert_ok(bv_sha256_file(path_in(t.run, path), hash));
        snprintf(path, sizeof path, "checkpoints/%d//", step);
        assert_string_equal(hash_of(&t, path), hash);
    }
    assert_string_equal(hash_of(&t, ""), hash);
    assert_string_equal(hash_of(&t, "checkpoints/latest"), hash);
    static const char *const none[] = {"checkpoints", "checkpoints/6", "checkpoints/4x",
                                       "checkpoints/../4", "checkpoints/4/manifest.json"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_string_equal(hash_of(&t, none[i]), "");
    tiny_end(&t);
}

static void train_beside(tiny_run *t) {
    if (bv_pool_create(1, &t->options.pool)) _exit(3); /* threads do not survive a fork */
    bv_error *error = bv_train(&t->options);
    if (error) print_error("%s\n", bv_error_text(error));
    _exit(error ? 1 : 0);
}

/* Opened again and again while a training writes checkpoints and removes those before them. */
static void test_while_it_is_trained(void **state) {
    (void)state;
    tiny_run t;
    int status;
    int64_t step = -1;
    size_t opened = 0;
    tiny_begin(&t, "steps=300 checkpoint_every=1 eval_every=0 keep=1", 0, 1);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) train_beside(&t);
    while (waitpid(child, &status, WNOHANG) == 0) {
        bv_saved_model m;
        if (step < 0) assert_ok(bv_checkpoint_find(t.run, BV_CHECKPOINT_LATEST, &step));
        if (step < 0) continue;
        assert_ok(bv_saved_model_open(t.run, NULL, t.options.kernels, t.pool, &m));
        assert_ok(bv_saved_model_check(&m, true));
        bv_saved_model_close(&m);
        opened++;
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    print_message("opened %zu times\n", opened);
    assert_true(opened > 0);
    tiny_end(&t);
}

/* ---- tokenizers ---- */

/* Of the letters from U+0400 on, at most 512. */
static void save_letters(const char *path, int count) {
    bv_tokenizer *tokenizer;
    char text[1024];
    for (int i = 0; i < count; i++) {
        text[2 * i] = (char)(0xd0 + (i >> 6));
        text[2 * i + 1] = (char)(0x80 | (i & 0x3f));
    }
    assert_ok(bv_tokenizer_char(text, 2 * (size_t)count, &tokenizer));
    assert_int_equal(bv_tokenizer_vocab_size(tokenizer), count);
    assert_ok(bv_tokenizer_save(tokenizer, path));
    bv_tokenizer_destroy(&tokenizer);
}

/* 256 tokens, as the bytes have that tiny runs learn from. */
static void save_foreign(const char *path) {
    save_letters(path, 256);
}

static bv_status open_with(const tiny_run *t, const char *tokenizer) {
    bv_saved_model m;
    bv_error *error = bv_saved_model_open(t->run, tokenizer, t->options.kernels, t->pool, &m);
    if (!error) bv_saved_model_close(&m);
    return error;
}

#define FOREIGN "is not the tokenizer that the model was trained with"

static void test_foreign_tokenizer(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "steps=2", 0, 1);
    assert_ok(bv_train(&t.options));
    const char *own = path_in(t.run, "tokenizer.json");
    const char *foreign = path_in(t.folder, "foreign.json"),
               *spaced = path_in(t.folder, "spaced.json");
    static const char same[] = "{ \"kind\": \"byte\",\n  \"format\": \"beaver-tokenizer/1\" }\n";
    save_foreign(foreign);
    assert_ok(bv_file_write(spaced, same, strlen(same)));
    assert_ok(open_with(&t, NULL));
    assert_ok(open_with(&t, spaced)); /* written otherwise, but the same */
    assert_fails(open_with(&t, foreign), BV_CODE_USAGE, FOREIGN);
    assert_fails(open_with(&t, foreign), BV_CODE_USAGE, "without --tokenizer");
    save_foreign(own);
    assert_fails(open_with(&t, NULL), BV_CODE_USAGE, FOREIGN);
    assert_fails(open_with(&t, NULL), BV_CODE_USAGE, "data/tokenizer.json");
    assert_ok(open_with(&t, spaced)); /* what the run has is not asked for then */

    /* A run of old does not know: its own file is taken for it. */
    t.config.tokenizer_sha256[0] = 0;
    assert_ok(bv_run_folder_save(t.run, &t.config));
    assert_ok(open_with(&t, NULL));
    assert_ok(open_with(&t, foreign));
    assert_fails(open_with(&t, spaced), BV_CODE_USAGE, FOREIGN);
    tiny_end(&t);
}

/* A run of old takes any tokenizer for its own, but none with tokens that the model has no row for.
 */
static void test_too_many_tokens(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "steps=2", 0, 1);
    assert_ok(bv_train(&t.options));
    save_foreign(path_in(t.run, "tokenizer.json"));
    t.config.tokenizer_sha256[0] = 0;
    assert_ok(bv_run_folder_save(t.run, &t.config));
    assert_ok(open_with(&t, NULL));
    save_letters(path_in(t.run, "tokenizer.json"), 300);
    assert_fails(open_with(&t, NULL), BV_CODE_INPUT, "has 300 tokens, the model only 256");
    tiny_end(&t);
}

static void test_foreign_tokenizer_of_data(void **state) {
    (void)state;
    tiny_run t;
    bv_run_config config = {0};
    bv_buffer manifest = {0};
    tiny_begin(&t, "", 0, 1);
    assert_ok(bv_run_config_set_data(&config, t.data));
    assert_int_equal(strlen(config.tokenizer_sha256), 64);
    assert_string_equal(config.tokenizer_sha256, t.config.tokenizer_sha256);
    save_foreign(path_in(t.data, "tokenizer.json"));
    assert_fails(bv_run_config_set_data(&config, t.data), BV_CODE_USAGE,
                 "is not the tokenizer that the data was prepared with");

    /* Data of old does not know. */
    assert_ok(bv_file_read(path_in(t.data, "manifest.json"), &manifest));
    char *member = memmem(manifest.data, manifest.size, "tokenizer_sha256", 16);
    assert_non_null(member);
    *member = 'T';
    assert_ok(bv_file_write(path_in(t.data, "manifest.json"), manifest.data, manifest.size));
    bv_buffer_free(&manifest);
    assert_ok(bv_run_config_set_data(&config, t.data));
    assert_int_equal(strlen(config.tokenizer_sha256), 64);
    assert_string_not_equal(config.tokenizer_sha256, t.config.tokenizer_sha256);
    tiny_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_place_f32),
        cmocka_unit_test(test_in_place_bf16),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_one_of_its_checkpoints),
        cmocka_unit_test(test_while_it_is_trained),
        cmocka_unit_test(test_foreign_tokenizer),
        cmocka_unit_test(test_too_many_tokens),
        cmocka_unit_test(test_foreign_tokenizer_of_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A tiny data set and run in a temporary folder, for tests that train. */
#ifndef BV_TESTS_SUPPORT_TINY_RUN_H
#define BV_TESTS_SUPPORT_TINY_RUN_H

#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/prepare.h"
#include "support/check.h"
#include "train/loop.h"
#include "train/run_folder.h"

typedef struct tiny_run {
    char *folder;
    char data[300], run[300];
    bv_run_config config;
    bv_dataset *dataset;
    bv_pool *pool;
    bv_train_options options;
} tiny_run;

/* Short sentences, then `noise` bytes of nonsense (characters of two), then sentences again. */
static inline void tiny_text(const char *path, size_t noise) {
    bv_buffer text = {0};
    for (int i = 0; i < 120; i++)
        bv_buffer_printf(&text, "the %s beaver builds %d dams. ", i % 3 ? "old" : "young", i % 7);
    for (size_t i = 0; i < noise; i++) {
        const uint32_t word = bv_random(1, BV_RANDOM_TEST, 0, 0, (uint32_t)i, 0).v[0];
        const char c = (char)(i % 2 ? 0x80 + word % 64 : 0xc2 + word % 30);
        bv_buffer_append(&text, &c, 1);
    }
    for (int i = 0; i < 60; i++) bv_buffer_printf(&text, "a %d old beaver sleeps. ", i % 5);
    assert_ok(bv_file_write(path, text.data, text.size));
    bv_buffer_free(&text);
}

static inline void tiny_prepare(const char *folder, const char *data, size_t noise) {
    const char *path = path_in(folder, "text.txt");
    tiny_text(path, noise);
    const char *paths[] = {path};
    bv_documents *documents;
    bv_tokenizer *tokenizer;
    bv_prepare_result result;
    assert_ok(bv_documents_open(paths, 1, NULL, NULL, &documents));
    assert_ok(bv_tokenizer_byte(&tokenizer));
    const bv_prepare_options options = {.out = data, .val_fraction = 0.1};
    assert_ok(bv_data_prepare(documents, tokenizer, &options, &result));
    bv_tokenizer_destroy(&tokenizer);
    bv_documents_close(&documents);
}

/* settings: "key=value ..." beside those that make it tiny. */
static inline void tiny_settings(bv_settings *s, const char *settings) {
    bv_settings_default(s);
    assert_ok(bv_settings_words(
        s, "vocab_size=256 context=16 layers=1 heads=2 width=16 batch=4 steps=12 warmup=2 "
           "eval_every=4 checkpoint_every=4 lr=0.003"));
    assert_ok(bv_settings_words(s, settings));
    assert_ok(bv_settings_check(s));
}

static inline void tiny_options(tiny_run *t, int threads) {
    const bv_kernels *kernels;
    assert_ok(bv_kernels_pick(&kernels));
    assert_ok(bv_pool_create(threads, &t->pool));
    assert_ok(bv_dataset_open(t->data, &t->dataset));
    t->options = (bv_train_options){.run = t->run,
                                    .settings = &t->config.settings,
                                    .data = t->dataset,
                                    .end_of_text = 256,
                                    .kernels = kernels,
                                    .pool = t->pool,
                                    .version = "test"};
}

static inline bv_status tiny_make(tiny_run *t) {
    bv_lock *lock;
    bv_error *error = bv_run_folder_create(t->run, &t->config, &lock);
    bv_lock_release(&lock);
    return error;
}

static inline void tiny_begin(tiny_run *t, const char *settings, size_t noise, int threads) {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0); /* where syncing is free */
    *t = (tiny_run){.folder = bv_strdup(make_folder())};
    snprintf(t->data, sizeof t->data, "%s/data", t->folder);
    snprintf(t->run, sizeof t->run, "%s/run", t->folder);
    tiny_prepare(t->folder, t->data, noise);
    tiny_settings(&t->config.settings, settings);
    assert_ok(bv_run_config_set_data(&t->config, t->data));
    assert_ok(tiny_make(t));
    tiny_options(t, threads);
}

static inline void tiny_end(tiny_run *t) {
    bv_dataset_close(&t->dataset);
    bv_pool_destroy(&t->pool);
    remove_folder(t->folder);
    bv_free(t->folder);
}

/* Of a group whose beginning has set *state to its tiny_run. */
static inline int tiny_teardown(void **state) {
    tiny_end(*state);
    return 0;
}

/* The hashes of both safetensors of the latest checkpoint. */
typedef struct tiny_proof {
    char text[2 * BV_SHA256_TEXT_SIZE];
} tiny_proof;

static inline tiny_proof tiny_hash(const tiny_run *t) {
    tiny_proof proof;
    const char *path = path_in(t->run, "checkpoints/latest/model.safetensors");
    assert_ok(bv_sha256_file(path, proof.text));
    path = path_in(t->run, "checkpoints/latest/optimizer.safetensors");
    assert_ok(bv_sha256_file(path, proof.text + BV_SHA256_TEXT_SIZE - 1));
    return proof;
}

#endif

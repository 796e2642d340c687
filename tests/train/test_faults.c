/* Every allocation, and every write-like system call, of a tiny run fails once: an error that says
 * so, nothing leaked or half-written, and going on afterwards ends with the same bits. */
#include "support/check.h"

#include "engine/engine.h"
#include "support/faults.h"
#include "support/tiny_run.h"
#include "text/bpe_train.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/saved_model.h"
#include <errno.h>

/* Sanitizers make it slow: there each seventh allocation of training fails, or fewer. */
#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 7
#elif defined(__SANITIZE_THREAD__)
#define STRIDE 41
#else
#define STRIDE 1
#endif
#define SETTINGS                                                                                   \
    "steps=2 eval_every=2 checkpoint_every=1 keep=1 micro_batch=2 kneser_ney=3 tied=false"

static tiny_run t;
static char expected[2 * BV_SHA256_TEXT_SIZE];

/* A fresh run folder, the faults, the way on. */
static bool one_fault(void (*fault)(int n), int n, bv_code code) {
    assert_ok(bv_dir_remove(t.run));
    fault(n);
    bv_error *error = tiny_make(&t);
    if (!error) error = bv_train(&t.options);
    const bool struck = faults_off();
    if (error && bv_error_code(error) != code) fail_msg("%d: %s", n, bv_error_text(error));
    if (!struck) assert_ok(error);
    bv_error_free(&error);
    if (!bv_run_folder_exists(t.run)) assert_ok(tiny_make(&t));
    assert_ok(bv_train(&t.options));
    assert_string_equal(tiny_hash(&t).text, expected);
    bv_run_config config;
    assert_ok(bv_run_folder_load(t.run, &config));
    assert_ok(bv_settings_same(&t.config.settings, &config.settings, NULL));
    return struck;
}

static void fail_write(int n) {
    faults_system_call(n, ENOSPC);
}

static void test_full_disk(void **state) {
    (void)state;
    int n = 0;
    while (one_fault(fail_write, n, BV_CODE_IO)) n++;
    assert_true(n > 20);
}

static void test_no_memory(void **state) {
    (void)state;
    int n = 0;
    while (one_fault(faults_allocation, n, BV_CODE_MEMORY)) n += STRIDE;
    assert_true(n > 400);
}

/* What reads a run: a model that writes and scores. */
static bv_error *use_model(void) {
    bv_saved_model m = {0};
    bv_engine *engine = NULL;
    bv_encoder *encoder = NULL;
    const uint32_t *tokens;
    size_t count;
    bv_error *error = bv_saved_model_open(t.run, NULL, t.options.kernels, t.options.pool, &m);
    const bv_engine_options options = {.config = m.config,
                                       .numerics = m.numerics,
                                       .kernels = t.options.kernels,
                                       .pool = t.options.pool,
                                       .weights = m.weights,
                                       .kneser_ney = m.kneser_ney,
                                       .rows_max = 4,
                                       .sequences_max = 2};
    if (!error) error = bv_encoder_create(m.tokenizer, &encoder);
    if (!error) error = bv_encoder_encode(encoder, "the old", 7, &tokens, &count);
    if (!error) error = bv_engine_create(&options, &engine);
    if (!error) error = bv_engine_feed(engine, 0, tokens, count);
    if (!error) error = bv_engine_copy(engine, 0, 1);
    bv_engine_destroy(&engine);
    bv_encoder_destroy(&encoder);
    bv_saved_model_close(&m);
    return error;
}

static bv_error *learn(bv_documents *documents, bv_tokenizer **tokenizer) {
    bv_bpe_trainer *trainer;
    const char *text;
    size_t size;
    BV_TRY(bv_bpe_trainer_create("gpt2", t.options.pool, &trainer));
    bv_error *error;
    while (!(error = bv_documents_next(documents, &text, &size)) && text)
        if ((error = bv_bpe_trainer_add(trainer, text, size))) break;
    if (!error) error = bv_bpe_trainer_learn(trainer, 270, tokenizer);
    bv_bpe_trainer_destroy(&trainer);
    bv_documents_rewind(documents);
    return error;
}

/* What comes before a run: text, tokenizer, shards. */
static bv_error *prepare(void) {
    const char *data = path_in(t.folder, "other");
    const char *const paths[] = {path_in(t.folder, "text.txt")};
    const bv_prepare_options options = {.out = data, .val_fraction = 0.1, .pool = t.options.pool};
    bv_documents *documents = NULL;
    bv_tokenizer *tokenizer = NULL;
    bv_prepare_result result;
    bv_error *error = bv_documents_open(paths, 1, "dams", t.options.pool, &documents);
    if (!error) error = learn(documents, &tokenizer);
    if (!error) error = bv_data_prepare(documents, tokenizer, &options, &result);
    bv_tokenizer_destroy(&tokenizer);
    bv_documents_close(&documents);
    return error;
}

/* Each allocation fails once: an error of that kind, and a folder is there only when it is whole.
 */
static void each_allocation(bv_error *(*work)(void)) {
    const char *other = path_in(t.folder, "other");
    bool struck = true;
    for (int n = 0; struck; n++) {
        assert_ok(bv_dir_remove(other));
        faults_allocation(n);
        bv_error *error = work();
        struck = faults_off();
        if (error && bv_error_code(error) != BV_CODE_MEMORY)
            fail_msg("%d: %s", n, bv_error_text(error));
        if (!struck) assert_ok(error);
        bv_dataset *whole = NULL;
        if (bv_dir_exists(other)) assert_ok(bv_dataset_open(other, &whole));
        bv_dataset_close(&whole);
        bv_error_free(&error);
        assert_true(struck || n > 30);
        /* What was lost of a value that was never written counts against the next one. */
        json_t *empty;
        assert_ok(bv_json_parse("{}", 2, "test", &empty));
        json_decref(empty);
    }
}

static void test_no_memory_elsewhere(void **state) {
    (void)state;
    assert_ok(bv_dir_remove(t.run));
    assert_ok(tiny_make(&t));
    assert_ok(bv_train(&t.options));
    each_allocation(use_model);
    each_allocation(prepare);
}

/* What cannot be read because there is no memory is not taken for damaged: no line of the metrics
 * is cut, and the last regular checkpoint is none before it. */
static void test_no_memory_is_no_damage(void **state) {
    (void)state;
    bv_buffer before = {0}, after = {0};
    const char *path = path_in(t.run, "metrics.jsonl");
    assert_ok(bv_file_read(path, &before));
    bool struck = true;
    for (int n = 0; struck; n++) {
        size_t returns;
        int64_t step = -1;
        faults_allocation(n);
        bv_error *error = bv_metrics_cut(path, 2, false, &returns);
        if (!error) error = bv_checkpoint_find(t.run, BV_CHECKPOINT_REGULAR, &step);
        struck = faults_off();
        if (error)
            assert_fails(error, BV_CODE_MEMORY, "");
        else
            assert_int_equal(step, 2);
        bv_buffer_clear(&after);
        assert_ok(bv_file_read(path, &after));
        assert_int_equal(after.size, before.size);
    }
    bv_buffer_free(&before);
    bv_buffer_free(&after);
}

static int begin(void **state) {
    *state = &t;
    bv_json_begin();
    tiny_begin(&t, SETTINGS, 0, 1);
    assert_ok(bv_train(&t.options));
    memcpy(expected, tiny_hash(&t).text, sizeof expected);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_memory_elsewhere),
        cmocka_unit_test(test_no_memory_is_no_damage),
    };
    return cmocka_run_group_tests(tests, begin, tiny_teardown);
}

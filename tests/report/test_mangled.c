/*
 * Everything that parses bytes, given bytes that are nearly right: files of a tiny run and of
 * llama2.c with bits flipped, pieces cut out, doubled or replaced. Each loader must either refuse
 * with an error or succeed; the sanitizers see to the rest. The mutations are a function of the
 * printed seed.
 */
#include "support/check.h"

#include "model/llama2c.h"
#include "model/safetensors.h"
#include "report/curves.h"
#include "support/mangle.h"
#include "support/tiny_run.h"
#include "text/scored.h"
#include "train/metrics.h"
#include "train/saved_model.h"

#include <unistd.h>

#define SEED 11u
#define TIMES 150 /* mutations of each file */

static tiny_run t;
static const bv_kernels *kernels;

static void each(const char *path, uint32_t file, bv_error *(*load)(void)) {
    mangle_file(path, SEED, file, TIMES, load);
}

/* ---- loaders ---- */

static bv_error *load_config(void) {
    bv_run_config config;
    return bv_run_folder_load(t.run, &config);
}

static bv_error *load_model(void) {
    bv_saved_model model;
    BV_TRY(bv_saved_model_open(t.run, NULL, kernels, NULL, &model));
    bv_error *error = bv_saved_model_check(&model, true);
    bv_saved_model_close(&model);
    return error;
}

/* Without the hash that usually stands before it. */
static bv_error *load_tensors(void) {
    bv_weights *weights;
    size_t count;
    BV_TRY(bv_gpt_weights_create(&t.config.settings.model, kernels, NULL, &weights));
    bv_named_tensor *list = bv_name_weights(weights, BV_F32, &count);
    bv_error *error =
        bv_safetensors_read(path_in(t.run, "checkpoints/2/model.safetensors"), list, count);
    bv_free(list);
    bv_weights_destroy(&weights);
    return error;
}

static bv_error *load_tokenizer(void) {
    bv_tokenizer *tokenizer = NULL;
    bv_error *error = bv_tokenizer_load(path_in(t.folder, "tok.json"), &tokenizer);
    bv_tokenizer_destroy(&tokenizer);
    return error;
}

static bv_error *load_data(void) {
    bv_dataset *data = NULL;
    bv_error *error = bv_dataset_open(t.data, &data);
    uint32_t inputs[16], targets[16];
    if (!error) error = bv_dataset_check_context(data, 16);
    if (!error) bv_dataset_sequence(data, BV_ORDER_EPOCH, 1, 5, 16, inputs, targets);
    bv_dataset_close(&data);
    return error;
}

static bv_error *load_curves(void) {
    bv_curves curves;
    bv_error *error = bv_curves_read(path_in(t.run, "metrics.jsonl"), &curves);
    bv_buffer text = {0};
    const bv_terminal_plot_options options = {.columns = 60, .rows = 10};
    if (!error) error = bv_curves_text(&curves, 1, &options, &text);
    if (!error) error = bv_curves_svg(&curves, 1, &text);
    if (!error) bv_curves_free(&curves);
    bv_buffer_free(&text);
    return error;
}

static bv_error *cut_metrics(void) {
    size_t returns;
    BV_TRY(bv_metrics_cut(path_in(t.run, "metrics.jsonl"), 1, true, &returns));
    return load_curves();
}

static bv_error *load_llama2c(void) {
    bv_gpt_config config;
    bv_weights *weights = NULL;
    bv_error *error =
        bv_llama2c_load(path_in(t.folder, "model.bin"), kernels, NULL, &config, &weights);
    bv_weights_destroy(&weights);
    return error;
}

static bv_error *load_scored(void) {
    bv_tokenizer *tokenizer = NULL;
    bv_error *error = bv_tokenizer_load_scored(path_in(t.folder, "tok.bin"), 300, &tokenizer);
    bv_encoder *encoder = NULL;
    const uint32_t *tokens;
    size_t count;
    if (!error) error = bv_encoder_create(tokenizer, &encoder);
    if (!error) error = bv_encoder_encode(encoder, "ab\xff xyz", 7, &tokens, &count);
    bv_buffer text = {0};
    if (!error) error = bv_tokenizer_decode(tokenizer, tokens, count, &text);
    bv_buffer_free(&text);
    bv_encoder_destroy(&encoder);
    bv_tokenizer_destroy(&tokenizer);
    return error;
}

/* ---- tests ---- */

static void test_files_of_a_run(void **state) {
    (void)state;
    each(path_in(t.run, "config.json"), 1, load_config);
    each(path_in(t.run, "tokenizer.json"), 2, load_model);
    each(path_in(t.run, "checkpoints/2/manifest.json"), 3, load_model);
    each(path_in(t.run, "checkpoints/2/model.safetensors"), 4, load_tensors);
    each(path_in(t.run, "metrics.jsonl"), 5, cut_metrics);
}

static void test_data_and_tokenizers(void **state) {
    (void)state;
    const char *path = path_in(t.data, "manifest.json");
    each(path, 6, load_data);
    path = path_in(t.data, "train-00000.bin");
    each(path, 7, load_data);
    const bv_pair merges[] = {{97, 98}, {256, 99}, {100, 256}};
    bv_tokenizer *tokenizer;
    assert_ok(bv_tokenizer_bpe("gpt2", merges, 3, &tokenizer));
    assert_ok(bv_tokenizer_save(tokenizer, path_in(t.folder, "tok.json")));
    bv_tokenizer_destroy(&tokenizer);
    each(path_in(t.folder, "tok.json"), 8, load_tokenizer);
}

static void put_i32(bv_buffer *b, int32_t value) {
    bv_buffer_append(b, &value, sizeof value);
}

static void test_files_of_llama2c(void **state) {
    (void)state;
    bv_buffer b = {0};
    const int32_t header[] = {8, 12, 1, 2, 1, 20, 6};
    for (int i = 0; i < 7; i++) put_i32(&b, header[i]);
    const size_t numbers = 20 * 8 + 8 + 8 * (8 + 4 + 4) + 64 + 8 + 3 * 96 + 8 + 6 * 4;
    for (size_t i = 0; i < numbers; i++) put_i32(&b, 0x3dcccccd); /* 0.1 */
    assert_ok(bv_file_write(path_in(t.folder, "model.bin"), b.data, b.size));
    each(path_in(t.folder, "model.bin"), 9, load_llama2c);
    bv_buffer_clear(&b);
    put_i32(&b, 6);
    for (int i = 0; i < 300; i++) {
        char piece[8];
        const int n = i < 259
                          ? snprintf(piece, sizeof piece, "<%d>", i)
                          : snprintf(piece, sizeof piece, "%c%s", ' ' + i % 64, i % 3 ? "" : "b");
        put_i32(&b, 0);
        put_i32(&b, n);
        bv_buffer_append(&b, piece, (size_t)n);
    }
    assert_ok(bv_file_write(path_in(t.folder, "tok.bin"), b.data, b.size));
    each(path_in(t.folder, "tok.bin"), 10, load_scored);
    bv_buffer_free(&b);
}

/* 65536 layers have 2^64 weights here: as a number of 64 bits that is nothing, and what is left is
 * as large as the file. */
static void test_wrapped_llama2c(void **state) {
    (void)state;
    const int32_t width = 1 << 24;
    const int32_t header[] = {width, 5592234, 1 << 16, 1 << 16, 1, 1, 1};
    const off_t size = sizeof header + 4 * (2 * (off_t)width + 256); /* nothing but holes */
    bv_buffer b = {0};
    for (int i = 0; i < 7; i++) put_i32(&b, header[i]);
    assert_ok(bv_file_write(path_in(t.folder, "wrapped.bin"), b.data, b.size));
    bv_buffer_free(&b);
    assert_int_equal(truncate(path_in(t.folder, "wrapped.bin"), size), 0);
    bv_gpt_config config;
    bv_weights *weights = NULL;
    assert_fails(
        bv_llama2c_load(path_in(t.folder, "wrapped.bin"), kernels, NULL, &config, &weights),
        BV_CODE_INPUT, "its header asks for more");
}

static int begin(void **state) {
    *state = &t;
    print_message("seed %u\n", SEED);
    assert_ok(bv_kernels_pick(&kernels));
    tiny_begin(&t, "steps=2 eval_every=1 checkpoint_every=2", 0, 1);
    assert_ok(bv_train(&t.options));
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_of_a_run),
        cmocka_unit_test(test_data_and_tokenizers),
        cmocka_unit_test(test_files_of_llama2c),
        cmocka_unit_test(test_wrapped_llama2c),
    };
    return cmocka_run_group_tests(tests, begin, tiny_teardown);
}

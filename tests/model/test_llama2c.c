/* Files of llama2.c, without one at hand: where each of their numbers belongs, with a head of its
 * own and without, and what is refused. That such a model speaks: tests/cli/stories.sh. */
#include "model/llama2c.h"
#include "support/check.h"

#define VOCAB 7
#define CONTEXT 5
#define LAYERS 2
#define HEADS 2
#define KV_HEADS 1
#define D_HEAD 6
#define WIDTH (HEADS * D_HEAD)
#define FF 20
/* Their order in the file; all layers of one, then all of the next. */
enum { WTE, RMS_ATT, WQ, WK, WV, WO, RMS_FFN, W1, W2, W3, RMS_FINAL, ANGLES, WCLS, PARTS };
static const size_t sizes[PARTS] = {[WTE] = VOCAB * WIDTH,
                                    [RMS_ATT] = LAYERS * WIDTH,
                                    [WQ] = LAYERS * WIDTH * WIDTH,
                                    [WK] = LAYERS * KV_HEADS * D_HEAD * WIDTH,
                                    [WV] = LAYERS * KV_HEADS * D_HEAD * WIDTH,
                                    [WO] = LAYERS * WIDTH * WIDTH,
                                    [RMS_FFN] = LAYERS * WIDTH,
                                    [W1] = LAYERS * FF * WIDTH,
                                    [W2] = LAYERS * WIDTH * FF,
                                    [W3] = LAYERS * FF * WIDTH,
                                    [RMS_FINAL] = WIDTH,
                                    [ANGLES] = CONTEXT * D_HEAD,
                                    [WCLS] = VOCAB * WIDTH};

static char *folder, path[4200];
static const bv_kernels *kernels;

static int set_up(void **state) {
    *state = folder = make_folder();
    snprintf(path, sizeof path, "%s/model.bin", folder);
    assert_ok(bv_kernels_pick(&kernels));
    return 0;
}

/* Every number is its place among them. */
static bv_buffer file_of(bool tied) {
    const int32_t header[] = {WIDTH, FF, LAYERS, HEADS, KV_HEADS, tied ? VOCAB : -VOCAB, CONTEXT};
    bv_buffer b = {0};
    size_t count = 0;
    bv_buffer_append(&b, header, sizeof header);
    for (int i = 0; i < (tied ? WCLS : PARTS); i++) count += sizes[i];
    for (size_t i = 0; i < count; i++) {
        const float value = (float)i;
        bv_buffer_append(&b, &value, sizeof value);
    }
    return b;
}

static bv_status load(const bv_buffer *b, size_t size, bv_gpt_config *config,
                      bv_weights **weights) {
    assert_ok(bv_file_write(path, b->data, size));
    return bv_llama2c_load(path, kernels, NULL, config, weights);
}

/* The number at [layer][row][col] of a part whose rows have `cols` elements. */
static float number(int part, size_t rows, size_t cols, size_t layer, size_t row, size_t col) {
    size_t at = (layer * rows + row) * cols + col;
    assert_true(at < sizes[part]);
    for (int i = 0; i < part; i++) at += sizes[i];
    return (float)at;
}

/* Rows `first` .. first + rows - 1 of a weight are those of a part. turned: heads of pairs of rows,
 * of which ours has the first ones in front. */
static void check_rows(bv_weights *weights, const char *name, size_t first, int part, size_t rows,
                       size_t layer, bool turned) {
    const bv_parameter *p = NULL;
    for (size_t i = 0; i < bv_weights_count(weights); i++)
        if (!strcmp(bv_weights_parameter(weights, i)->name, name))
            p = bv_weights_parameter(weights, i);
    assert_non_null(p);
    assert_true(first + rows <= p->rows);
    const float *values = bv_weights_data(weights, p);
    for (size_t row = 0; row < rows; row++)
        for (size_t col = 0; col < p->cols; col++) {
            const size_t head = row / D_HEAD, i = row % D_HEAD, half = D_HEAD / 2;
            const size_t theirs =
                !turned ? row : head * D_HEAD + (i < half ? 2 * i : 2 * (i - half) + 1);
            const float value = values[(first + row) * p->cols + col];
            if (value != number(part, rows, p->cols, layer, theirs, col))
                fail_msg("%s[%zu][%zu] is number %g", name, first + row, col, (double)value);
        }
}

static void check_layer(bv_weights *w, size_t layer) {
    const struct {
        const char *name;
        size_t first;
        int part;
        size_t rows;
        bool turned;
    } all[] = {{"ln_1.weight", 0, RMS_ATT, 1, false},
               {"attn.c_attn.weight", 0, WQ, WIDTH, true},
               {"attn.c_attn.weight", WIDTH, WK, KV_HEADS * D_HEAD, true},
               {"attn.c_attn.weight", WIDTH + KV_HEADS * D_HEAD, WV, KV_HEADS * D_HEAD, false},
               {"attn.c_proj.weight", 0, WO, WIDTH, false},
               {"ln_2.weight", 0, RMS_FFN, 1, false},
               {"mlp.c_fc.weight", 0, W1, FF, false},
               {"mlp.c_fc.weight", FF, W3, FF, false},
               {"mlp.c_proj.weight", 0, W2, WIDTH, false}};
    char name[64];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(name, sizeof name, "h.%zu.%s", layer, all[i].name);
        check_rows(w, name, all[i].first, all[i].part, all[i].rows, layer, all[i].turned);
    }
}

static void test_places(void **state) {
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        bv_gpt_config c;
        bv_weights *w;
        bv_buffer b = file_of(tied);
        assert_ok(load(&b, b.size, &c, &w));
        assert_true(c.tied == tied && c.rms_norm && c.activation == BV_SWIGLU && !c.bias);
        assert_true(c.rope_base == 10000 && c.norm_eps == 1e-5 && c.d_head == D_HEAD);
        assert_true(c.vocab_size == VOCAB && c.context == CONTEXT && c.kv_heads == KV_HEADS);
        check_rows(w, "wte.weight", 0, WTE, VOCAB, 0, false);
        for (size_t layer = 0; layer < LAYERS; layer++) check_layer(w, layer);
        check_rows(w, "ln_f.weight", 0, RMS_FINAL, 1, 0, false);
        if (!tied) check_rows(w, "lm_head.weight", 0, WCLS, VOCAB, 0, false);
        bv_weights_destroy(&w);
        bv_buffer_free(&b);
    }
}

static void refused(const bv_buffer *b, size_t size, const char *told) {
    bv_gpt_config c;
    bv_weights *w;
    assert_fails(load(b, size, &c, &w), BV_CODE_INPUT, told);
    assert_null(w);
}

static void test_refused(void **state) {
    (void)state;
    bv_buffer b = file_of(false);
    char told[64];
    snprintf(told, sizeof told, "its header asks for %zu", b.size);
    refused(&b, b.size - 4, told);
    refused(&b, 27, "it has 27 bytes: no model");
    refused(&b, 0, "it has 0 bytes: no model");
    bv_buffer_append(&b, "more", 4);
    refused(&b, b.size, told);
    /* Other files that people have. */
    memcpy(b.data, "GGUF", 4);
    refused(&b, b.size, "GGUF, of llama.cpp");
    memcpy(b.data, "PK\3\4", 4);
    refused(&b, b.size, "a checkpoint of PyTorch");
    memcpy(b.data, "\1\0\0\0\0\0\0\0{\"", 10);
    refused(&b, b.size, "it is safetensors");
    bv_buffer_free(&b);
}

/* No number of a header may be 0, negative or too large; only the vocabulary's sign says more. */
static void test_headers(void **state) {
    (void)state;
    static const int32_t bad[] = {0, -1, (1 << 24) + 1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < 7; i++)
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            if (i == 5 && bad[k] == -1) continue;
            bv_buffer b = file_of(true);
            char told[64];
            snprintf(told, sizeof told, "number %zu of its header is", i);
            memcpy(b.data + 4 * i, &bad[k], 4);
            refused(&b, b.size, told);
            bv_buffer_free(&b);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_places, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_refused, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_headers, set_up, folder_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

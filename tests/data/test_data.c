/* Preparing text and reading it back: counts, splits, order, and nothing half-written. */
#include "base/memory.h"
#include "base/random.h"
#include "data/dataset.h"
#include "data/prepare.h"
#include "data/tail.h"
#include "support/faults.h"
#include <errno.h>
#include <unistd.h>

static char *folder;
static void (*on_progress)(void *context, uint64_t bytes, uint64_t total);

static int setup(void **state) {
    *state = folder = make_folder();
    return 0;
}

static bv_status prepare(const char *text, size_t size, const char *separator, double fraction,
                         bv_prepare_result *result) {
    const char *path = path_in(folder, "text"), *out = path_in(folder, "data");
    const char *paths[] = {path};
    bv_documents *documents = NULL;
    bv_tokenizer *tokenizer = NULL;
    bv_error *error = bv_file_write(path, text, size);
    if (!error) error = bv_tokenizer_byte(&tokenizer);
    if (!error) error = bv_documents_open(paths, 1, separator, NULL, &documents);
    const bv_prepare_options options = {
        .out = out, .val_fraction = fraction, .progress = on_progress};
    if (!error) error = bv_data_prepare(documents, tokenizer, &options, result);
    bv_documents_close(&documents);
    bv_tokenizer_destroy(&tokenizer);
    return error;
}

static bv_dataset *open_data(void) {
    bv_dataset *d;
    assert_ok(bv_dataset_open(path_in(folder, "data"), &d));
    return d;
}

static void test_one_document(void **state) {
    (void)state;
    bv_prepare_result r;
    assert_ok(prepare("0123456789", 10, NULL, 0.25, &r));
    bv_dataset *d = open_data();
    assert_int_equal(bv_dataset_tokens(d, BV_SPLIT_TRAIN), 7); /* int(10 * 0.75) */
    assert_int_equal(bv_dataset_tokens(d, BV_SPLIT_VAL), 3);
    uint32_t tokens[3];
    bv_dataset_read(d, BV_SPLIT_VAL, 0, 3, tokens);
    assert_int_equal(tokens[0], '7');
    assert_int_equal(tokens[2], '9');
    bv_dataset_close(&d);
}

static void test_documents_are_not_cut(void **state) {
    (void)state;
    bv_prepare_result r;
    assert_ok(prepare("aa|bb|cc|dd|ee|ff|gg|hh", 23, "|", 0.3, &r));
    assert_int_equal(r.documents[0] + r.documents[1], 8);
    assert_true(r.documents[1] >= 1);
    assert_int_equal(r.tokens[1], 2 * r.documents[1]);
    assert_int_equal(r.tokens[0], 2 * r.documents[0]);
}

/* Two documents of `first` and `second` bytes: how many of them are for validation. */
static uint64_t validation_of(size_t first, size_t second, double fraction) {
    bv_buffer text = {0};
    bv_prepare_result r;
    for (size_t i = 0; i < first; i++) bv_buffer_text(&text, "a");
    bv_buffer_text(&text, "|");
    for (size_t i = 0; i < second; i++) bv_buffer_text(&text, "b");
    assert_ok(prepare((const char *)text.data, text.size, "|", fraction, &r));
    assert_int_equal(r.documents[0] + r.documents[1], 2);
    assert_int_equal(r.bytes[0] + r.bytes[1], first + second);
    assert_ok(bv_dir_remove(path_in(folder, "data")));
    bv_buffer_free(&text);
    return r.bytes[1];
}

/* Whichever comes first, and however they would be drawn. */
static void test_unequal_documents(void **state) {
    (void)state;
    static const double fractions[] = {0.001, 0.01, 0.1, 0.3, 0.49};
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
        assert_int_equal(validation_of(10, 990, fractions[i]), 10);
        assert_int_equal(validation_of(990, 10, fractions[i]), 10);
    }
    assert_int_equal(validation_of(990, 10, 0.9), 990);
    assert_int_equal(validation_of(10, 990, 0.9), 990);
    assert_int_equal(validation_of(500, 500, 0.1), 500);
    assert_int_equal(validation_of(500, 500, 0), 0);
}

/* A third of the text is never drawn for a tenth; many of the small ones are. */
static void test_a_large_document_among_small_ones(void **state) {
    (void)state;
    for (int place = 0; place < 100; place++) {
        bv_buffer text = {0};
        bv_prepare_result r;
        for (int i = 0; i < 100; i++) {
            for (int k = 0; k < (i == place ? 500 : 10); k++) bv_buffer_text(&text, "x");
            bv_buffer_text(&text, "|");
        }
        assert_ok(prepare((const char *)text.data, text.size, "|", 0.1, &r));
        assert_true(r.bytes[1] < 250 && r.documents[1] > 1);
        assert_ok(bv_dir_remove(path_in(folder, "data")));
        bv_buffer_free(&text);
    }
}

/* Character by character: where the last part begins. */
static size_t slow_tail(const bv_buffer *text, double fraction) {
    size_t characters = 0, at = 0;
    for (size_t i = 0; i < text->size; i++) characters += (text->data[i] & 0xc0) != 0x80;
    size_t left = (size_t)((double)characters * (1 - fraction));
    for (; at < text->size; at++)
        if ((text->data[at] & 0xc0) != 0x80 && left-- == 0) break;
    return at;
}

/* Without a pool and on 1 to 3 threads. */
static void check_tail(const bv_buffer *text, double fraction, size_t wanted) {
    const char *path = path_in(folder, "text");
    const char *paths[] = {path};
    assert_ok(bv_file_write(path, text->data, text->size));
    for (int threads = 0; threads <= 3; threads++) {
        bv_documents *documents;
        bv_pool *pool = NULL;
        const char *bytes;
        const bv_survey *survey;
        size_t size;
        if (threads) assert_ok(bv_pool_create(threads, &pool));
        assert_ok(bv_documents_open(paths, 1, NULL, pool, &documents));
        assert_ok(bv_documents_next(documents, &bytes, &size));
        assert_ok(bv_documents_survey(documents, bytes, size, &survey));
        assert_int_equal(bv_tail_find(survey, fraction), wanted);
        bv_documents_close(&documents);
        bv_pool_destroy(&pool);
    }
}

static void test_tail_begins_where_a_character_does(void **state) {
    (void)state;
    static const char *const pieces[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9d\x84\x9e"};
    static const double fractions[] = {0.001, 0.1, 0.25, 0.7, 1};
    bv_buffer text = {0};
    for (uint32_t i = 1; text.size < (3u << 20) + 12345; i = i * 1664525u + 1013904223u)
        bv_buffer_text(&text, pieces[i >> 30]);
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++)
        check_tail(&text, fractions[i], slow_tail(&text, fractions[i]));
    bv_buffer_free(&text);
}

/* A separator is found wherever it stands, also over the border of what is searched at once. */
static void test_separators_far_inside(void **state) {
    (void)state;
    static const size_t border = 1u << 20;
    const char *path = path_in(folder, "text");
    char *bytes = malloc(3 * border);
    const char *paths[] = {path};
    assert_non_null(bytes);
    for (size_t at = border - 4; at <= border + 1; at++) {
        bv_documents *documents;
        const char *text;
        size_t size;
        memset(bytes, 'a', 3 * border);
        memcpy(bytes + at, "<|>", 3);
        memcpy(bytes + at + border, "<|>", 3);
        assert_ok(bv_file_write(path, bytes, 3 * border));
        assert_ok(bv_documents_open(paths, 1, "<|>", NULL, &documents));
        const size_t expected[] = {at, border - 3, 2 * border - at - 3};
        for (int i = 0; i < 3; i++) {
            assert_ok(bv_documents_next(documents, &text, &size));
            assert_int_equal(size, expected[i]);
            for (size_t k = 0; k < size; k++)
                if (text[k] != 'a') fail_msg("byte %zu of document %d is no text", k, i);
        }
        assert_ok(bv_documents_next(documents, &text, &size));
        assert_null(text);
        assert_int_equal(bv_documents_cuts(documents), 2);
        bv_documents_close(&documents);
    }
    free(bytes);
}

static void count_call(void *context) {
    ++*(int *)context;
}

/* The first of several, whoever finds which; also when it was looked for beside something else. */
static void test_first_nul_is_named(void **state) {
    (void)state;
    const size_t size = (3u << 20) + 5;
    const char *path = path_in(folder, "text");
    char *bytes = malloc(size);
    const char *paths[] = {path};
    assert_non_null(bytes);
    memset(bytes, 'a', size);
    bytes[1234567] = bytes[1234570] = bytes[2345678] = 0;
    assert_ok(bv_file_write(path, bytes, size));
    for (int threads = 0; threads <= 3; threads++) {
        bv_documents *documents;
        bv_pool *pool = NULL;
        const char *text;
        size_t n;
        int calls = 0;
        if (threads) assert_ok(bv_pool_create(threads, &pool));
        assert_ok(bv_documents_open(paths, 1, NULL, pool, &documents));
        for (int round = 0; round < 2; round++) {
            if (round) bv_documents_begin(documents, count_call, &calls);
            assert_fails(bv_documents_next(documents, &text, &n), BV_CODE_INPUT,
                         "byte 1234567 is NUL");
            bv_documents_rewind(documents);
        }
        assert_int_equal(calls, 1);
        bv_documents_close(&documents);
        bv_pool_destroy(&pool);
    }
    free(bytes);
}

/* Of several files the first is looked through ahead; one that is gone is missed where it is used.
 */
static void test_files_in_order(void **state) {
    (void)state;
    const char *a = path_in(folder, "a"), *b = path_in(folder, "b");
    const char *paths[] = {a, b}, *text;
    size_t size;
    int calls = 0;
    bv_documents *documents;
    assert_ok(bv_file_write(a, "one|two", 7));
    assert_ok(bv_file_write(b, "three", 5));
    assert_ok(bv_documents_open(paths, 2, "|", NULL, &documents));
    bv_documents_begin(documents, count_call, &calls);
    static const char *const expected[] = {"one", "two", "three"};
    for (int round = 0; round < 2; round++, bv_documents_rewind(documents)) {
        for (int i = 0; i < 3; i++) {
            const bv_survey *survey;
            assert_ok(bv_documents_next(documents, &text, &size));
            assert_int_equal(size, strlen(expected[i]));
            assert_memory_equal(text, expected[i], size);
            assert_ok(bv_documents_survey(documents, text, size, &survey));
            assert_int_equal(survey->characters[0], size);
        }
        assert_ok(bv_documents_next(documents, &text, &size));
        assert_null(text);
    }
    assert_ok(bv_dir_remove(a));
    bv_documents_begin(documents, count_call, &calls);
    assert_fails(bv_documents_next(documents, &text, &size), BV_CODE_IO, "cannot open");
    assert_int_equal(calls, 2);
    bv_documents_close(&documents);
}

/* A folder is read in the order of names; what tools hide in it is none of its text. */
static void test_hidden_files_are_passed_over(void **state) {
    (void)state;
    const char *text_path = path_in(folder, "inner"), *hidden = path_in(folder, ".git");
    const char *inner = path_in(text_path, "b"), *object = path_in(hidden, "object");
    const char *paths[] = {folder}, *text;
    size_t size;
    bv_documents *documents;
    assert_ok(bv_dir_make(text_path));
    assert_ok(bv_dir_make(hidden));
    assert_ok(bv_file_write(inner, "text", 4));
    assert_ok(bv_file_write(object, "\0\1\2", 3));
    assert_ok(bv_file_write(path_in(text_path, ".b.swp"), "\0", 1));
    assert_ok(bv_documents_open(paths, 1, NULL, NULL, &documents));
    assert_int_equal(bv_documents_bytes(documents), 4);
    assert_ok(bv_documents_next(documents, &text, &size));
    assert_int_equal(size, 4);
    assert_ok(bv_documents_next(documents, &text, &size));
    assert_null(text);
    bv_documents_close(&documents);
    /* Named itself, it is meant. */
    assert_ok(bv_documents_open((const char *const[]){hidden}, 1, NULL, NULL, &documents));
    assert_fails(bv_documents_next(documents, &text, &size), BV_CODE_INPUT, "is not text");
    bv_documents_close(&documents);
}

static void test_epoch_takes_each_window_once(void **state) {
    (void)state;
    char text[101];
    for (int i = 0; i < 101; i++) text[i] = (char)(1 + i);
    bv_prepare_result r;
    assert_ok(prepare(text, 101, NULL, 0, &r));
    bv_dataset *d = open_data();
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int seen[10] = {0};
        for (uint64_t i = 0; i < 10; i++) {
            uint32_t inputs[10], targets[10];
            bv_dataset_sequence(d, BV_ORDER_EPOCH, 4, epoch * 10 + i, 10, inputs, targets);
            assert_int_equal((inputs[0] - 1) % 10, 0);
            seen[(inputs[0] - 1) / 10]++;
            for (int k = 0; k < 10; k++) assert_int_equal(targets[k], inputs[k] + 1);
        }
        for (int k = 0; k < 10; k++) assert_int_equal(seen[k], 1);
    }
    assert_fails(bv_dataset_check_context(d, 101), BV_CODE_INPUT, "a context of 101 needs 102");
    assert_ok(bv_dataset_check_context(d, 100));
    bv_dataset_close(&d);
}

/* Places from the first to the last that `count` sequences of an order begin at; how many of them
 * lie where the text would have them, one after another. */
static int in_order(const bv_dataset *d, bv_order order, uint64_t seed, uint64_t first, int count,
                    uint64_t *offsets) {
    int same = 0;
    for (int i = 0; i < count; i++) {
        offsets[i] = bv_dataset_offset(d, order, seed, first + (uint64_t)i, 10);
        same += offsets[i] == 10 * (uint64_t)i;
    }
    return same;
}

/* An order is none of the text's, and another in each epoch and for each seed. */
static void test_orders_are_shuffled(void **state) {
    (void)state;
    char text[1001];
    uint64_t one[3][100], other[100], least = UINT64_MAX, most = 0;
    bv_prepare_result r;
    memset(text, 'a', sizeof text);
    assert_ok(prepare(text, sizeof text, NULL, 0, &r));
    bv_dataset *d = open_data();
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        assert_in_range(in_order(d, BV_ORDER_EPOCH, 4, 100 * epoch, 100, one[epoch]), 0, 20);
        in_order(d, BV_ORDER_EPOCH, 5, 100 * epoch, 100, other);
        for (uint64_t before = 0; before <= epoch; before++) {
            const uint64_t *a = before < epoch ? one[before] : other;
            int same = 0;
            for (int i = 0; i < 100; i++) same += a[i] == one[epoch][i];
            assert_in_range(same, 0, 20);
        }
    }
    /* At random: from the beginning to where the last sequence fits. */
    for (uint64_t i = 0; i < 20000; i++) {
        const uint64_t offset = bv_dataset_offset(d, BV_ORDER_RANDOM, 4, i, 10);
        least = offset < least ? offset : least;
        most = offset > most ? offset : most;
    }
    assert_int_equal(least, 0);
    assert_int_equal(most, sizeof text - 11);
    bv_dataset_close(&d);
}

static void test_bad_text(void **state) {
    (void)state;
    bv_prepare_result r;
    assert_fails(prepare("a\0b", 3, NULL, 0, &r), BV_CODE_INPUT, "byte 1 is NUL");
    assert_fails(prepare("", 0, NULL, 0, &r), BV_CODE_INPUT, "no text");
    assert_fails(prepare("caf\xe9 noir", 9, NULL, 0, &r), BV_CODE_INPUT, "is no UTF-8: byte 3");
    assert_fails(prepare("a\xe2\x82", 3, NULL, 0, &r), BV_CODE_INPUT, "is no UTF-8: byte 1");
    assert_fails(prepare("a\xff\0", 3, NULL, 0, &r), BV_CODE_INPUT, "byte 2 is NUL");
    assert_false(bv_dir_exists(path_in(folder, "data")));
}

/* Characters that lie on every border of what is looked at together, and one byte that is none. */
static void test_bad_text_far_inside(void **state) {
    (void)state;
    bv_prepare_result r;
    for (size_t shift = 0; shift < 4; shift++) {
        bv_buffer text = {0};
        for (size_t i = 0; i < shift; i++) bv_buffer_text(&text, "a");
        while (text.size < (3u << 20)) bv_buffer_text(&text, "\xf0\x9d\x84\x9e");
        assert_ok(prepare(text.data, text.size, NULL, 0, &r));
        assert_ok(bv_dir_remove(path_in(folder, "data")));
        text.data[shift + (2u << 20) + 4] = 'x';
        char wanted[40];
        snprintf(wanted, sizeof wanted, "no UTF-8: byte %zu\n", shift + (2u << 20) + 5);
        assert_fails(prepare(text.data, text.size, NULL, 0, &r), BV_CODE_INPUT, wanted);
        bv_buffer_free(&text);
    }
}

/* Files larger and smaller than what is encoded at once, of which large ones are encoded where they
 * stand: byte for byte what they hold, one after another. */
static void test_large_and_small_files(void **state) {
    (void)state;
    static const size_t sizes[] = {10, (5u << 20) + 17, 3, 2u << 20, (1u << 20) + 1, 3u << 20, 1};
    const char *paths[7];
    bv_buffer all = {0};
    bv_documents *documents;
    bv_tokenizer *tokenizer;
    bv_prepare_result r;
    const char *out = path_in(folder, "data");
    for (uint32_t i = 0; i < 7; i++) {
        const size_t begin = all.size;
        char name[2] = {(char)('a' + i), 0};
        while (all.size - begin < sizes[i]) {
            const uint32_t x = bv_random(3, BV_RANDOM_TEST, i, 0, (uint32_t)all.size, 0).v[0];
            bv_buffer_append(&all, &"etaoin shrdlu .,"[x % 16], 1);
        }
        paths[i] = path_in(folder, name);
        assert_ok(bv_file_write(paths[i], all.data + begin, sizes[i]));
    }
    assert_ok(bv_tokenizer_byte(&tokenizer));
    for (int threads = 1; threads < 4; threads++) {
        bv_pool *pool;
        assert_ok(bv_pool_create(threads, &pool));
        assert_ok(bv_documents_open(paths, 7, NULL, pool, &documents));
        const bv_prepare_options options = {.out = out, .pool = pool};
        assert_ok(bv_data_prepare(documents, tokenizer, &options, &r));
        assert_int_equal(r.tokens[0], all.size);
        bv_dataset *d = open_data();
        for (size_t at = 0, n; at < all.size; at += n) {
            uint32_t tokens[4096];
            n = all.size - at < 4096 ? all.size - at : 4096;
            bv_dataset_read(d, BV_SPLIT_TRAIN, at, n, tokens);
            for (size_t i = 0; i < n; i++)
                if (tokens[i] != (unsigned char)all.data[at + i]) fail_msg("token %zu", at + i);
        }
        bv_dataset_close(&d);
        assert_ok(bv_dir_remove(out));
        bv_documents_close(&documents);
        bv_pool_destroy(&pool);
    }
    bv_tokenizer_destroy(&tokenizer);
    bv_buffer_free(&all);
}

/* ---- files that are cut short while they are read ---- */

static void cut_short(void *context, uint64_t bytes, uint64_t total) {
    (void)bytes;
    (void)total;
    if (truncate(context, 100) != 0) fail_msg("cannot truncate %s", (char *)context);
}

static void test_text_cut_short(void **state) {
    (void)state;
    bv_prepare_result r;
    bv_documents *documents;
    bv_tokenizer *tokenizer;
    bv_pool *pool;
    bv_buffer text = {0};
    const char *path = path_in(folder, "text"), *out = path_in(folder, "data");
    const char *paths[] = {path};
    while (text.size < (5u << 20)) bv_buffer_text(&text, "some text ");
    assert_ok(bv_file_write(path, text.data, text.size));
    assert_ok(bv_tokenizer_byte(&tokenizer));
    assert_ok(bv_pool_create(2, &pool));
    assert_ok(bv_documents_open(paths, 1, NULL, pool, &documents));
    const bv_prepare_options options = {.out = out,
                                        .val_fraction = 0.1,
                                        .pool = pool,
                                        .progress = cut_short,
                                        .context = (void *)path};
    assert_fails(bv_data_prepare(documents, tokenizer, &options, &r), BV_CODE_INPUT,
                 "text was cut short while it was read");
    assert_false(bv_dir_exists(out));
    bv_documents_close(&documents);
    bv_pool_destroy(&pool);
    bv_tokenizer_destroy(&tokenizer);
    bv_buffer_free(&text);
}

static void test_shard_cut_short(void **state) {
    (void)state;
    bv_prepare_result r;
    bv_buffer text = {0};
    uint32_t token;
    while (text.size < (1u << 20)) bv_buffer_text(&text, "some text ");
    assert_ok(prepare(text.data, text.size, NULL, 0, &r));
    bv_dataset *d = open_data();
    assert_int_equal(truncate(path_in(folder, "data/train-00000.bin"), 2), 0);
    bv_dataset_read(d, BV_SPLIT_TRAIN, 0, 1, &token);
    assert_int_equal(token, 's');
    assert_ok(bv_dataset_check(d));
    bv_dataset_read(d, BV_SPLIT_TRAIN, 500000, 1, &token);
    assert_int_equal(token, 0);
    assert_fails(bv_dataset_check(d), BV_CODE_INPUT, "train-00000.bin was cut short");
    bv_dataset_close(&d);
    bv_buffer_free(&text);
}

/* ---- shards that another hand made ---- */

static bv_status write_file(const char *name, const char *text, size_t size) {
    bv_error *error = bv_file_write(path_in(folder, name), text, size);
    return error;
}

/* Two shards of tokens, of which token i has the bytes i, 0 or i, i + 1, i + 2, i + 3, with a
 * manifest that tells their sizes. */
static void write_shards(const size_t bytes[2], size_t token_bytes, uint32_t vocab) {
    char tokens[64] = {0}, text[600];
    for (size_t i = 0; i < sizeof tokens / token_bytes; i++)
        for (size_t k = 0; k < (token_bytes == 4 ? 4 : 1); k++)
            tokens[token_bytes * i + k] = (char)(i + k);
    assert_ok(write_file("a", tokens, bytes[0]));
    assert_ok(write_file("b", tokens + bytes[0], bytes[1]));
    const int n =
        snprintf(text, sizeof text,
                 "{\"format\": \"beaver-data/1\", \"vocab_size\": %u, \"token_bytes\": %zu,"
                 "\"splits\": {\"train\": {\"tokens\": %zu, \"bytes\": 1, \"shards\": ["
                 "{\"name\": \"a\", \"bytes\": %zu, \"sha256\": \"\"},"
                 "{\"name\": \"b\", \"bytes\": %zu, \"sha256\": \"\"}]},"
                 "\"val\": {\"tokens\": 0, \"bytes\": 0, \"shards\": []}}}",
                 vocab, token_bytes, (bytes[0] + bytes[1]) / token_bytes, bytes[0], bytes[1]);
    assert_ok(write_file("manifest.json", text, (size_t)n));
}

/* Tokens of four bytes, as large vocabularies need them; one that is none of them is taken for the
 * last. */
static void test_tokens_of_four_bytes(void **state) {
    (void)state;
    static const uint32_t vocabs[] = {UINT32_MAX, 0x08070605};
    for (size_t i = 0; i < 2; i++) {
        bv_dataset *d;
        uint32_t tokens[16];
        write_shards((const size_t[2]){40, 24}, 4, vocabs[i]);
        assert_ok(bv_dataset_open(folder, &d));
        assert_int_equal(bv_dataset_tokens(d, BV_SPLIT_TRAIN), 16);
        bv_dataset_read(d, BV_SPLIT_TRAIN, 0, 16, tokens);
        for (uint32_t k = 0; k < 16; k++) {
            const uint32_t token = 0x03020100 + k * 0x01010101;
            assert_int_equal(tokens[k], token < vocabs[i] ? token : vocabs[i] - 1);
        }
        bv_dataset_close(&d);
    }
}

/* The first shard's size says where a token stands: no other may be larger. */
static void test_shards_of_unequal_size(void **state) {
    (void)state;
    static const struct {
        size_t bytes[2];
        bool fine;
    } cases[] = {{{20, 20}, true}, {{20, 2}, true}, {{20, 22}, false}, {{0, 20}, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bv_dataset *d;
        uint32_t tokens[32];
        write_shards(cases[i].bytes, 2, 99);
        bv_error *error = bv_dataset_open(folder, &d);
        if (cases[i].fine) {
            const size_t count = (cases[i].bytes[0] + cases[i].bytes[1]) / 2;
            assert_ok(error);
            assert_int_equal(bv_dataset_tokens(d, BV_SPLIT_TRAIN), count);
            bv_dataset_read(d, BV_SPLIT_TRAIN, 3, count - 3, tokens); /* over the border */
            for (uint32_t k = 3; k < count; k++) assert_int_equal(tokens[k - 3], k);
        } else {
            assert_fails(error, BV_CODE_INPUT, "shard 1 is of another size than the first");
        }
        bv_dataset_close(&d);
    }
}

/* One text of the manifest in place of another. */
static bv_status open_with(const char *old, const char *new) {
    const char *path = path_in(folder, "data/manifest.json"), *out = path_in(folder, "data");
    bv_buffer text = {0}, changed = {0};
    bv_dataset *d;
    assert_ok(bv_file_read(path, &text));
    const char *at = strstr(text.data, old);
    assert_non_null(at);
    bv_buffer_printf(&changed, "%.*s%s%s", (int)(at - text.data), text.data, new, at + strlen(old));
    assert_ok(bv_file_write(path, changed.data, changed.size));
    bv_error *error = bv_dataset_open(out, &d);
    bv_dataset_close(&d);
    assert_ok(bv_file_write(path, text.data, text.size));
    bv_buffer_free(&text);
    bv_buffer_free(&changed);
    return error;
}

static void test_foreign_manifests(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {"data/1", "data/2", "format \"beaver-data/2\" is not beaver-data/1"},
        {"\"vocab_size\": 256", "\"vocab_size\": 0", "is out of range"},
        {"\"vocab_size\": 256", "\"vocab_size\": 4294967296", "is out of range"},
        {"\"token_bytes\": 2", "\"token_bytes\": 3", "is out of range"},
        {"\"tokens\": 7", "\"tokens\": 8", "the shards hold 7 tokens, the manifest says 8"},
        {"\"bytes\": 14", "\"bytes\": 12", "has 14 bytes, the manifest says 12"},
        {"train-00000", "../data/train-00000", "is a path"},
    };
    bv_prepare_result r;
    assert_ok(prepare("0123456789", 10, NULL, 0.25, &r));
    assert_ok(open_with("data/1", "data/1"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_fails(open_with(rows[i][0], rows[i][1]), BV_CODE_INPUT, rows[i][2]);
}

/* Of either split. */
static void test_damaged_shard(void **state) {
    (void)state;
    static const char *const names[] = {"data/train-00000.bin", "data/val-00000.bin"};
    bv_prepare_result r;
    assert_ok(prepare("0123456789", 10, NULL, 0.25, &r));
    for (size_t i = 0; i < 2; i++) {
        const char *path = path_in(folder, names[i]);
        bv_buffer shard = {0};
        assert_ok(bv_file_read(path, &shard));
        for (int damaged = 0; damaged < 2; damaged++) {
            shard.data[shard.size - 2] ^= (char)damaged;
            assert_ok(bv_file_write(path, shard.data, shard.size));
            bv_dataset *d = open_data();
            if (damaged)
                assert_fails(bv_dataset_verify(d), BV_CODE_INPUT, names[i]);
            else
                assert_ok(bv_dataset_verify(d));
            bv_dataset_close(&d);
        }
        shard.data[shard.size - 2] ^= 1;
        assert_ok(bv_file_write(path, shard.data, shard.size));
        bv_buffer_free(&shard);
    }
}

static void test_full_disk(void **state) {
    (void)state;
    bool done = false;
    for (int n = 1; !done; n++) { /* call 0 writes the test's own text */
        bv_prepare_result r;
        char **names;
        size_t count;
        faults_system_call(n, ENOSPC);
        bv_error *error = prepare("some text", 9, NULL, 0.5, &r);
        done = !faults_off();
        assert_true(done == (error == NULL));
        bv_error_free(&error);
        /* The last sync comes after the rename: then all is there. */
        assert_ok(bv_dir_list(folder, &names, &count));
        for (size_t i = 0; i < count; i++)
            if (strcmp(names[i], "text") && strcmp(names[i], "data"))
                fail_msg("left behind: %s", names[i]);
        bv_names_free(names, count);
        if (!done) assert_ok(bv_dir_remove(path_in(folder, "data")));
    }
}

static void die(void *context, uint64_t bytes, uint64_t total) {
    (void)context, (void)bytes, (void)total;
    raise(SIGKILL);
}

/* What one leaves that is killed, the next removes. */
static void test_killed(void **state) {
    (void)state;
    bv_prepare_result r;
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        on_progress = die;
        (void)prepare("0123456789", 10, NULL, 0.25, &r);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(names_in(folder), 2); /* the text, and what is left */
    assert_ok(prepare("0123456789", 10, NULL, 0.25, &r));
    assert_int_equal(names_in(folder), 2); /* the text, and the data */
    assert_false(bv_file_exists(path_in(folder, "data/.lock")));
}

static void prepare_beside(void *context, uint64_t bytes, uint64_t total) {
    (void)context, (void)bytes, (void)total;
    bv_prepare_result r;
    on_progress = NULL;
    assert_fails(prepare("abc", 3, NULL, 0.25, &r), BV_CODE_USAGE, "is in use by process");
}

/* What one makes that lives, nobody takes away. */
static void test_two_at_once(void **state) {
    (void)state;
    bv_prepare_result r;
    on_progress = prepare_beside;
    assert_ok(prepare("0123456789", 10, NULL, 0.25, &r));
    assert_int_equal(r.tokens[0] + r.tokens[1], 10);
    assert_int_equal(names_in(folder), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_document, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_tail_begins_where_a_character_does, setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(test_separators_far_inside, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_first_nul_is_named, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_files_in_order, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_hidden_files_are_passed_over, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_documents_are_not_cut, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_unequal_documents, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_a_large_document_among_small_ones, setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(test_epoch_takes_each_window_once, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_orders_are_shuffled, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_bad_text, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_bad_text_far_inside, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_large_and_small_files, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_text_cut_short, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_shard_cut_short, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_shards_of_unequal_size, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_tokens_of_four_bytes, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_manifests, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_shard, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_two_at_once, setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

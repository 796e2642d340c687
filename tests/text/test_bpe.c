/* Byte pairs against an obvious reference, and round trips of any bytes. */
#include "base/memory.h"
#include "base/random.h"
#include "support/faults.h"
#include "text/bpe_train.h"
#include "text/piece_counts.h"

#define TEXT_MAX 3000

static size_t random_text(uint32_t seed, char *text, unsigned alphabet) {
    const size_t size = bv_random(9, BV_RANDOM_TEST, 0, seed, 0, 0).v[0] % TEXT_MAX;
    for (uint32_t i = 0; i < size; i++) {
        const uint32_t r = bv_random(9, BV_RANDOM_TEST, 1, seed, i, 0).v[0];
        text[i] = alphabet == 256 ? (char)r : "abcde  \n1,"[r % alphabet];
    }
    return size;
}

/* The reference: all pieces one after another, counted anew for each merge. */
static size_t slow_merges(const char *text, size_t size, size_t wanted, bv_pair *merges) {
    static uint32_t tokens[TEXT_MAX], owner[TEXT_MAX];
    size_t n = 0, count = 0;
    bv_splitter *splitter;
    assert_ok(bv_splitter_create("gpt2", &splitter));
    bv_splitter_text(splitter, text, size);
    const unsigned char *piece;
    size_t length;
    for (uint32_t p = 0; bv_splitter_next(splitter, &piece, &length); p++)
        for (size_t i = 0; i < length; i++) {
            p += i && i % BV_COUNTED_MAX == 0;
            tokens[n] = piece[i], owner[n++] = p;
        }
    bv_splitter_destroy(&splitter);
    for (; count < wanted; count++) {
        bv_pair best = {0, 0};
        size_t best_count = 1;
        for (size_t i = 0; i + 1 < n; i++) {
            const bv_pair a = {tokens[i], tokens[i + 1]};
            if (owner[i] != owner[i + 1]) continue;
            size_t here = 0;
            for (size_t k = 0; k + 1 < n; k++)
                here += owner[k] == owner[k + 1] && tokens[k] == a.left && tokens[k + 1] == a.right;
            const bool smaller =
                a.left < best.left || (a.left == best.left && a.right < best.right);
            if (here > best_count || (here == best_count && here > 1 && smaller)) {
                best = a;
                best_count = here;
            }
        }
        if (best_count < 2) break;
        merges[count] = best;
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            const bool here = i + 1 < n && owner[i] == owner[i + 1] && tokens[i] == best.left &&
                              tokens[i + 1] == best.right;
            owner[kept] = owner[i];
            tokens[kept++] = here ? (uint32_t)(256 + count) : tokens[i];
            i += here;
        }
        n = kept;
    }
    return count;
}

static void test_training_equals_reference(void **state) {
    (void)state;
    static char text[TEXT_MAX];
    for (uint32_t seed = 0; seed < 20; seed++) {
        const size_t size = random_text(seed, text, 1 + seed % 10); /* at first a single word */
        bv_pair merges[20];
        const size_t count = slow_merges(text, size, 20, merges);
        bv_bpe_trainer *trainer;
        bv_tokenizer *learned, *expected;
        assert_ok(bv_bpe_trainer_create("gpt2", NULL, &trainer));
        assert_ok(bv_bpe_trainer_add(trainer, text, size));
        assert_ok(bv_bpe_trainer_learn(trainer, 257 + 20, &learned));
        assert_ok(bv_tokenizer_bpe("gpt2", merges, count, &expected));
        char *folder = make_folder();
        char *a = bv_path_join(folder, "a"), *b = bv_path_join(folder, "b");
        bv_buffer x = {0}, y = {0};
        assert_ok(bv_tokenizer_save(learned, a));
        assert_ok(bv_tokenizer_save(expected, b));
        assert_ok(bv_file_read(a, &x));
        assert_ok(bv_file_read(b, &y));
        assert_string_equal(x.data, y.data);
        bv_buffer_free(&x);
        bv_buffer_free(&y);
        bv_free(a);
        bv_free(b);
        remove_folder(folder);
        bv_tokenizer_destroy(&learned);
        bv_tokenizer_destroy(&expected);
        bv_bpe_trainer_destroy(&trainer);
    }
}

static void check_round_trip(const bv_tokenizer *t, const char *text, size_t size) {
    bv_encoder *encoder;
    const uint32_t *tokens;
    size_t count;
    bv_buffer back = {0};
    assert_ok(bv_encoder_create(t, &encoder));
    assert_ok(bv_encoder_encode(encoder, text, size, &tokens, &count));
    assert_ok(bv_tokenizer_decode(t, tokens, count, &back));
    assert_int_equal(back.size, size);
    if (size) assert_memory_equal(back.data, text, size);
    bv_buffer_free(&back);
    bv_encoder_destroy(&encoder);
}

static void test_any_bytes_come_back(void **state) {
    (void)state;
    static char text[TEXT_MAX];
    static const char *const patterns[] = {"gpt2", "cl100k"};
    for (int p = 0; p < 2; p++)
        for (uint32_t seed = 0; seed < 20; seed++) {
            bv_bpe_trainer *trainer;
            bv_tokenizer *t;
            size_t size = random_text(100 + seed, text, 10);
            assert_ok(bv_bpe_trainer_create(patterns[p], NULL, &trainer));
            assert_ok(bv_bpe_trainer_add(trainer, text, size));
            assert_ok(bv_bpe_trainer_learn(trainer, 300, &t));
            check_round_trip(t, text, size);
            size = random_text(200 + seed, text, 256);
            check_round_trip(t, text, size);
            bv_tokenizer_destroy(&t);
            bv_bpe_trainer_destroy(&trainer);
        }
}

/* Texts cut into spans and divided among threads give the same merges as one after another. */
static void test_threads_do_not_matter(void **state) {
    (void)state;
    bv_buffer text = {0};
    for (uint32_t i = 0; i < 120000; i++) {
        const uint32_t word = bv_random(8, BV_RANDOM_TEST, 0, 0, i, 0).v[0];
        bv_buffer_printf(&text, "w%c%co%u don't%s", 'a' + word % 26, 'a' + word / 26 % 9,
                         word / 300 % 40, word % 11 ? " " : "\n  ");
    }
    bv_tokenizer *tokenizers[4];
    for (int threads = 0; threads < 4; threads++) {
        bv_pool *pool = NULL;
        bv_bpe_trainer *trainer;
        if (threads) assert_ok(bv_pool_create(threads, &pool));
        assert_ok(bv_bpe_trainer_create("gpt2", pool, &trainer));
        assert_ok(bv_bpe_trainer_add(trainer, text.data, text.size));
        for (size_t at = 0; at < 200000; at += 1000)
            assert_ok(bv_bpe_trainer_add(trainer, text.data + at, 1000));
        assert_ok(bv_bpe_trainer_learn(trainer, 600, &tokenizers[threads]));
        bv_bpe_trainer_destroy(&trainer);
        bv_pool_destroy(&pool);
    }
    for (int i = 0; i < 4; i++) {
        const uint32_t *tokens;
        size_t count;
        bv_buffer back = {0};
        bv_encoder *encoder;
        assert_ok(bv_encoder_create(tokenizers[i], &encoder));
        assert_ok(bv_encoder_encode(encoder, text.data, 5000, &tokens, &count));
        assert_ok(bv_tokenizer_decode(tokenizers[0], tokens, count, &back));
        assert_int_equal(bv_tokenizer_vocab_size(tokenizers[i]),
                         bv_tokenizer_vocab_size(tokenizers[0]));
        assert_memory_equal(back.data, text.data, 5000);
        assert_true(count < 2500); /* something was learned */
        bv_buffer_free(&back);
        bv_encoder_destroy(&encoder);
    }
    for (int i = 0; i < 4; i++) bv_tokenizer_destroy(&tokenizers[i]);
    bv_buffer_free(&text);
}

static void test_gpt2_pieces(void **state) {
    (void)state;
    static const char text[] = "I'll  say 42 things,\n\n don't you?";
    static const char *const expected[] = {"I", "'ll",  " ",    " say", " 42",  " things",
                                           ",", "\n\n", " don", "'t",   " you", "?"};
    bv_splitter *splitter;
    assert_ok(bv_splitter_create("gpt2", &splitter));
    bv_splitter_text(splitter, text, sizeof text - 1);
    const unsigned char *piece;
    size_t size;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(bv_splitter_next(splitter, &piece, &size));
        assert_int_equal(size, strlen(expected[i]));
        assert_memory_equal(piece, expected[i], size);
    }
    assert_false(bv_splitter_next(splitter, &piece, &size));
    bv_splitter_destroy(&splitter);
}

static void test_characters(void **state) {
    (void)state;
    static const char text[] = "hé→😀h";
    bv_tokenizer *t;
    assert_ok(bv_tokenizer_char(text, sizeof text - 1, &t));
    assert_int_equal(bv_tokenizer_vocab_size(t), 4);
    check_round_trip(t, text, sizeof text - 1);
    bv_encoder *encoder;
    const uint32_t *tokens;
    size_t count;
    assert_ok(bv_encoder_create(t, &encoder));
    assert_fails(bv_encoder_encode(encoder, "x", 1, &tokens, &count), BV_CODE_INPUT,
                 "\"x\" (U+0078)");
    assert_fails(bv_encoder_encode(encoder, "\xc2\xa0", 2, &tokens, &count), BV_CODE_INPUT,
                 "(U+00A0)");
    bv_encoder_destroy(&encoder);
    bv_tokenizer_destroy(&t);
    assert_fails(bv_tokenizer_char("a\xff", 2, &t), BV_CODE_INPUT, "byte 1");
    assert_fails(bv_tokenizer_char("", 0, &t), BV_CODE_INPUT, "no characters");
}

/* Where memory ends, a tokenizer is described whole or not at all. */
static void test_text_without_memory(void **state) {
    (void)state;
    char characters[95];
    bv_tokenizer *t;
    bv_buffer whole = {0};
    int strikes = 0;
    for (int i = 0; i < 95; i++) characters[i] = (char)(' ' + i);
    assert_ok(bv_tokenizer_char(characters, sizeof characters, &t));
    assert_ok(bv_tokenizer_text(t, &whole));
    for (bool struck = true; struck; strikes += struck) {
        bv_buffer text = {0};
        faults_allocation(strikes);
        bv_error *error = bv_tokenizer_text(t, &text);
        struck = faults_off();
        assert_int_equal(bv_error_code(error), struck ? BV_CODE_MEMORY : BV_CODE_OK);
        if (!error) assert_string_equal(text.data, whole.data);
        bv_error_free(&error);
        bv_buffer_free(&text);
    }
    assert_in_range(strikes, 4, 100);
    bv_buffer_free(&whole);
    bv_tokenizer_destroy(&t);
}

/* Mutated files are refused or make a tokenizer; they never crash. */
static void test_mutated_files(void **state) {
    (void)state;
    static const char good[] = "{\"format\":\"beaver-tokenizer/1\",\"kind\":\"bpe\",\"pattern\":"
                               "\"gpt2\",\"merges\":[[97,98],[256,99],[257,257]]}";
    for (uint32_t seed = 0; seed < 3000; seed++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (uint32_t k = 0; k <= seed % 3; k++) {
            const bv_random4 r = bv_random(5, BV_RANDOM_TEST, 0, seed, k, 0);
            text[r.v[0] % (sizeof good - 1)] = (char)(r.v[1] % 2 ? r.v[2] : '0' + r.v[2] % 10);
        }
        json_t *value;
        bv_tokenizer *t = NULL;
        bv_error *error = bv_json_parse(text, sizeof good - 1, "test", &value);
        if (!error) {
            error = bv_tokenizer_parse(value, "test", &t);
            json_decref(value);
            assert_true((error == NULL) == (t != NULL));
        }
        bv_error_free(&error);
        bv_tokenizer_destroy(&t);
    }
}

/* A file is read by a scanner of merges where it can be, else by the parser alone: whatever the
 * bytes, both refuse, or both give the same tokenizer. */
static void test_reading_equals_parsing(void **state) {
    (void)state;
    static const char good[] =
        "{\"format\": \"beaver-tokenizer/1\", \"kind\": \"bpe\", \"pattern\": \"gpt2\", "
        "\"merges\": [[97, 98], [256, 99], [10, 0], [257, 258]]}";
    char *folder = make_folder(), *path = bv_path_join(folder, "t"), *a = bv_path_join(folder, "a"),
         *b = bv_path_join(folder, "b");
    for (uint32_t seed = 0; seed < 1500; seed++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (uint32_t k = 0; k < seed % 4; k++) { /* seed 0, 4, ...: as it is */
            const bv_random4 r = bv_random(6, BV_RANDOM_TEST, 0, seed, k, 0);
            const char other[] = "0123456789[], \"}\\";
            text[r.v[0] % (sizeof good - 1)] = other[r.v[1] % (sizeof other - 1)];
        }
        json_t *value = NULL;
        bv_tokenizer *read = NULL, *parsed = NULL;
        assert_ok(bv_file_write(path, text, sizeof good - 1));
        bv_error *read_error = bv_tokenizer_load(path, &read);
        bv_error *error = bv_json_parse(text, sizeof good - 1, "test", &value);
        if (!error) error = bv_tokenizer_parse(value, "test", &parsed);
        json_decref(value);
        assert_true(!error == !read_error);
        assert_true(error || seed % 4 || parsed);
        if (!error) {
            bv_buffer x = {0}, y = {0};
            assert_ok(bv_tokenizer_save(read, a));
            assert_ok(bv_tokenizer_save(parsed, b));
            assert_ok(bv_file_read(a, &x));
            assert_ok(bv_file_read(b, &y));
            assert_string_equal(x.data, y.data);
            bv_buffer_free(&x);
            bv_buffer_free(&y);
        }
        bv_error_free(&error);
        bv_error_free(&read_error);
        bv_tokenizer_destroy(&read);
        bv_tokenizer_destroy(&parsed);
    }
    bv_free(path);
    bv_free(a);
    bv_free(b);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_equals_reference),
        cmocka_unit_test(test_any_bytes_come_back),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_gpt2_pieces),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_text_without_memory),
        cmocka_unit_test(test_mutated_files),
        cmocka_unit_test(test_reading_equals_parsing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

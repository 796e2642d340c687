/* Encoding against an obvious reference: caches, heaps, long pieces and threads change nothing; and
 * tokenizers from tiktoken's ranks against the rule that tiktoken follows. */
#include "base/memory.h"
#include "base/random.h"
#include "support/check.h"
#include "support/imported.h"
#include "text/bpe_train.h"
#include "text/parallel_encode.h"
#include "text/pieces.h"
#include "text/tiktoken.h"

#define TEXT_MAX ((size_t)200 << 10)

static uint32_t draw(uint32_t purpose, uint32_t seed, uint32_t i) {
    return bv_random(11, BV_RANDOM_TEST, purpose, seed, i, 0).v[0];
}

/* Words that repeat, of all lengths, with runs, other scripts and bytes that are no UTF-8. */
static void random_text(uint32_t seed, size_t size, bv_buffer *out) {
    static const char *const scripts[] = {"é", "ß",    "привет", "世界",
                                          "😀", "\xff", "\xc3",   "\n\n  "};
    for (uint32_t i = 0; out->size < size; i++) {
        const uint32_t kind = draw(0, seed, i) % 64, r = draw(1, seed, i);
        if (kind < 52) {
            uint32_t word = r % 3 ? r % 97 : r % 100000;
            for (uint32_t k = 0; k < 1 + word % 9; k++, word /= 2)
                bv_buffer_append(out, &"eatoinshrd"[word % 10], 1);
            bv_buffer_text(out, kind % 7 ? " " : kind % 2 ? "\n        " : "'ll ");
        } else if (kind < 56) {
            bv_buffer_text(out, scripts[r % 8]);
        } else if (kind < 60) {
            bv_buffer_printf(out, "%u ", r >> r % 32);
        } else {
            const uint32_t n = r % 8 ? r % 40 : r % 700; /* a run of one letter, or of few */
            for (uint32_t k = 0; k < n; k++)
                bv_buffer_append(out, &"aab-  "[kind == 60 ? k * r % 5 : kind % 6], 1);
        }
    }
    assert_ok(bv_buffer_error(out));
}

static bv_tokenizer *learn(const bv_buffer *text, const char *pattern, size_t vocab) {
    bv_bpe_trainer *trainer;
    bv_tokenizer *t;
    assert_ok(bv_bpe_trainer_create(pattern, NULL, &trainer));
    assert_ok(bv_bpe_trainer_add(trainer, text->data, text->size));
    assert_ok(bv_bpe_trainer_learn(trainer, vocab, &t));
    bv_bpe_trainer_destroy(&trainer);
    return t;
}

/* What tiktoken does: neighbours whose bytes together are a token merge, the least rank first. The
 * tokens' bytes come from the tokenizer, their ranks are their numbers. */
typedef struct vocabulary {
    bv_buffer *bytes; /* by token */
    size_t count;
    uint32_t *slots; /* hash of the bytes -> token + 1 */
    size_t slot_count;
} vocabulary;

static uint32_t *slot_of(const vocabulary *v, const char *bytes, size_t size) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < size; i++) h = (h ^ (unsigned char)bytes[i]) * 16777619u;
    size_t i = h % v->slot_count;
    for (; v->slots[i]; i = (i + 1) % v->slot_count) {
        const bv_buffer *b = &v->bytes[v->slots[i] - 1];
        if (b->size == size && !memcmp(b->data, bytes, size)) break;
    }
    return &v->slots[i];
}

static vocabulary list_vocabulary(const bv_tokenizer *t) {
    vocabulary v = {.count = bv_tokenizer_vocab_size(t)};
    v.slot_count = 4 * v.count;
    v.bytes = calloc(v.count, sizeof *v.bytes);
    v.slots = calloc(v.slot_count, sizeof *v.slots);
    assert_true(v.bytes && v.slots);
    for (uint32_t i = 0; i < v.count; i++) {
        assert_ok(bv_tokenizer_decode(t, &i, 1, &v.bytes[i]));
        if (v.bytes[i].size) *slot_of(&v, v.bytes[i].data, v.bytes[i].size) = i + 1;
    }
    return v;
}

static void free_vocabulary(vocabulary *v) {
    for (size_t i = 0; i < v->count; i++) bv_buffer_free(&v->bytes[i]);
    free(v->bytes);
    free(v->slots);
}

static size_t slow_piece(const vocabulary *v, const char *piece, size_t size, uint32_t *tokens) {
    size_t *begins = malloc((size + 1) * sizeof *begins), count = size;
    assert_non_null(begins);
    for (size_t i = 0; i <= size; i++) begins[i] = i;
    while (count > 1) {
        uint32_t best = UINT32_MAX;
        size_t where = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const uint32_t rank = *slot_of(v, piece + begins[i], begins[i + 2] - begins[i]);
            if (rank == 0 || rank >= best) continue;
            best = rank;
            where = i;
        }
        if (best == UINT32_MAX) break;
        memmove(begins + where + 1, begins + where + 2, (count - where - 1) * sizeof *begins);
        count--;
    }
    for (size_t i = 0; i < count; i++)
        tokens[i] = *slot_of(v, piece + begins[i], begins[i + 1] - begins[i]) - 1;
    free(begins);
    return count;
}

static size_t slow_encode(const vocabulary *v, const char *pattern, const bv_buffer *text,
                          uint32_t *tokens) {
    bv_splitter *splitter;
    const unsigned char *piece;
    size_t size, count = 0;
    assert_ok(bv_splitter_create(pattern, &splitter));
    bv_splitter_text(splitter, text->data, text->size);
    while (bv_splitter_next(splitter, &piece, &size))
        count += slow_piece(v, (const char *)piece, size, tokens + count);
    bv_splitter_destroy(&splitter);
    return count;
}

static void count_calls(void *context, size_t i) {
    ((int *)context)[i]++;
}

static void check_run(const bv_token_run *run, size_t token_bytes, const uint32_t *expected) {
    const uint16_t *two = run->tokens;
    const uint32_t *four = run->tokens;
    for (size_t i = 0; i < run->count; i++)
        assert_int_equal(token_bytes == 2 ? two[i] : four[i], expected[i]);
}

static void check_runs(const bv_tokenizer *t, int threads, const bv_buffer *text,
                       const uint32_t *expected, size_t expected_count) {
    const size_t token_bytes = threads % 2 ? 2 : 4;
    bv_pool *pool = NULL;
    bv_parallel_encoder *encoder;
    bv_encoded out = {0};
    if (threads) assert_ok(bv_pool_create(threads, &pool));
    assert_ok(bv_parallel_encoder_create(t, pool, token_bytes, &encoder));
    for (int round = 0; round < 2; round++) {
        size_t at = 0, cut = bv_pieces_cut(text->data, text->size, 1000), last = 0;
        const bv_text texts[] = {{text->data, cut}, {"", 0}, {text->data + cut, text->size - cut}};
        int calls[3] = {0};
        const bv_side_work side = {count_calls, calls, 3};
        assert_ok(bv_parallel_encode(encoder, texts, 3, round ? &side : NULL, &out));
        for (size_t i = 0; i < out.run_count; at += out.runs[i++].count) {
            assert_true(at + out.runs[i].count <= expected_count);
            check_run(&out.runs[i], token_bytes, expected + at);
            assert_true(out.runs[i].text >= last && out.runs[i].text != 1);
            last = out.runs[i].text;
        }
        assert_int_equal(at, expected_count);
        assert_int_equal(last, 2);
        for (int i = 0; i < 3; i++) assert_int_equal(calls[i], round);
    }
    assert_true(out.run_count > 3);
    assert_ok(bv_parallel_encode(encoder, NULL, 0, NULL, &out));
    assert_int_equal(out.run_count, 0);
    bv_encoded_free(&out);
    bv_parallel_encoder_destroy(&encoder);
    bv_pool_destroy(&pool);
}

static void test_equals_reference(void **state) {
    (void)state;
    static uint32_t expected[TEXT_MAX * 2];
    for (uint32_t seed = 0; seed < 6; seed++) {
        const char *pattern = seed % 2 ? "cl100k" : "gpt2";
        bv_buffer text = {0};
        random_text(seed, TEXT_MAX, &text);
        bv_tokenizer *t = learn(&text, pattern, 300 + 700 * seed);
        vocabulary v = list_vocabulary(t);
        const size_t expected_count = slow_encode(&v, pattern, &text, expected);
        bv_encoder *encoder;
        const uint32_t *tokens;
        size_t count;
        assert_ok(bv_encoder_create(t, &encoder));
        for (int round = 0; round < 3; round++) { /* the cache knows more each time */
            assert_ok(bv_encoder_encode(encoder, text.data, text.size, &tokens, &count));
            assert_int_equal(count, expected_count);
            assert_memory_equal(tokens, expected, count * sizeof *tokens);
        }
        assert_ok(bv_encoder_encode(encoder, text.data, 0, &tokens, &count));
        assert_int_equal(count, 0);
        for (int threads = 0; threads < 4; threads++)
            check_runs(t, threads, &text, expected, expected_count);
        bv_encoder_destroy(&encoder);
        free_vocabulary(&v);
        bv_tokenizer_destroy(&t);
        bv_buffer_free(&text);
    }
}

/* So many different pieces that the cache and its ring are overwritten again and again. */
static void test_cache_overflows(void **state) {
    (void)state;
    bv_buffer text = {0}, some = {0}, back = {0};
    random_text(7, 20000, &some);
    bv_tokenizer *t = learn(&some, "gpt2", 400);
    for (uint32_t i = 0; i < 400000; i++) {
        uint32_t r = i % 3 ? draw(2, 0, i) : i % 20;
        bv_buffer_text(&text, " ");
        for (uint32_t k = 0; k < 1 + i % 22; k++, r = r / 3 + 7 * (r % 3))
            bv_buffer_append(&text, &"eatoinshrd"[r % 10], 1);
    }
    bv_encoder *warm, *fresh;
    const uint32_t *tokens, *part_tokens;
    size_t count, part_count, at = 0;
    assert_ok(bv_encoder_create(t, &warm));
    assert_ok(bv_encoder_create(t, &fresh));
    assert_ok(bv_encoder_encode(warm, text.data, text.size, &tokens, &count));
    assert_ok(bv_encoder_encode(warm, text.data, text.size, &tokens, &count));
    /* Short texts are encoded without a cache. */
    for (size_t begin = 0, end; begin < text.size; begin = end) {
        end = begin + bv_pieces_cut(text.data + begin, text.size - begin, 2000);
        assert_ok(
            bv_encoder_encode(fresh, text.data + begin, end - begin, &part_tokens, &part_count));
        assert_true(at + part_count <= count);
        assert_memory_equal(part_tokens, tokens + at, part_count * sizeof *tokens);
        at += part_count;
    }
    assert_int_equal(at, count);
    for (int threads = 1; threads < 4; threads++) /* which share a cache */
        check_runs(t, threads, &text, tokens, count);
    assert_ok(bv_tokenizer_decode(t, tokens, count, &back));
    assert_int_equal(back.size, text.size);
    assert_memory_equal(back.data, text.data, text.size);
    bv_encoder_destroy(&warm);
    bv_encoder_destroy(&fresh);
    bv_tokenizer_destroy(&t);
    bv_buffer_free(&text);
    bv_buffer_free(&some);
    bv_buffer_free(&back);
}

/* Words of which a third is in the cache when it is wanted, so that many threads write it while
 * others read it, and are stopped in the middle of both. */
static void test_cache_is_shared(void **state) {
    (void)state;
    bv_buffer text = {0}, some = {0};
    random_text(7, 20000, &some);
    bv_tokenizer *t = learn(&some, "gpt2", 400);
    for (uint32_t i = 0; i < 600000; i++) {
        uint32_t word = draw(3, 0, i) % 250000;
        bv_buffer_text(&text, word % 8 ? " " : " eatoinshrd");
        for (uint32_t k = 0; k < 6; k++, word /= 8)
            bv_buffer_append(&text, &"eatoinsh"[(word + k) % 8], 1);
    }
    bv_encoder *encoder;
    const uint32_t *tokens;
    size_t count;
    assert_ok(bv_encoder_create(t, &encoder));
    assert_ok(bv_encoder_encode(encoder, text.data, text.size, &tokens, &count));
    for (int round = 0; round < 3; round++) check_runs(t, 8, &text, tokens, count);
    bv_encoder_destroy(&encoder);
    bv_tokenizer_destroy(&t);
    bv_buffer_free(&text);
    bv_buffer_free(&some);
}

typedef struct decoding {
    bv_tokenizer *tokenizer;
    const uint32_t *tokens;
    size_t count;
    bv_buffer text[8];
    bv_error *errors[8];
} decoding;

static void decode(void *context, int part, int parts) {
    decoding *d = context;
    (void)parts;
    d->errors[part] = bv_tokenizer_decode(d->tokenizer, d->tokens, d->count, &d->text[part]);
}

/* The first ones to decode spell the tokens, all at the same time. */
static void test_decoding_at_once(void **state) {
    (void)state;
    bv_buffer text = {0};
    random_text(8, 20000, &text);
    bv_pool *pool;
    assert_ok(bv_pool_create(8, &pool));
    for (int round = 0; round < 20; round++) {
        decoding d = {.tokenizer = learn(&text, "gpt2", 2000)};
        bv_encoder *encoder;
        assert_ok(bv_encoder_create(d.tokenizer, &encoder));
        assert_ok(bv_encoder_encode(encoder, text.data, text.size, &d.tokens, &d.count));
        bv_pool_run(pool, decode, &d);
        for (int i = 0; i < 8; i++) {
            assert_ok(d.errors[i]);
            assert_int_equal(d.text[i].size, text.size);
            assert_memory_equal(d.text[i].data, text.data, text.size);
            bv_buffer_free(&d.text[i]);
        }
        bv_encoder_destroy(&encoder);
        bv_tokenizer_destroy(&d.tokenizer);
    }
    bv_pool_destroy(&pool);
    bv_buffer_free(&text);
}

/* One piece of a megabyte: seconds would mean that the time grows with the square. */
static void test_one_long_piece(void **state) {
    (void)state;
    const size_t size = (size_t)1 << 20;
    const bv_pair merges[] = {{'a', 'a'}, {256, 256}, {257, 257}, {257, 'a'}};
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'a', size);
    bv_tokenizer *t;
    bv_encoder *encoder;
    const uint32_t *tokens;
    size_t count;
    assert_ok(bv_tokenizer_bpe("gpt2", merges, 4, &t));
    assert_ok(bv_encoder_create(t, &encoder));
    assert_ok(bv_encoder_encode(encoder, text, size, &tokens, &count));
    assert_int_equal(count, size / 8);
    for (size_t i = 0; i < count; i++) assert_int_equal(tokens[i], 258);
    assert_ok(bv_encoder_encode(encoder, text, 8 * 1000 + 5, &tokens, &count));
    assert_int_equal(count, 1001); /* 5 = aaaa + a */
    assert_int_equal(tokens[1000], 259);
    bv_encoder_destroy(&encoder);
    bv_tokenizer_destroy(&t);
    free(text);
}

/* ---- tiktoken ---- */

static void append_base64(bv_buffer *out, const bv_buffer *bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes->size; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < bytes->size ? (unsigned char)bytes->data[i + k] : 0u);
        for (size_t k = 0; k < 4; k++)
            bv_buffer_append(out, k > bytes->size - i ? "=" : &digits[bits >> (18 - 6 * k) & 63],
                             1);
    }
}

/* Ranks: the bytes backwards, then the merges with a hole behind the tenth. */
static uint32_t rank_of(const bv_tokenizer *own, uint32_t token) {
    (void)own;
    return token < 256 ? 255 - token : token + (token > 265);
}

static void write_ranks(const bv_tokenizer *t, const char *path) {
    bv_buffer file = {0};
    for (uint32_t i = (uint32_t)bv_tokenizer_vocab_size(t) - 1; i-- > 0;) {
        bv_buffer bytes = {0};
        assert_ok(bv_tokenizer_decode(t, &i, 1, &bytes));
        append_base64(&file, &bytes);
        bv_buffer_printf(&file, " %u%s", rank_of(t, i), i % 5 ? "\n" : i ? "\r\n" : "");
        bv_buffer_free(&bytes);
    }
    assert_ok(bv_file_write(path, file.data, file.size));
    bv_buffer_free(&file);
}

static void check_imported(const bv_tokenizer *t, const bv_tokenizer *own, const bv_buffer *text) {
    static uint32_t expected[TEXT_MAX * 2], tokens[TEXT_MAX * 2];
    vocabulary v = list_vocabulary(t);
    const size_t expected_count = slow_encode(&v, "cl100k", text, expected);
    const size_t count = check_renumbered(t, own, text, rank_of, tokens);
    assert_int_equal(count, expected_count);
    assert_memory_equal(tokens, expected, count * sizeof *tokens);
    free_vocabulary(&v);
}

static void test_import(void **state) {
    (void)state;
    char *folder = make_folder(), *ranks = bv_path_join(folder, "x.tiktoken"),
         *saved = bv_path_join(folder, "tokenizer.json");
    bv_buffer text = {0};
    random_text(20, 100000, &text);
    bv_tokenizer *own = learn(&text, "cl100k", 1500), *t, *again;
    const uint32_t vocab = (uint32_t)bv_tokenizer_vocab_size(own);
    write_ranks(own, ranks);
    assert_fails(bv_tokenizer_load_tiktoken(ranks, NULL, NULL, &t), BV_CODE_USAGE,
                 "try: --pattern");
    assert_ok(bv_tokenizer_load_tiktoken(ranks, "cl100k", NULL, &t));
    assert_int_equal(bv_tokenizer_end_of_text(t), vocab); /* behind the last; one is a hole */
    assert_int_equal(bv_tokenizer_vocab_size(t), vocab + 1);
    check_imported(t, own, &text);
    assert_ok(bv_tokenizer_save(t, saved));
    assert_ok(bv_tokenizer_load(saved, &again));
    check_imported(again, own, &text);
    bv_tokenizer_destroy(&again);
    bv_tokenizer_destroy(&t);
    const char *const names[] = {"<|a|>", BV_END_OF_TEXT};
    uint32_t specials[] = {5000, 266};
    const bv_bpe_numbers numbers = {NULL, names, specials, 2};
    assert_ok(bv_tokenizer_load_tiktoken(ranks, "gpt2", &numbers, &t));
    assert_int_equal(bv_tokenizer_end_of_text(t), 266);
    assert_int_equal(bv_tokenizer_special(t, "<|a|>"), 5000);
    assert_int_equal(bv_tokenizer_special(t, "<|b|>"), BV_NO_TOKEN);
    assert_int_equal(bv_tokenizer_vocab_size(t), 5001);
    bv_tokenizer_destroy(&t);
    specials[1] = 270;
    assert_fails(bv_tokenizer_load_tiktoken(ranks, "gpt2", &numbers, &t), BV_CODE_INPUT,
                 "token 270 stands there twice");
    bv_tokenizer_destroy(&own);
    bv_buffer_free(&text);
    bv_free(ranks);
    bv_free(saved);
    remove_folder(folder);
}

static void test_bad_ranks(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
    } bad[] = {{"", "0 of the 256 bytes"},
               {"YQ== 0\nYg== 1\n", "2 of the 256 bytes"},
               {"YQ== 0\nYg= 1\n", "line 2"},
               {"YQ==\n", "line 1"},
               {"YQ== x\n", "line 1"},
               {"YQ== 99999999\n", "line 1"},
               {"Y!== 1\n", "line 1"},
               {"Y=Q= 1\n", "line 1"},
               {"YQ== 0\nYg== 0\n", "rank 0 stands there twice"},
               {"YWJj 300\n", "made of 3 tokens"}};
    char *folder = make_folder(), *path = bv_path_join(folder, "x.tiktoken");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bv_tokenizer *t;
        assert_ok(bv_file_write(path, bad[i].text, strlen(bad[i].text)));
        assert_fails(bv_tokenizer_load_tiktoken(path, "gpt2", NULL, &t), BV_CODE_INPUT,
                     bad[i].part);
        assert_null(t);
    }
    bv_free(path);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_reference), cmocka_unit_test(test_cache_overflows),
        cmocka_unit_test(test_cache_is_shared),  cmocka_unit_test(test_decoding_at_once),
        cmocka_unit_test(test_one_long_piece),   cmocka_unit_test(test_import),
        cmocka_unit_test(test_bad_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

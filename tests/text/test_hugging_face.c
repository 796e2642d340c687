/* tokenizer.json of Hugging Face's: the same tokens as the byte pairs it was written from, whatever
 * else its merges list, and refused where it asks for more. */
#include "base/json.h"
#include "base/memory.h"
#include "support/check.h"
#include "support/imported.h"
#include "support/mangle.h"
#include "text/bpe_train.h"
#include "text/hugging_face.h"

#define GPT2 "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true}"
#define LLAMA3                                                                                     \
    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": " \
    "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}|"        \
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, "     \
    "\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", "                   \
    "\"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}"

/* Appends bytes in GPT-2's alphabet. */
static void put_bytes(const void *bytes, size_t size, bv_buffer *out) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < size; i++) {
        int code = 0, others = 0;
        for (int b = 0; b <= p[i]; b++) {
            const bool printed = (b > ' ' && b < 127) || (b > 160 && b != 173);
            code = printed ? b : 256 + others++;
        }
        const char text[] = {(char)(code < 0x80 ? code : 0xc0 | code >> 6),
                             (char)(0x80 | (code & 63))};
        bv_buffer_append(out, text, code < 0x80 ? 1 : 2);
    }
}

static json_t *parse(const char *text) {
    json_t *value;
    assert_ok(bv_json_parse(text, strlen(text), "a test", &value));
    return value;
}

/* Takes vocabulary and merges. */
static json_t *make_file(const char *pre_tokenizer, json_t *vocab, json_t *merges) {
    json_t *file =
        json_pack("{s:s, s:n, s:o, s:{s:s, s:n, s:b, s:o, s:o}}", "version", "1.0", "normalizer",
                  "pre_tokenizer", parse(pre_tokenizer), "model", "type", "BPE", "dropout",
                  "ignore_merges", 1, "vocab", vocab, "merges", merges);
    json_object_set_new(file, "added_tokens",
                        parse("[{\"id\": 70000, \"content\": \"<|endoftext|>\", \"single_word\": "
                              "false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                              "\"special\": true}]"));
    return file;
}

/* ---- what was learned, and comes back ---- */

static void make_text(bv_buffer *out) {
    for (uint32_t i = 0; i < 20000; i++) {
        const uint32_t r = mangle_word(5, 0, i, 0);
        uint32_t word = r % 3 ? r % 97 : r % 100000;
        for (uint32_t k = 0; k < 1 + word % 9; k++, word /= 2)
            bv_buffer_append(out, &"eatoinshrd"[word % 10], 1);
        bv_buffer_text(out, r % 31 == 0 ? "\xc3\xa9\xff"
                            : r % 7     ? " "
                            : r % 2     ? "'ll "
                                        : "\n\n   ");
    }
    bv_buffer_text(out, "\n  ");
    assert_ok(bv_buffer_error(out));
}

/* The file's numbers: backwards. */
static uint32_t number_of(const bv_tokenizer *t, uint32_t token) {
    return (uint32_t)bv_tokenizer_vocab_size(t) - 2 - token;
}

/* Every pair of tokens that spells it, as Llama 3's file has them. */
static void list_merges(const bv_buffer *whole, const json_t *vocab, bool pairs, json_t *merges) {
    for (size_t cut = 1; cut < whole->size; cut++) {
        bv_buffer left = {0}, right = {0};
        put_bytes(whole->data, cut, &left);
        put_bytes(whole->data + cut, whole->size - cut, &right);
        if (json_object_get(vocab, left.data) && json_object_get(vocab, right.data))
            json_array_append_new(merges, pairs ? json_pack("[s, s]", left.data, right.data)
                                                : json_sprintf("%s %s", left.data, right.data));
        bv_buffer_free(&left);
        bv_buffer_free(&right);
    }
}

static json_t *write_out(const bv_tokenizer *t, const char *pre_tokenizer, bool pairs) {
    json_t *vocab = json_object(), *merges = json_array();
    const uint32_t count = (uint32_t)bv_tokenizer_vocab_size(t) - 1;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = pass ? 256 : 0; i < count; i++) {
            bv_buffer bytes = {0}, name = {0};
            assert_ok(bv_tokenizer_decode(t, &i, 1, &bytes));
            put_bytes(bytes.data, bytes.size, &name);
            if (pass)
                list_merges(&bytes, vocab, pairs, merges);
            else
                json_object_set_new(vocab, name.data, json_integer(number_of(t, i)));
            bv_buffer_free(&bytes);
            bv_buffer_free(&name);
        }
    assert_true(json_array_size(merges) > 2 * (size_t)count); /* most of them for nothing */
    return make_file(pre_tokenizer, vocab, merges);
}

static void test_comes_back(void **state) {
    (void)state;
    char *folder = make_folder(), *path = bv_path_join(folder, "tokenizer.json");
    bv_buffer text = {0};
    make_text(&text);
    for (int form = 0; form < 2; form++) {
        bv_bpe_trainer *trainer;
        bv_tokenizer *own, *t;
        assert_ok(bv_bpe_trainer_create(form ? "llama3" : "gpt2", NULL, &trainer));
        assert_ok(bv_bpe_trainer_add(trainer, text.data, text.size));
        assert_ok(bv_bpe_trainer_learn(trainer, 1500, &own));
        bv_bpe_trainer_destroy(&trainer);
        json_t *file = write_out(own, form ? LLAMA3 : GPT2, form);
        assert_ok(bv_json_save(path, file));
        assert_ok(bv_tokenizer_load_hugging_face(path, NULL, &t));
        assert_int_equal(bv_tokenizer_end_of_text(t), 70000);
        check_renumbered(t, own, &text, number_of, NULL);
        bv_tokenizer_destroy(&t);
        /* Given names are added, or stand in for the file's. */
        const char *const names[] = {BV_END_OF_TEXT, "<|x|>"};
        const uint32_t specials[] = {70001, 70000};
        const bv_bpe_numbers given = {NULL, names, specials, 2};
        assert_ok(bv_tokenizer_load_hugging_face(path, &given, &t));
        assert_int_equal(bv_tokenizer_end_of_text(t), 70001);
        assert_int_equal(bv_tokenizer_special(t, "<|x|>"), 70000);
        bv_tokenizer_destroy(&t);
        bv_tokenizer_destroy(&own);
        json_decref(file);
    }
    bv_buffer_free(&text);
    bv_free(path);
    remove_folder(folder);
}

/* ---- what is refused ---- */

/* All bytes, "he", "hel" and "ab". */
static json_t *make_tiny(void) {
    json_t *vocab = parse("{\"he\": 256, \"hel\": 257, \"ab\": 258}");
    for (int i = 0; i < 256; i++) {
        bv_buffer name = {0};
        const char byte = (char)i;
        put_bytes(&byte, 1, &name);
        json_object_set_new(vocab, name.data, json_integer(i));
        bv_buffer_free(&name);
    }
    return make_file(GPT2, vocab, parse("[\"h e\", \"he l\", \"a b\"]"));
}

static const struct {
    const char *object, *key, *value,
        *part; /* object: NULL, "model" or "vocab"; value: NULL: none */
} bad[] = {
    {NULL, "normalizer", "{\"type\": \"NFC\"}", "normalizer \"NFC\""},
    {NULL, "pre_tokenizer", "null", "pre-tokenizer"},
    {NULL, "pre_tokenizer", "{\"type\": \"Whitespace\"}", "pre-tokenizer (\"Whitespace\")"},
    {NULL, "pre_tokenizer", "{\"type\": \"ByteLevel\", \"add_prefix_space\": true}", "ByteLevel"},
    {NULL, "pre_tokenizer",
     "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}", "ByteLevel"},
    {NULL, "pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": []}", "Sequence"},
    {NULL, "format", "\"beaver-tokenizer/1\"", "\"format\""},
    {NULL, "model", NULL, "not BPE"},
    {NULL, "model", "{\"type\": \"Unigram\", \"vocab\": []}", "\"Unigram\", not BPE"},
    {NULL, "added_tokens", "[{\"id\": 7, \"content\": \"<|x|>\", \"special\": true}]",
     "token 7 stands there twice"},
    {NULL, "added_tokens", "[{\"id\": 259, \"content\": \"<|x|>\", \"special\": false}]",
     "cut out of the text"},
    {NULL, "added_tokens", "[{\"id\": 259, \"content\": \"he\", \"special\": true}]",
     "another number"},
    {NULL, "added_tokens", "[{\"id\": -1, \"content\": \"x!\", \"special\": true}]",
     "another number"},
    {NULL, "added_tokens", "[{\"id\": 259, \"content\": \"x\", \"special\": true, \"new\": 1}]",
     "\"new\""},
    {NULL, "added_tokens", "[7]", "\"id\""},
    {"model", "dropout", "0.1", "\"dropout\""},
    {"model", "end_of_word_suffix", "\"</w>\"", "\"end_of_word_suffix\""},
    {"model", "continuing_subword_prefix", "\"##\"", "\"continuing_subword_prefix\""},
    {"model", "new", "1", "\"new\""},
    {"model", "vocab", "[]", "0 of the 256 bytes"},
    {"model", "merges", "[\"h e\", \"he l\", \"a b\", \"x y\"]", "\"xy\" is not in the vocabulary"},
    {"model", "merges", "[\"h e\", \"he l\", \"a b\", \"h e\"]", "stands there twice"},
    {"model", "merges", "[\"h e\", \"he l\", \"ab\"]", "no pair"},
    {"model", "merges", "[\"h e\", \"he l\", [\"a\", \"b\", \"c\"]]", "no pair"},
    {"model", "merges", "[\"h e\", \"he l\", \"a \"]", "no pair"},
    {"model", "merges", "[\"he l\", \"h e\", \"a b\"]", "later merges"},
    {"model", "merges", "[\"h e\", \"he l\"]", "no merge makes the token \"ab\""},
    {"model", "merges", "[\"h e\", \"a b\", \"h el\"]", "\"el\" is not in the vocabulary"},
    {"vocab", "a", NULL, "255 of the 256 bytes"},
    {"vocab", "a", "-1", "no number"},
    {"vocab", "a", "16777217", "no number"},
    {"vocab", "a", "\"1\"", "no number"},
    {"vocab", "a", "98", "two tokens have the number"},
    {"vocab", "a\\u20ac", "300", "no merge makes"},
};

static void test_refused(void **state) {
    (void)state;
    char *folder = make_folder(), *path = bv_path_join(folder, "tokenizer.json");
    bv_tokenizer *t;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *file = make_tiny(), *model = json_object_get(file, "model");
        assert_ok(bv_json_save(path, file));
        assert_ok(bv_tokenizer_load_hugging_face(path, NULL, &t));
        bv_tokenizer_destroy(&t);
        json_t *object = !bad[i].object                    ? file
                         : !strcmp(bad[i].object, "vocab") ? json_object_get(model, "vocab")
                                                           : model;
        if (!bad[i].value)
            json_object_del(object, bad[i].key);
        else
            json_object_set_new(object, bad[i].key,
                                json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
        assert_ok(bv_json_save(path, file));
        assert_fails(bv_tokenizer_load_hugging_face(path, NULL, &t), BV_CODE_INPUT, bad[i].part);
        assert_null(t);
        json_decref(file);
    }
    bv_free(path);
    remove_folder(folder);
}

static char *mangled;

static bv_error *load_mangled(void) {
    bv_tokenizer *t;
    bv_error *error = bv_tokenizer_load_hugging_face(mangled, NULL, &t);
    bv_tokenizer_destroy(&t);
    return error;
}

static void test_mangled(void **state) {
    (void)state;
    char *folder = make_folder();
    mangled = bv_path_join(folder, "tokenizer.json");
    json_t *file = make_tiny();
    assert_ok(bv_json_save(mangled, file));
    mangle_file(mangled, 11, 0, 1000, load_mangled);
    json_decref(file);
    bv_free(mangled);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_mangled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "text/hugging_face.h"

#include "base/memory.h"
#include "text/bpe_growth.h"
#include <string.h>

#define ALPHABET_END 324 /* behind its last character */

#define KNOWN(names) names, sizeof names / sizeof *names

/* One of the file's merges: numbers of the vocabulary. */
typedef struct merge {
    uint32_t left, right, whole;
} merge;

typedef struct import {
    const json_t *vocab, *merges;
    uint32_t *made; /* by number: the byte, 256 + its merge, or BV_NO_TOKEN */
    size_t room;    /* of `made`: above all numbers */
    uint32_t *ids;  /* the other way round */
    bv_bpe_growth *growth;
    bv_buffer left, right, whole, bytes; /* of the merge that is read */
    const char **names;                  /* special tokens */
    uint32_t *specials;
    size_t special_count;
} import;

static void free_import(import *h) {
    bv_free(h->made);
    bv_free(h->ids);
    bv_bpe_growth_destroy(&h->growth);
    bv_buffer_free(&h->left);
    bv_buffer_free(&h->right);
    bv_buffer_free(&h->whole);
    bv_buffer_free(&h->bytes);
    bv_free(h->names);
    bv_free(h->specials);
}

/* ---- what surrounds the byte pairs ---- */

static bv_status refuse(bv_error *error) {
    return bv_try(error, "a tokenizer.json of byte-level BPE with the pre-tokenizer of GPT-2 or of "
                         "Llama 3, or tiktoken's file of ranks");
}

static bool absent(const json_t *value) {
    return !value || json_is_null(value);
}

static bool is_text(const json_t *value, const char *text) {
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static const char *type_of(const json_t *value) {
    const char *type = json_string_value(json_object_get(value, "type"));
    return type ? type : "?";
}

/* Writes bytes in GPT-2's alphabet; regex: cuts the text by its pattern before. */
static bool is_byte_level(const json_t *value, bool regex) {
    const json_t *use = json_object_get(value, "use_regex"); /* absent: true */
    return !strcmp(type_of(value), "ByteLevel") && (!use || json_is_boolean(use)) &&
           json_is_false(json_object_get(value, "add_prefix_space")) &&
           json_is_false(use) == !regex;
}

/* As the pattern matches every character, its matches are all there is. */
static bool is_llama3_split(const json_t *value) {
    static const char regex[] =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    const json_t *behavior = json_object_get(value, "behavior"),
                 *invert = json_object_get(value, "invert");
    return !strcmp(type_of(value), "Split") &&
           is_text(json_object_get(json_object_get(value, "pattern"), "Regex"), regex) &&
           ((is_text(behavior, "Isolated") && json_is_false(invert)) ||
            (is_text(behavior, "Removed") && json_is_true(invert)));
}

static bv_status read_pattern(const json_t *pre, const char **out) {
    const json_t *list = json_object_get(pre, "pretokenizers");
    if (is_byte_level(pre, true))
        *out = "gpt2";
    else if (!strcmp(type_of(pre), "Sequence") && json_array_size(list) == 2 &&
             is_llama3_split(json_array_get(list, 0)) &&
             is_byte_level(json_array_get(list, 1), false))
        *out = "llama3";
    else
        return refuse(bv_fail(BV_CODE_INPUT,
                              "the pre-tokenizer (\"%s\") is another one than GPT-2's "
                              "and Llama 3's",
                              type_of(pre)));
    return BV_OK;
}

/* Its "ignore_merges" makes no difference where every token comes about by merges. */
static bv_status check_model(const json_t *model) {
    static const char *const known[] = {
        "type",     "dropout",       "unk_token",     "continuing_subword_prefix",
        "fuse_unk", "byte_fallback", "ignore_merges", "end_of_word_suffix",
        "vocab",    "merges"};
    static const char *const none[] = {"dropout", "continuing_subword_prefix",
                                       "end_of_word_suffix"};
    const json_t *type = json_object_get(model, "type"); /* absent in old files */
    if (!json_is_object(model) || (type && !is_text(type, "BPE")))
        return refuse(bv_fail(BV_CODE_INPUT, "the model is \"%s\", not BPE", type_of(model)));
    BV_TRY(refuse(bv_json_check_members(model, KNOWN(known))));
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        const json_t *value = json_object_get(model, none[i]);
        const bool zero = json_is_number(value) && json_number_value(value) == 0;
        if (!absent(value) && !is_text(value, "") && !zero)
            return refuse(bv_fail(BV_CODE_INPUT, "the model has a \"%s\"", none[i]));
    }
    return BV_OK;
}

/* ---- the vocabulary ---- */

/* GPT-2's alphabet of bytes: those that can be printed stand for themselves, the others, in order,
 * for U+0100 and what follows. -1 for any other character. */
static int byte_of(int code) {
    const bool printed = (code > ' ' && code < 127) || (code > 160 && code < 256 && code != 173);
    const int other = code - 256; /* of 0 to 32, 127 to 160, 173 */
    if (printed) return code;
    return other < 0 || other > 67 ? -1 : other < 33 ? other : other < 67 ? other + 94 : 173;
}

/* Appends the bytes of a token; false where it is no text of that alphabet. */
static bool spell(const char *text, bv_buffer *out) {
    const unsigned char *p = (const unsigned char *)text;
    for (int code; *p; p += code < 0x80 ? 1 : 2) {
        code = p[0] < 0x80                  ? p[0]
               : p[0] < 0xc0 || p[0] > 0xdf ? -1
                                            : (p[0] & 31) << 6 | (p[1] & 63);
        const int byte = byte_of(code);
        if (byte < 0) return false;
        const char c = (char)byte;
        bv_buffer_append(out, &c, 1);
    }
    return true;
}

/* Room for all numbers, each of which stands there once. */
static bv_status list_numbers(import *h) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)h->vocab, name, value) {
        const json_int_t number = json_integer_value(value);
        if (!json_is_integer(value) || number < 0 || number > BV_TOKEN_MAX)
            return bv_fail(BV_CODE_INPUT, "the token \"%s\" has no number up to %u", name,
                           BV_TOKEN_MAX);
        if ((size_t)number >= h->room) h->room = (size_t)number + 1;
    }
    h->made = bv_calloc(h->room + 1, sizeof *h->made);
    h->ids = bv_calloc(256 + json_array_size(h->merges), sizeof *h->ids);
    if (!h->made || !h->ids) return bv_fail_memory("a tokenizer");
    json_object_foreach((json_t *)h->vocab, name, value) {
        if (h->made[json_integer_value(value)]++)
            return bv_fail(BV_CODE_INPUT, "two tokens have the number of \"%s\"", name);
    }
    memset(h->made, 0xff, (h->room + 1) * sizeof *h->made);
    return BV_OK;
}

/* The number of a token; BV_NO_TOKEN if there is none of that name. */
static uint32_t number_of(const import *h, const char *name) {
    const json_t *value = json_object_get(h->vocab, name);
    return value ? (uint32_t)json_integer_value(value) : BV_NO_TOKEN;
}

/* They have come about before all merges. */
static bv_status list_bytes(import *h) {
    size_t bytes = 0;
    for (int code = 0; code < ALPHABET_END; code++) {
        const char text[] = {(char)(code < 0x80 ? code : 0xc0 | code >> 6),
                             (char)(code < 0x80 ? 0 : 0x80 | (code & 63)), 0};
        const int byte = byte_of(code);
        const uint32_t number = byte < 0 ? BV_NO_TOKEN : number_of(h, text);
        if (number == BV_NO_TOKEN) continue;
        h->made[number] = (uint32_t)byte;
        h->ids[byte] = number;
        bytes++;
    }
    if (bytes == 256) return BV_OK;
    return refuse(bv_fail(BV_CODE_INPUT, "%zu of the 256 bytes are there", bytes));
}

/* ---- merges ---- */

/* "a b" or ["a", "b"]. */
static bool cut_merge(const json_t *value, bv_buffer *left, bv_buffer *right) {
    const char *text = json_string_value(value), *blank = text ? strchr(text, ' ') : NULL;
    const char *first = json_string_value(json_array_get(value, 0)),
               *second = json_string_value(json_array_get(value, 1));
    bv_buffer_clear(left);
    bv_buffer_clear(right);
    if (blank) {
        bv_buffer_append(left, text, (size_t)(blank - text));
        bv_buffer_text(right, blank + 1);
    } else if (json_array_size(value) == 2 && first && second) {
        bv_buffer_text(left, first);
        bv_buffer_text(right, second);
    }
    return left->size && right->size;
}

/* Also its bytes. */
static bv_status read_merge(import *h, const json_t *value, merge *out) {
    const bv_buffer *names[] = {&h->left, &h->right, &h->whole};
    uint32_t *numbers[] = {&out->left, &out->right, &out->whole};
    const bool cut = cut_merge(value, &h->left, &h->right);
    bv_buffer_clear(&h->whole);
    bv_buffer_clear(&h->bytes);
    bv_buffer_append(&h->whole, h->left.data, h->left.size);
    bv_buffer_append(&h->whole, h->right.data, h->right.size);
    for (int i = 0; i < 3; i++) {
        BV_TRY(bv_buffer_error(names[i]));
        if (!cut) return bv_fail(BV_CODE_INPUT, "that is no pair of tokens");
        *numbers[i] = number_of(h, names[i]->data);
        if (*numbers[i] == BV_NO_TOKEN)
            return bv_fail(BV_CODE_INPUT, "\"%s\" is not in the vocabulary", names[i]->data);
    }
    if (!spell(h->whole.data, &h->bytes) || h->bytes.size > BV_GROWTH_BYTES_MAX)
        return refuse(bv_fail(BV_CODE_INPUT, "\"%s\" is no text of bytes", h->whole.data));
    return bv_buffer_error(&h->bytes);
}

/* Of a merge that was just read: is it what the merges so far leave of its bytes? */
static bv_status is_left(import *h, const merge *m, bool *out) {
    const uint32_t *parts;
    size_t count;
    BV_TRY(bv_bpe_growth_parts(h->growth, h->bytes.data, h->bytes.size, &parts, &count));
    *out = count == 2 && parts[0] == h->made[m->left] && parts[1] == h->made[m->right];
    return BV_OK;
}

static bool is_twice(const import *h, const merge *m) {
    size_t count;
    const bv_pair *merges = bv_bpe_growth_merges(h->growth, &count);
    if (h->made[m->whole] == BV_NO_TOKEN) return false;
    const bv_pair *pair = &merges[h->made[m->whole] - 256];
    return pair->left == h->made[m->left] && pair->right == h->made[m->right];
}

/* A pair that is not left of its own bytes when its turn comes never meets in a text. */
static bv_status add_merge(import *h, const json_t *value) {
    merge m;
    bool left;
    size_t count;
    BV_TRY(read_merge(h, value, &m));
    if (is_twice(h, &m)) return bv_fail(BV_CODE_INPUT, "it stands there twice");
    BV_TRY(is_left(h, &m, &left));
    if (!left) return BV_OK;
    bv_bpe_growth_merges(h->growth, &count);
    bv_bpe_growth_add(h->growth, (bv_pair){h->made[m.left], h->made[m.right]});
    h->made[m.whole] = 256 + (uint32_t)count;
    h->ids[256 + count] = m.whole;
    return BV_OK;
}

/* Unless its parts come about later. */
static bv_status check_merge(import *h, const json_t *value) {
    merge m;
    bool left;
    BV_TRY(read_merge(h, value, &m));
    BV_TRY(is_left(h, &m, &left));
    if (!left) return BV_OK;
    return refuse(bv_fail(BV_CODE_INPUT, "its parts come about by later merges"));
}

static bv_status add_merges(import *h) {
    bv_status (*const passes[])(import *, const json_t *) = {add_merge, check_merge};
    BV_TRY(bv_bpe_growth_create(json_array_size(h->merges), &h->growth));
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < json_array_size(h->merges); i++)
            BV_TRY(bv_while(passes[pass](h, json_array_get(h->merges, i)), "reading merge %zu", i));
    return BV_OK;
}

/* ---- special tokens ---- */

static bv_status add_special(import *h, const json_t *value, const bv_bpe_numbers *given) {
    static const char *const known[] = {"id",     "content",    "single_word", "lstrip",
                                        "rstrip", "normalized", "special"};
    int64_t number;
    const char *name;
    BV_TRY(refuse(bv_json_check_members(value, KNOWN(known))));
    BV_TRY(bv_json_get_int(value, "id", &number));
    BV_TRY(bv_json_get_string(value, "content", &name));
    const uint32_t listed = number_of(h, name);
    if (number < 0 || number > BV_TOKEN_MAX || (listed != BV_NO_TOKEN && listed != number))
        return bv_fail(BV_CODE_INPUT, "\"%s\" has another number than %lld", name,
                       (long long)number);
    if (!json_is_true(json_object_get(value, "special")))
        return refuse(
            bv_fail(BV_CODE_INPUT, "\"%s\" is cut out of the text, and no special token", name));
    for (size_t i = 0; given && i < given->special_count; i++)
        if (given->specials[i] == number) return BV_OK;
    h->names[h->special_count] = name;
    h->specials[h->special_count++] = (uint32_t)number;
    return BV_OK;
}

static bv_status list_specials(import *h, const json_t *added, const bv_bpe_numbers *given) {
    const size_t count = json_array_size(added), more = given ? given->special_count : 0;
    h->names = bv_calloc(count + more + 1, sizeof *h->names);
    h->specials = bv_calloc(count + more + 1, sizeof *h->specials);
    if (!h->names || !h->specials) return bv_fail_memory("a tokenizer");
    for (size_t i = 0; i < more; i++) {
        h->names[i] = given->special_names[i];
        h->specials[i] = given->specials[i];
    }
    h->special_count = more;
    for (size_t i = 0; i < count; i++)
        BV_TRY(bv_while(add_special(h, json_array_get(added, i), given), "reading added token %zu",
                        i));
    return BV_OK;
}

/* A token that no merge makes would come out of a text only where a piece is the whole of it
 * ("ignore_merges"), and has bytes. */
static bv_status check_tokens(const import *h) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)h->vocab, name, value) {
        const uint32_t number = (uint32_t)json_integer_value(value);
        size_t i = 0;
        if (h->made[number] != BV_NO_TOKEN) continue;
        while (i < h->special_count && h->specials[i] != number) i++;
        if (i == h->special_count)
            return refuse(bv_fail(BV_CODE_INPUT, "no merge makes the token \"%s\"", name));
    }
    return BV_OK;
}

/* ---- all of it ---- */

static bv_status make(import *h, const json_t *file, const bv_bpe_numbers *given,
                      bv_tokenizer **out) {
    static const char *const known[] = {"version",        "truncation", "padding",
                                        "added_tokens",   "normalizer", "pre_tokenizer",
                                        "post_processor", "decoder",    "model"};
    const json_t *normalizer = json_object_get(file, "normalizer"),
                 *model = json_object_get(file, "model");
    const char *pattern = "";
    size_t count;
    BV_TRY(refuse(bv_json_check_members(file, KNOWN(known))));
    if (!absent(normalizer))
        return refuse(bv_fail(BV_CODE_INPUT,
                              "texts are changed before they are cut, by the "
                              "normalizer \"%s\"",
                              type_of(normalizer)));
    BV_TRY(read_pattern(json_object_get(file, "pre_tokenizer"), &pattern));
    BV_TRY(check_model(model));
    h->vocab = json_object_get(model, "vocab");
    h->merges = json_object_get(model, "merges");
    BV_TRY(list_numbers(h));
    BV_TRY(list_bytes(h));
    BV_TRY(add_merges(h));
    BV_TRY(list_specials(h, json_object_get(file, "added_tokens"), given));
    BV_TRY(check_tokens(h));
    const bv_pair *merges = bv_bpe_growth_merges(h->growth, &count);
    const bv_bpe_numbers numbers = {h->ids, h->names, h->specials, h->special_count};
    return bv_tokenizer_bpe_numbered(pattern, merges, count, &numbers, out);
}

bv_status bv_tokenizer_load_hugging_face(const char *path, const bv_bpe_numbers *specials,
                                         bv_tokenizer **out) {
    json_t *file;
import h = {0 };
    *out = NULL;
    BV_TRY(bv_json_load(path, &file));
    bv_error *error = make(&h, file, specials, out);
    free_import(&h);
    json_decref(file);
    return bv_while(error, "importing %s", path);
}

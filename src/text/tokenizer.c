#include "text/tokenizer.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "text/bpe_encode.h"
#include "text/scored.h"
#include "text/tokenizer_struct.h"
#include <string.h>

#define FORMAT "beaver-tokenizer/1"
#define CODE_POINTS 0x110000u

void bv_tokenizer_destroy(bv_tokenizer **tokenizer) {
    bv_tokenizer *t = *tokenizer;
    if (!t) return;
    bv_free(t->code_points);
    bv_free(t->token_of);
    bv_free(t->merges);
    bv_merge_table_destroy(&t->ranks);
    bv_pair_table_destroy(&t->table);
    bv_free(t->byte_pairs);
    bv_free(t->ids);
    for (size_t i = 0; i < t->special_count; i++) bv_free(t->special_names[i]);
    bv_free(t->special_names);
    bv_free(t->specials);
    bv_free(t->offsets);
    bv_free(t->bytes);
    bv_free(t->scores);
    bv_free(t);
    *tokenizer = NULL;
}

static bv_status begin(bv_tokenizer_kind kind, bv_tokenizer **out) {
    *out = bv_calloc(1, sizeof **out);
    if (!*out) return bv_fail_memory("a tokenizer");
    (*out)->kind = kind;
    return BV_OK;
}

bv_status bv_tokenizer_byte(bv_tokenizer **out) {
    BV_TRY(begin(BV_TOKENIZER_BYTE, out));
    (*out)->vocab_size = 256;
    return BV_OK;
}

/* ---- characters ---- */

/* The code point at p, which is valid UTF-8, and its length. Of bytes in a file that somebody else
 * changes meanwhile it is any code point. */
static uint32_t read_character(const unsigned char *p, size_t *length) {
    const unsigned char c = p[0];
    *length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t code = *length == 1 ? c : c & (0x7fu >> *length);
    for (size_t i = 1; i < *length; i++) code = code << 6 | (p[i] & 0x3fu);
    return code < CODE_POINTS ? code : 0;
}

static size_t write_character(uint32_t code, unsigned char p[4]) {
    const size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char head[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6) p[i] = (unsigned char)(0x80 | (code & 0x3f));
    p[0] = (unsigned char)(head[length] | code);
    return length;
}

struct bv_characters {
    bool seen[CODE_POINTS];
    size_t count; /* of those seen */
};

bv_status bv_characters_create(bv_characters **out) {
    *out = bv_calloc(1, sizeof **out);
    return *out ? BV_OK : bv_fail_memory("characters");
}

void bv_characters_destroy(bv_characters **characters) {
    bv_free(*characters);
    *characters = NULL;
}

bv_status bv_characters_add(bv_characters *c, const void *text, size_t size) {
    const size_t valid = bv_utf8_valid_prefix(text, size);
    if (valid != size)
        return bv_try(bv_fail(BV_CODE_INPUT, "byte %zu of the text is no UTF-8", valid),
                      "--tokenizer byte");
    const unsigned char *p = text;
    for (size_t at = 0, length; at < size; at += length) {
        bool *seen = &c->seen[read_character(p + at, &length)];
        c->count += !*seen;
        *seen = true;
    }
    return BV_OK;
}

bv_status bv_characters_tokenizer(const bv_characters *c, bv_tokenizer **out) {
    *out = NULL;
    if (c->count == 0) return bv_fail(BV_CODE_INPUT, "the text is empty: no characters");
    BV_TRY(begin(BV_TOKENIZER_CHAR, out));
    bv_tokenizer *t = *out;
    t->token_of = bv_malloc(CODE_POINTS * sizeof *t->token_of);
    t->code_points = bv_calloc(c->count, sizeof *t->code_points);
    if (!t->token_of || !t->code_points) {
        bv_tokenizer_destroy(out);
        return bv_fail_memory("a tokenizer");
    }
    for (uint32_t code = 0; code < CODE_POINTS; code++) {
        t->token_of[code] = c->seen[code] ? (uint32_t)t->vocab_size : BV_NO_TOKEN;
        if (c->seen[code]) t->code_points[t->vocab_size++] = code;
    }
    return BV_OK;
}

bv_status bv_tokenizer_char(const void *text, size_t size, bv_tokenizer **out) {
    bv_characters *characters;
    *out = NULL;
    BV_TRY(bv_characters_create(&characters));
    bv_error *error = bv_characters_add(characters, text, size);
    if (!error) error = bv_characters_tokenizer(characters, out);
    bv_characters_destroy(&characters);
    return error;
}

/* ---- files ---- */

static bv_status parse(const json_t *value, const bv_merge_list *merges, const char *origin,
                       bv_tokenizer **out) {
    *out = NULL;
    const char *format = "", *kind = "", *characters = "";
    bv_error *error = bv_json_get_string(value, "format", &format);
    if (!error && strcmp(format, FORMAT))
        error = bv_fail(BV_CODE_INPUT, "format \"%s\" is not %s", format, FORMAT);
    if (!error) error = bv_json_get_string(value, "kind", &kind);
    if (error) return bv_while(error, "reading the tokenizer %s", origin);
    if (!strcmp(kind, "byte")) {
        error = bv_tokenizer_byte(out);
    } else if (!strcmp(kind, "char")) {
        error = bv_json_get_string(value, "characters", &characters);
        if (!error) {
            const size_t size = json_string_length(json_object_get(value, "characters"));
            error = bv_tokenizer_char(characters, size, out);
        }
    } else if (!strcmp(kind, "bpe")) {
        error = bv_bpe_parse(value, merges, out);
    } else {
        error = bv_fail(BV_CODE_INPUT, "kind \"%s\" is none of byte, char, bpe", kind);
    }
    return bv_while(error, "reading the tokenizer %s", origin);
}

bv_status bv_tokenizer_parse(const json_t *value, const char *origin, bv_tokenizer **out) {
    return parse(value, NULL, origin, out);
}

bv_status bv_tokenizer_load(const char *path, bv_tokenizer **out) {
    json_t *value = NULL;
    bv_buffer text = {0};
    bv_merge_list merges;
    *out = NULL;
    BV_TRY(bv_file_read(path, &text));
    const bool cut = bv_bpe_cut_merges(&text, &merges);
    bv_error *error = bv_json_parse(text.data ? text.data : "", text.size, path, &value);
    if (!error) error = parse(value, cut ? &merges : NULL, path, out);
    if (bv_error_code(error) == BV_CODE_INPUT && !json_object_get(value, "format"))
        error =
            bv_try(error,
                   "beaver tokenizer train TEXT --out FILE, or for what tiktoken and Hugging Face "
                   "have beaver tokenizer import %s --out FILE",
                   path);
    json_decref(value);
    bv_free(merges.pairs);
    bv_buffer_free(&text);
    return error;
}

static json_t *describe(const bv_tokenizer *t) {
    if (t->kind == BV_TOKENIZER_BYTE)
        return json_pack("{s:s, s:s}", "format", FORMAT, "kind", "byte");
    if (t->kind == BV_TOKENIZER_CHAR) {
        bv_buffer text = {0};
        for (size_t i = 0; i < t->vocab_size; i++) {
            unsigned char p[4];
            bv_buffer_append(&text, p, write_character(t->code_points[i], p));
        }
        json_t *value = text.failed ? NULL
                                    : json_pack("{s:s, s:s, s:s%}", "format", FORMAT, "kind",
                                                "char", "characters", text.data, text.size);
        bv_buffer_free(&text);
        return value;
    }
    return bv_bpe_describe(t, FORMAT);
}

bv_status bv_tokenizer_text(const bv_tokenizer *t, bv_buffer *out) {
    json_t *value = describe(t);
    if (!value) return bv_fail_memory("a tokenizer");
    bv_error *error = bv_json_text(value, 0, out);
    json_decref(value);
    if (!error && t->kind == BV_TOKENIZER_BPE) error = bv_bpe_put_merges(t, out);
    return error;
}

bv_status bv_tokenizer_save(const bv_tokenizer *tokenizer, const char *path) {
    bv_buffer text = {0};
    bv_error *error = bv_tokenizer_text(tokenizer, &text);
    if (!error) error = bv_file_write(path, text.data, text.size);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_tokenizer_hash(const bv_tokenizer *tokenizer, char sha256[BV_SHA256_TEXT_SIZE]) {
    bv_buffer text = {0};
    bv_error *error = bv_tokenizer_text(tokenizer, &text);
    if (!error) error = bv_sha256_bytes(text.data, text.size, sha256);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_tokenizer_load_known(const char *path, const char *sha256, bv_tokenizer **out,
                                  bool *same) {
    char hash[BV_SHA256_TEXT_SIZE];
    BV_TRY(bv_tokenizer_load(path, out));
    bv_error *error = bv_sha256_file(path, hash);
    if (!error && strcmp(hash, sha256) != 0) error = bv_tokenizer_hash(*out, hash);
    *same = !error && !strcmp(hash, sha256);
    if (error) bv_tokenizer_destroy(out);
    return error;
}

/* ---- questions ---- */

bv_tokenizer_kind bv_tokenizer_kind_of(const bv_tokenizer *t) {
    return t->kind;
}

const char *bv_tokenizer_kind_name(const bv_tokenizer *t) {
    static const char *const names[] = {"byte", "char", "bpe", "scored"};
    return names[t->kind];
}

size_t bv_tokenizer_vocab_size(const bv_tokenizer *t) {
    return t->vocab_size;
}

uint32_t bv_tokenizer_end_of_text(const bv_tokenizer *t) {
    return bv_tokenizer_special(t, BV_END_OF_TEXT);
}

uint32_t bv_tokenizer_special(const bv_tokenizer *t, const char *name) {
    for (size_t i = 0; i < t->special_count; i++)
        if (!strcmp(t->special_names[i], name)) return t->specials[i];
    return BV_NO_TOKEN;
}

bv_status bv_tokenizer_decode(const bv_tokenizer *t, const uint32_t *tokens, size_t count,
                              bv_buffer *out) {
    if (t->kind == BV_TOKENIZER_BPE && !t->bytes) BV_TRY(bv_bpe_spell(t));
    const unsigned char *bytes = t->bytes;
    for (size_t i = 0; i < count; i++) {
        const uint32_t token = tokens[i];
        unsigned char p[4] = {(unsigned char)token};
        if (token >= t->vocab_size)
            return bv_fail(BV_CODE_INPUT, "token %u is not below the vocabulary's %zu", token,
                           t->vocab_size);
        if (t->kind == BV_TOKENIZER_BYTE)
            bv_buffer_append(out, p, 1);
        else if (t->kind == BV_TOKENIZER_CHAR)
            bv_buffer_append(out, p, write_character(t->code_points[token], p));
        else
            bv_buffer_append(out, bytes + t->offsets[token],
                             t->offsets[token + 1] - t->offsets[token]);
    }
    return bv_buffer_error(out);
}

/* ---- encoding ---- */

struct bv_encoder {
    const bv_tokenizer *tokenizer;
    bv_bpe_encoder *bpe;
    uint32_t *tokens;
    size_t capacity;
};

static bv_status create(const bv_tokenizer *tokenizer, const bv_encoder *other, bv_encoder **out) {
    *out = bv_calloc(1, sizeof **out);
    if (!*out) return bv_fail_memory("an encoder");
    (*out)->tokenizer = tokenizer;
    bv_error *error = BV_OK;
    if (tokenizer->kind == BV_TOKENIZER_BPE)
        error = bv_bpe_encoder_create(tokenizer, other ? other->bpe : NULL, &(*out)->bpe);
    if (error) bv_encoder_destroy(out);
    return error;
}

bv_status bv_encoder_create(const bv_tokenizer *tokenizer, bv_encoder **out) {
    return create(tokenizer, NULL, out);
}

bv_status bv_encoder_create_beside(const bv_encoder *other, bv_encoder **out) {
    return create(other->tokenizer, other, out);
}

void bv_encoder_destroy(bv_encoder **encoder) {
    if (!*encoder) return;
    bv_bpe_encoder_destroy(&(*encoder)->bpe);
    bv_free((*encoder)->tokens);
    bv_free(*encoder);
    *encoder = NULL;
}

static bv_status encode_characters(const bv_tokenizer *t, const unsigned char *text, size_t size,
                                   uint32_t *tokens, size_t *count) {
    const size_t valid = bv_utf8_valid_prefix(text, size);
    for (size_t at = 0, length; at < valid; at += length) {
        const uint32_t code = read_character(text + at, &length), token = t->token_of[code];
        if (token == BV_NO_TOKEN)
            return bv_try(bv_fail(BV_CODE_INPUT,
                                  "the character \"%.*s\" (U+%04X) is not in the vocabulary",
                                  (int)length, text + at, code),
                          "a text of the characters that the model was trained on");
        tokens[(*count)++] = token;
    }
    if (valid != size) return bv_fail(BV_CODE_INPUT, "byte %zu of the text is no UTF-8", valid);
    return BV_OK;
}

/* Into room for size + BV_ENCODE_SLACK tokens; those behind the last are overwritten. */
static bv_status write_tokens(bv_encoder *e, const void *text, size_t size, uint32_t *tokens,
                              size_t *count) {
    const unsigned char *bytes = text;
    *count = 0;
    switch (e->tokenizer->kind) {
    case BV_TOKENIZER_BPE:
        return bv_bpe_encode(e->bpe, text, size, tokens, count);
    case BV_TOKENIZER_CHAR:
        return encode_characters(e->tokenizer, bytes, size, tokens, count);
    case BV_TOKENIZER_SCORED:
        *count = bv_scored_encode(e->tokenizer, bytes, size, tokens);
        return BV_OK;
    case BV_TOKENIZER_BYTE:
        break;
    }
    for (size_t i = 0; i < size; i++) tokens[i] = bytes[i];
    *count = size;
    return BV_OK;
}

bv_status bv_encoder_encode(bv_encoder *e, const void *text, size_t size, const uint32_t **tokens,
                            size_t *count) {
    /* No token is shorter than a byte; `scored` puts a blank before. */
    const size_t most = size + BV_ENCODE_SLACK;
    *count = 0;
    if (most > e->capacity) {
        bv_free(e->tokens);
        e->tokens = bv_malloc(most * sizeof *e->tokens);
        e->capacity = e->tokens ? most : 0;
        if (!e->tokens) return bv_fail_memory("tokens");
    }
    *tokens = e->tokens;
    return write_tokens(e, text, size, e->tokens, count);
}

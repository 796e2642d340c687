#include "text/tokenizer.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "text/pieces.h"
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
    bv_pair_table_destroy(&t->table);
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

/* The code point at p, which is valid UTF-8, and its length. */
static uint32_t read_character(const unsigned char *p, size_t *length) {
    const unsigned char c = p[0];
    *length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t code = *length == 1 ? c : c & (0x7fu >> *length);
    for (size_t i = 1; i < *length; i++) code = code << 6 | (p[i] & 0x3fu);
    return code;
}

static size_t write_character(uint32_t code, unsigned char p[4]) {
    const size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char head[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6) p[i] = (unsigned char)(0x80 | (code & 0x3f));
    p[0] = (unsigned char)(head[length] | code);
    return length;
}

/* Lists the code points that are marked (token_of != BV_NO_TOKEN) in order. */
static bv_status number_characters(bv_tokenizer *t) {
    for (uint32_t code = 0; code < CODE_POINTS; code++)
        if (t->token_of[code] != BV_NO_TOKEN) t->token_of[code] = (uint32_t)t->vocab_size++;
    if (t->vocab_size == 0) return bv_fail(BV_CODE_INPUT, "the text is empty: no characters");
    t->code_points = bv_calloc(t->vocab_size, sizeof *t->code_points);
    if (!t->code_points) return bv_fail_memory("a tokenizer");
    for (uint32_t code = 0; code < CODE_POINTS; code++)
        if (t->token_of[code] != BV_NO_TOKEN) t->code_points[t->token_of[code]] = code;
    return BV_OK;
}

bv_status bv_tokenizer_char(const void *text, size_t size, bv_tokenizer **out) {
    const size_t valid = bv_utf8_valid_prefix(text, size);
    if (valid != size)
        return bv_try(bv_fail(BV_CODE_INPUT, "byte %zu of the text is no UTF-8", valid),
                      "--tokenizer byte");
    BV_TRY(begin(BV_TOKENIZER_CHAR, out));
    bv_tokenizer *t = *out;
    t->token_of = bv_malloc(CODE_POINTS * sizeof *t->token_of);
    bv_error *error = t->token_of ? BV_OK : bv_fail_memory("a tokenizer");
    if (!error) {
        memset(t->token_of, 0xff, CODE_POINTS * sizeof *t->token_of);
        const unsigned char *p = text;
        for (size_t at = 0, length; at < size; at += length)
            t->token_of[read_character(p + at, &length)] = 0;
        error = number_characters(t);
    }
    if (error) bv_tokenizer_destroy(out);
    return error;
}

/* ---- byte pairs ---- */

/* The bytes of every token, from its merge. */
static bv_status spell_tokens(bv_tokenizer *t) {
    const size_t count = 256 + t->merge_count;
    t->offsets = bv_calloc(count + 1, sizeof *t->offsets);
    if (!t->offsets) return bv_fail_memory("a tokenizer");
    bv_buffer bytes = {0};
    for (size_t i = 0; i < count; i++) {
        const unsigned char byte = (unsigned char)i;
        t->offsets[i] = (uint32_t)bytes.size;
        if (i < 256) {
            bv_buffer_append(&bytes, &byte, 1);
            continue;
        }
        const bv_pair *m = &t->merges[i - 256];
        for (int side = 0; side < 2; side++) {
            const uint32_t from = side ? m->right : m->left;
            const size_t size = t->offsets[from + 1] - t->offsets[from];
            if (bytes.size + size > UINT32_MAX / 2 || !bv_buffer_reserve(&bytes, size)) break;
            bv_buffer_append(&bytes, bytes.data + t->offsets[from], size);
        }
        t->offsets[i + 1] = (uint32_t)bytes.size;
    }
    t->offsets[count] = (uint32_t)bytes.size;
    t->bytes = (unsigned char *)bytes.data;
    return bv_buffer_error(&bytes);
}

static bv_status fill_bpe(bv_tokenizer *t, const char *pattern, const bv_pair *merges,
                          size_t count) {
    bv_splitter *splitter; /* knows the names of patterns */
    BV_ASSERT(t && pattern);
    BV_TRY(bv_splitter_create(pattern, &splitter));
    bv_splitter_destroy(&splitter);
    memcpy(t->pattern, pattern, strlen(pattern) + 1);
    t->merges = bv_calloc(count ? count : 1, sizeof *t->merges);
    BV_TRY(bv_pair_table_create(count, &t->table));
    if (!t->merges) return bv_fail_memory("a tokenizer");
    for (size_t i = 0; i < count; i++) {
        if (merges[i].left >= 256 + i || merges[i].right >= 256 + i)
            return bv_fail(BV_CODE_INPUT, "merge %zu names a token that does not exist yet", i);
        if (bv_pair_table_get(t->table, merges[i], BV_NO_TOKEN) != BV_NO_TOKEN)
            return bv_fail(BV_CODE_INPUT, "merge %zu stands there twice", i);
        t->merges[i] = merges[i];
        BV_TRY(bv_pair_table_set(t->table, merges[i], (uint32_t)i));
    }
    t->merge_count = count;
    t->vocab_size = 256 + count + 1;
    return spell_tokens(t);
}

bv_status bv_tokenizer_bpe(const char *pattern, const bv_pair *merges, size_t count,
                           bv_tokenizer **out) {
    BV_TRY(begin(BV_TOKENIZER_BPE, out));
    bv_error *error = fill_bpe(*out, pattern, merges, count);
    if (error) bv_tokenizer_destroy(out);
    return error;
}

/* ---- files ---- */

static bv_status parse_merges(const json_t *value, const char *pattern, bv_tokenizer **out) {
    const json_t *list = json_object_get(value, "merges");
    if (!json_is_array(list)) return bv_fail(BV_CODE_INPUT, "\"merges\" is no list");
    const size_t count = json_array_size(list);
    bv_pair *merges = bv_calloc(count ? count : 1, sizeof *merges);
    if (!merges) return bv_fail_memory("a tokenizer");
    bv_error *error = BV_OK;
    for (size_t i = 0; !error && i < count; i++) {
        const json_t *pair = json_array_get(list, i);
        const json_int_t left = json_integer_value(json_array_get(pair, 0));
        const json_int_t right = json_integer_value(json_array_get(pair, 1));
        const bool ok = json_array_size(pair) == 2 && json_is_integer(json_array_get(pair, 0)) &&
                        json_is_integer(json_array_get(pair, 1)) && left >= 0 && right >= 0 &&
                        left < UINT32_MAX && right < UINT32_MAX;
        if (!ok)
            error = bv_fail(BV_CODE_INPUT, "merge %zu is no pair of tokens", i);
        else
            merges[i] = (bv_pair){(uint32_t)left, (uint32_t)right};
    }
    if (!error) error = bv_tokenizer_bpe(pattern, merges, count, out);
    bv_free(merges);
    return error;
}

bv_status bv_tokenizer_parse(const json_t *value, const char *origin, bv_tokenizer **out) {
    *out = NULL;
    const char *format = "", *kind = "", *pattern = "", *characters = "";
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
        error = bv_json_get_string(value, "pattern", &pattern);
        if (!error) error = parse_merges(value, pattern, out);
    } else {
        error = bv_fail(BV_CODE_INPUT, "kind \"%s\" is none of byte, char, bpe", kind);
    }
    return bv_while(error, "reading the tokenizer %s", origin);
}

bv_status bv_tokenizer_load(const char *path, bv_tokenizer **out) {
    *out = NULL;
    json_t *value;
    BV_TRY(bv_json_load(path, &value));
    bv_error *error = bv_tokenizer_parse(value, path, out);
    json_decref(value);
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
        json_t *value = json_pack("{s:s, s:s, s:s%}", "format", FORMAT, "kind", "char",
                                  "characters", text.data, text.size);
        bv_buffer_free(&text);
        return value;
    }
    json_t *merges = json_array();
    for (size_t i = 0; i < t->merge_count; i++)
        json_array_append_new(merges,
                              json_pack("[i, i]", (int)t->merges[i].left, (int)t->merges[i].right));
    return json_pack("{s:s, s:s, s:s, s:o}", "format", FORMAT, "kind", "bpe", "pattern", t->pattern,
                     "merges", merges);
}

bv_status bv_tokenizer_save(const bv_tokenizer *tokenizer, const char *path) {
    json_t *value = describe(tokenizer);
    if (!value) return bv_fail_memory("a tokenizer");
    bv_buffer text = {0};
    bv_error *error = bv_json_text(value, 0, &text);
    json_decref(value);
    if (!error) error = bv_file_write(path, text.data, text.size);
    bv_buffer_free(&text);
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
    return t->kind == BV_TOKENIZER_BPE ? (uint32_t)t->vocab_size - 1 : BV_NO_TOKEN;
}

bv_status bv_tokenizer_decode(const bv_tokenizer *t, const uint32_t *tokens, size_t count,
                              bv_buffer *out) {
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
        else if (token != bv_tokenizer_end_of_text(t))
            bv_buffer_append(out, t->bytes + t->offsets[token],
                             t->offsets[token + 1] - t->offsets[token]);
    }
    return bv_buffer_error(out);
}

/* ---- encoding ---- */

struct bv_encoder {
    const bv_tokenizer *tokenizer;
    bv_splitter *splitter;
    uint32_t *tokens;
    size_t count, capacity;
};

bv_status bv_encoder_create(const bv_tokenizer *tokenizer, bv_encoder **out) {
    *out = bv_calloc(1, sizeof **out);
    if (!*out) return bv_fail_memory("an encoder");
    (*out)->tokenizer = tokenizer;
    bv_error *error = tokenizer->kind == BV_TOKENIZER_BPE
                          ? bv_splitter_create(tokenizer->pattern, &(*out)->splitter)
                          : BV_OK;
    if (error) bv_encoder_destroy(out);
    return error;
}

void bv_encoder_destroy(bv_encoder **encoder) {
    if (!*encoder) return;
    bv_splitter_destroy(&(*encoder)->splitter);
    bv_free((*encoder)->tokens);
    bv_free(*encoder);
    *encoder = NULL;
}

/* Merges inside one piece, the earliest learned pair first, the leftmost of equals. */
static size_t merge_piece(const bv_tokenizer *t, uint32_t *tokens, size_t count) {
    while (count > 1) {
        uint32_t best = BV_NO_TOKEN;
        for (size_t i = 0; i + 1 < count; i++) {
            const uint32_t rank =
                bv_pair_table_get(t->table, (bv_pair){tokens[i], tokens[i + 1]}, BV_NO_TOKEN);
            if (rank < best) best = rank;
        }
        if (best == BV_NO_TOKEN) break;
        const bv_pair m = t->merges[best];
        size_t kept = 0;
        for (size_t i = 0; i < count; i++) {
            const bool here = i + 1 < count && tokens[i] == m.left && tokens[i + 1] == m.right;
            tokens[kept++] = here ? 256 + best : tokens[i];
            i += here;
        }
        count = kept;
    }
    return count;
}

static void encode_pieces(bv_encoder *e, const void *text, size_t size) {
    const unsigned char *piece;
    size_t length;
    bv_splitter_text(e->splitter, text, size);
    while (bv_splitter_next(e->splitter, &piece, &length)) {
        uint32_t *at = e->tokens + e->count;
        for (size_t i = 0; i < length; i++) at[i] = piece[i];
        e->count += merge_piece(e->tokenizer, at, length);
    }
}

static bv_status encode_characters(bv_encoder *e, const unsigned char *text, size_t size) {
    const size_t valid = bv_utf8_valid_prefix(text, size);
    for (size_t at = 0, length; at < valid; at += length) {
        const uint32_t token = e->tokenizer->token_of[read_character(text + at, &length)];
        if (token == BV_NO_TOKEN)
            return bv_try(bv_fail(BV_CODE_INPUT, "the character \"%.*s\" is not in the vocabulary",
                                  (int)length, text + at),
                          "a text of the characters that the model was trained on");
        e->tokens[e->count++] = token;
    }
    if (valid != size) return bv_fail(BV_CODE_INPUT, "byte %zu of the text is no UTF-8", valid);
    return BV_OK;
}

bv_status bv_encoder_encode(bv_encoder *e, const void *text, size_t size, const uint32_t **tokens,
                            size_t *count) {
    const size_t most =
        size + 1; /* no token is shorter than a byte; `scored` puts a blank before */
    if (most > e->capacity) {
        uint32_t *larger = bv_realloc(e->tokens, most * sizeof *larger);
        if (!larger) return bv_fail_memory("tokens");
        e->tokens = larger;
        e->capacity = most;
    }
    e->count = 0;
    bv_error *error = BV_OK;
    const unsigned char *bytes = text;
    if (e->tokenizer->kind == BV_TOKENIZER_BPE)
        encode_pieces(e, text, size);
    else if (e->tokenizer->kind == BV_TOKENIZER_CHAR)
        error = encode_characters(e, bytes, size);
    else if (e->tokenizer->kind == BV_TOKENIZER_SCORED)
        e->count = bv_scored_encode(e->tokenizer, bytes, size, e->tokens);
    else
        for (; e->count < size; e->count++) e->tokens[e->count] = bytes[e->count];
    *tokens = e->tokens;
    *count = e->count;
    return error;
}

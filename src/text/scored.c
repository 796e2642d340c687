#include "text/scored.h"

#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer_struct.h"
#include <string.h>

#define FIRST_BYTE 3 /* tokens 3 .. 258 are the bytes, spelled <0x00> .. <0xFF> */

static uint32_t read_u32(const unsigned char *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- loading ---- */

static bv_status read_pieces(bv_tokenizer *t, const bv_map *map) {
    size_t at = 4;
    bv_buffer bytes = {0};
    bv_error *error = BV_OK;
    for (size_t i = 0; !error && i < t->vocab_size; i++) {
        const bool head = map->size >= 8 && at <= map->size - 8;
        const uint32_t length = head ? read_u32(map->data + at + 4) : 0;
        if (!head || length > map->size - at - 8) {
            error = bv_fail(BV_CODE_INPUT, "it ends at token %zu of %zu", i, t->vocab_size);
            break;
        }
        const uint32_t bits = read_u32(map->data + at);
        memcpy(&t->scores[i], &bits, sizeof bits);
        t->offsets[i] = (uint32_t)bytes.size;
        const unsigned char byte = (unsigned char)(i - FIRST_BYTE);
        /* Control tokens have no text; bytes are spelled out in the file. */
        if (i >= FIRST_BYTE + 256)
            bv_buffer_append(&bytes, map->data + at + 8, length);
        else if (i >= FIRST_BYTE)
            bv_buffer_append(&bytes, &byte, 1);
        at += 8 + length;
    }
    t->offsets[t->vocab_size] = (uint32_t)bytes.size;
    t->bytes = (unsigned char *)bytes.data; /* also after an error: destroy frees it */
    if (!error && at != map->size)
        error = bv_fail(BV_CODE_INPUT, "it goes on after token %zu", t->vocab_size);
    return error ? error : bv_buffer_error(&bytes);
}

static size_t length_of(const bv_tokenizer *t, size_t token) {
    return t->offsets[token + 1] - t->offsets[token];
}

/* The token with these bytes: not a byte token, the first of equals. */
static uint32_t find(const bv_tokenizer *t, const unsigned char *bytes, size_t size) {
    for (size_t i = FIRST_BYTE + 256; i < t->vocab_size; i++)
        if (length_of(t, i) == size && !memcmp(t->bytes + t->offsets[i], bytes, size))
            return (uint32_t)i;
    return BV_NO_TOKEN;
}

/* All pairs of tokens that together are a token. */
static bv_status list_pairs(bv_tokenizer *t) {
    for (size_t i = FIRST_BYTE + 256; i < t->vocab_size; i++) {
        const unsigned char *p = t->bytes + t->offsets[i];
        for (size_t cut = 1; cut < length_of(t, i); cut++) {
            const bv_pair pair = {find(t, p, cut), find(t, p + cut, length_of(t, i) - cut)};
            if (pair.left != BV_NO_TOKEN && pair.right != BV_NO_TOKEN)
                BV_TRY(bv_pair_table_set(t->table, pair, (uint32_t)i));
        }
    }
    return BV_OK;
}

bv_status bv_tokenizer_load_scored(const char *path, size_t vocab_size, bv_tokenizer **out) {
    bv_map map;
    *out = NULL;
    BV_TRY(bv_map_open(path, &map));
    bv_tokenizer *t = bv_calloc(1, sizeof *t);
    bv_error *error = t ? BV_OK : bv_fail_memory("a tokenizer");
    if (!error) {
        t->kind = BV_TOKENIZER_SCORED;
        t->vocab_size = vocab_size;
        t->offsets = bv_calloc(vocab_size + 1, sizeof *t->offsets);
        t->scores = bv_calloc(vocab_size + 1, sizeof *t->scores);
        if (!t->offsets || !t->scores) error = bv_fail_memory("a tokenizer");
    }
    if (!error && vocab_size < FIRST_BYTE + 256)
        error = bv_fail(BV_CODE_INPUT, "a vocabulary of %zu is too small for it", vocab_size);
    if (!error) error = read_pieces(t, &map);
    if (!error) error = bv_map_check(&map, path);
    if (!error) error = bv_pair_table_create(vocab_size, &t->table);
    if (!error) error = list_pairs(t);
    bv_map_close(&map);
    if (error) bv_tokenizer_destroy(&t);
    *out = t;
    return bv_while(error, "reading the tokenizer %s", path);
}

/* ---- encoding ---- */

/* Characters as tokens, or their bytes where the vocabulary lacks them. */
static size_t begin(const bv_tokenizer *t, const unsigned char *text, size_t size,
                    uint32_t *tokens) {
    size_t count = 0;
    for (size_t at = 0; at < size;) {
        size_t length = 1;
        while (length < 4 && at + length < size && (text[at + length] & 0xc0) == 0x80) length++;
        const uint32_t token = find(t, text + at, length);
        if (token != BV_NO_TOKEN) tokens[count++] = token;
        for (size_t i = 0; token == BV_NO_TOKEN && i < length; i++)
            tokens[count++] = FIRST_BYTE + text[at + i];
        at += length;
    }
    return count;
}

size_t bv_scored_encode(const bv_tokenizer *t, const unsigned char *text, size_t size,
                        uint32_t *tokens) {
    if (size == 0) return 0;
    size_t count = begin(t, (const unsigned char *)" ", 1, tokens);
    count += begin(t, text, size, tokens + count);
    for (;;) {
        size_t best = count;
        uint32_t merged = BV_NO_TOKEN;
        for (size_t i = 0; i + 1 < count; i++) {
            const uint32_t token =
                bv_pair_table_get(t->table, (bv_pair){tokens[i], tokens[i + 1]}, BV_NO_TOKEN);
            if (token == BV_NO_TOKEN) continue;
            if (merged != BV_NO_TOKEN && t->scores[token] <= t->scores[merged]) continue;
            best = i;
            merged = token;
        }
        if (merged == BV_NO_TOKEN) return count;
        tokens[best] = merged;
        memmove(tokens + best + 1, tokens + best + 2, (count - best - 2) * sizeof *tokens);
        count--;
    }
}

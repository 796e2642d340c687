#include "text/tiktoken.h"

#include "base/file.h"
#include "base/memory.h"
#include "text/bpe_growth.h"
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    uint32_t rank, begin, size; /* its bytes */
} entry;

typedef struct ranks {
    entry *entries; /* sorted by rank; bytes first and merges behind them, later on */
    size_t count, capacity;
    bv_buffer bytes;
    bv_bpe_growth *growth;
    uint32_t *ids;
} ranks;

static void free_ranks(ranks *r) {
    bv_free(r->entries);
    bv_bpe_growth_destroy(&r->growth);
    bv_free(r->ids);
    bv_buffer_free(&r->bytes);
}

/* ---- reading ---- */

static int digit_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Appends the bytes; false for what is no base64 with padding. */
static bool decode_base64(const char *text, size_t size, bv_buffer *out) {
    if (size == 0 || size % 4) return false;
    for (size_t i = 0; i < size; i += 4) {
        const bool final = i + 4 == size;
        const int pad =
            final ? (text[i + 3] == '=') + (text[i + 2] == '=' && text[i + 3] == '=') : 0;
        uint32_t bits = 0;
        for (int k = 0; k < 4; k++) {
            const int digit = k >= 4 - pad ? 0 : digit_of(text[i + (size_t)k]);
            if (digit < 0) return false;
            bits = bits << 6 | (uint32_t)digit;
        }
        const unsigned char bytes[3] = {(unsigned char)(bits >> 16), (unsigned char)(bits >> 8),
                                        (unsigned char)bits};
        bv_buffer_append(out, bytes, (size_t)(3 - pad));
    }
    return true;
}

static bool parse_rank(const char *text, const char *end, uint32_t *rank) {
    uint32_t value = 0;
    if (text == end) return false;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9') return false;
        value = 10 * value + (uint32_t)(*text - '0');
        if (value > BV_TOKEN_MAX) return false;
    }
    *rank = value;
    return true;
}

static bv_status read_line(ranks *r, const char *line, const char *end) {
    const char *blank = memchr(line, ' ', (size_t)(end - line));
    entry e = {.begin = (uint32_t)r->bytes.size};
    const bool ok = blank && decode_base64(line, (size_t)(blank - line), &r->bytes) &&
                    parse_rank(blank + 1, end, &e.rank);
    BV_TRY(bv_buffer_error(&r->bytes));
    if (!ok) return bv_fail(BV_CODE_INPUT, "that is no base64, blank and rank");
    e.size = (uint32_t)(r->bytes.size - e.begin);
    if (e.size > BV_GROWTH_BYTES_MAX || r->bytes.size > UINT32_MAX / 2)
        return bv_fail(BV_CODE_INPUT, "the token is too long");
    if (!bv_list_grow((void **)&r->entries, r->count, &r->capacity, sizeof e))
        return bv_fail_memory("ranks");
    r->entries[r->count++] = e;
    return BV_OK;
}

static bv_status read_ranks(ranks *r, const char *text, size_t size) {
    const char *line = text, *const stop = text + size;
    for (size_t number = 1; line < stop; number++) {
        const char *newline = memchr(line, '\n', (size_t)(stop - line));
        const char *end = newline ? newline : stop, *next = newline ? newline + 1 : stop;
        if (end > line && end[-1] == '\r') end--;
        if (end > line) BV_TRY(bv_while(read_line(r, line, end), "reading line %zu", number));
        line = next;
    }
    return BV_OK;
}

/* ---- merges ---- */

static int by_rank(const void *a, const void *b) {
    const uint32_t x = ((const entry *)a)->rank, y = ((const entry *)b)->rank;
    return x < y ? -1 : x > y;
}

/* The two tokens that a token is made of are what the merges before it leave of its bytes. */
static bv_status derive(ranks *r) {
    size_t merges = 0, bytes = 0;
    for (size_t i = 0; i < r->count; i++) {
        const entry *e = &r->entries[i];
        const unsigned char *spelling = (const unsigned char *)r->bytes.data + e->begin;
        const uint32_t *parts;
        size_t count;
        if (i && e[-1].rank == e->rank)
            return bv_fail(BV_CODE_INPUT, "rank %u stands there twice", e->rank);
        if (e->size == 1) {
            bytes += r->ids[*spelling] == BV_NO_TOKEN;
            r->ids[*spelling] = e->rank;
            continue;
        }
        BV_TRY(bv_bpe_growth_parts(r->growth, spelling, e->size, &parts, &count));
        if (count != 2)
            return bv_fail(BV_CODE_INPUT, "token %u is made of %zu tokens before it, not of two",
                           e->rank, count);
        bv_bpe_growth_add(r->growth, (bv_pair){parts[0], parts[1]});
        r->ids[256 + merges++] = e->rank;
    }
    if (bytes != 256 || r->count != 256 + merges)
        return bv_fail(BV_CODE_INPUT, "%zu of the 256 bytes are there", bytes);
    return BV_OK;
}

static bv_status derive_merges(ranks *r) {
    BV_TRY(bv_bpe_growth_create(r->count, &r->growth));
    r->ids = bv_malloc((256 + r->count) * sizeof *r->ids);
    if (!r->ids) return bv_fail_memory("ranks");
    memset(r->ids, 0xff, (256 + r->count) * sizeof *r->ids);
    if (r->count) qsort(r->entries, r->count, sizeof *r->entries, by_rank);
    return derive(r);
}

/* ---- known files ---- */

typedef struct known {
    size_t ranks;
    const char *pattern;
    bv_bpe_numbers specials;
} known;

static bv_status make(ranks *r, const char *pattern, const bv_bpe_numbers *specials,
                      bv_tokenizer **out) {
    static const char *const names[] = {BV_END_OF_TEXT, "<|fim_prefix|>", "<|fim_middle|>",
                                        "<|fim_suffix|>", "<|endofprompt|>"};
    static const uint32_t gpt2[] = {50256}, cl100k[] = {100257, 100258, 100259, 100260, 100276};
    static const known all[] = {{50256, "gpt2", {NULL, names, gpt2, 1}}, /* r50k */
                                {50280, "gpt2", {NULL, names, gpt2, 1}}, /* p50k */
                                {100256, "cl100k", {NULL, names, cl100k, 5}}};
    uint32_t behind = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->entries[i].rank >= behind) behind = r->entries[i].rank + 1;
    bv_bpe_numbers numbers = {NULL, names, &behind, 1};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].ranks != r->count) continue;
        numbers = all[i].specials;
        if (!pattern) pattern = all[i].pattern;
    }
    if (!pattern)
        return bv_try(bv_fail(BV_CODE_USAGE, "%zu ranks are none of r50k, p50k, cl100k", r->count),
                      "--pattern gpt2, cl100k or llama3");
    if (specials) numbers = *specials;
    BV_TRY(derive_merges(r));
    numbers.ids = r->ids;
    size_t count;
    const bv_pair *merges = bv_bpe_growth_merges(r->growth, &count);
    return bv_tokenizer_bpe_numbered(pattern, merges, count, &numbers, out);
}

bv_status bv_tokenizer_load_tiktoken(const char *path, const char *pattern,
                                     const bv_bpe_numbers *specials, bv_tokenizer **out) {
    bv_map map;
    ranks r = {0};
    *out = NULL;
    BV_TRY(bv_map_open(path, &map));
    bv_error *error = read_ranks(&r, (const char *)map.data, map.size);
    if (!error) error = bv_map_check(&map, path);
    if (!error) error = make(&r, pattern, specials, out);
    free_ranks(&r);
    bv_map_close(&map);
    return bv_while(error, "importing %s", path);
}

/* Tokenizers of byte pairs: made, checked, read and described; bpe_encode.h encodes with them. */
#include "base/memory.h"
#include "text/pieces.h"
#include "text/tokenizer_struct.h"
#include <string.h>

/* ---- making ---- */

/* The number of byte i, and of merge i at 256 + i. */
static uint32_t id_of(const bv_tokenizer *t, size_t i) {
    return t->ids ? t->ids[i] : (uint32_t)i;
}

/* How many bytes each token has, behind its place in `offsets`; of all together. */
static bv_status measure_tokens(bv_tokenizer *t, size_t *all) {
    uint32_t *sizes = t->offsets + 1;
    for (size_t i = *all = 0; i < 256 + t->merge_count; i++) {
        size_t size = 1;
        if (i >= 256) {
            const bv_pair *m = &t->merges[i - 256];
            size = (size_t)sizes[id_of(t, m->left)] + sizes[id_of(t, m->right)];
        }
        if ((*all += size) > UINT32_MAX / 2)
            return bv_fail(BV_CODE_INPUT, "the tokens have too many bytes");
        sizes[id_of(t, i)] = (uint32_t)size;
    }
    return BV_OK;
}

static bv_status place_tokens(bv_tokenizer *t) {
    size_t all;
    t->offsets = bv_calloc(t->vocab_size + 1, sizeof *t->offsets);
    if (!t->offsets) return bv_fail_memory("a tokenizer");
    BV_TRY(measure_tokens(t, &all));
    for (size_t id = 0; id < t->vocab_size; id++) t->offsets[id + 1] += t->offsets[id];
    return BV_OK;
}

/* The bytes of every token, from its merge, in the order of the tokens' numbers. */
static void spell_tokens(const bv_tokenizer *t, unsigned char *bytes) {
    for (size_t i = 0; i < 256 + t->merge_count; i++) {
        unsigned char *to = bytes + t->offsets[id_of(t, i)];
        if (i < 256) *to = (unsigned char)i;
        for (int side = 0; i >= 256 && side < 2; side++) {
            const bv_pair *m = &t->merges[i - 256];
            const uint32_t from = id_of(t, side ? m->right : m->left);
            const size_t size = t->offsets[from + 1] - t->offsets[from];
            memcpy(to, bytes + t->offsets[from], size);
            to += size;
        }
    }
}

bv_status bv_bpe_spell(const bv_tokenizer *tokenizer) {
    bv_tokenizer *t = (bv_tokenizer *)tokenizer; /* only here something changes */
    unsigned char *none = NULL, *bytes = bv_malloc(t->offsets[t->vocab_size]);
    if (!bytes) return bv_fail_memory("the tokens' bytes");
    spell_tokens(t, bytes);
    if (!atomic_compare_exchange_strong(&t->bytes, &none, bytes)) bv_free(bytes);
    return BV_OK;
}

static bv_status list_merges(bv_tokenizer *t, const bv_pair *merges, size_t count) {
    if (count > BV_MERGES_MAX)
        return bv_fail(BV_CODE_INPUT, "%zu merges are more than %zu", count, BV_MERGES_MAX);
    t->merges = bv_calloc(count ? count : 1, sizeof *t->merges);
    t->byte_pairs = bv_malloc(65536 * sizeof *t->byte_pairs);
    if (!t->merges || !t->byte_pairs) return bv_fail_memory("a tokenizer");
    memset(t->byte_pairs, 0xff, 65536 * sizeof *t->byte_pairs);
    BV_TRY(bv_merge_table_create(count, &t->ranks));
    for (size_t i = 0; i < count; i++) {
        const bv_pair m = merges[i];
        if (m.left >= 256 + i || m.right >= 256 + i)
            return bv_fail(BV_CODE_INPUT, "merge %zu names a token that does not exist yet", i);
        if (!bv_merge_table_add(t->ranks, m, (uint32_t)i))
            return bv_fail(BV_CODE_INPUT, "merge %zu stands there twice", i);
        t->merges[i] = m;
        if (m.left < 256 && m.right < 256) t->byte_pairs[m.left << 8 | m.right] = (uint32_t)i;
    }
    t->merge_count = count;
    return BV_OK;
}

static bv_status list_specials(bv_tokenizer *t, const bv_bpe_numbers *n) {
    t->special_names = bv_calloc(n->special_count + 1, sizeof *t->special_names);
    t->specials = bv_calloc(n->special_count + 1, sizeof *t->specials);
    if (!t->special_names || !t->specials) return bv_fail_memory("a tokenizer");
    for (; t->special_count < n->special_count; t->special_count++) {
        const size_t i = t->special_count;
        t->specials[i] = n->specials[i];
        t->special_names[i] = bv_strdup(n->special_names[i]);
        if (!t->special_names[i]) return bv_fail_memory("a tokenizer");
    }
    return BV_OK;
}

/* The i-th number: of bytes, merges, special tokens. */
static uint32_t number_of(const bv_tokenizer *t, size_t i) {
    const size_t ids = 256 + t->merge_count;
    return i < ids ? t->ids[i] : t->specials[i - ids];
}

static bv_status check_numbers(bv_tokenizer *t) {
    const size_t count = 256 + t->merge_count + t->special_count;
    for (size_t i = 0; i < count; i++) {
        const uint32_t id = number_of(t, i);
        if (id > BV_TOKEN_MAX)
            return bv_fail(BV_CODE_INPUT, "token %u is larger than %u", id, BV_TOKEN_MAX);
        if (id >= t->vocab_size) t->vocab_size = id + (size_t)1;
    }
    bool *seen = bv_calloc(t->vocab_size, sizeof *seen);
    if (!seen) return bv_fail_memory("a tokenizer");
    bv_error *error = BV_OK;
    for (size_t i = 0; !error && i < count; i++) {
        const uint32_t id = number_of(t, i);
        if (seen[id]) error = bv_fail(BV_CODE_INPUT, "token %u stands there twice", id);
        seen[id] = true;
    }
    bv_free(seen);
    return error;
}

static bv_status fill(bv_tokenizer *t, const char *pattern, const bv_pair *merges, size_t count,
                      const bv_bpe_numbers *numbers) {
    bv_splitter *splitter; /* knows the names of patterns */
    BV_TRY(bv_splitter_create(pattern, &splitter));
    bv_splitter_destroy(&splitter);
    memcpy(t->pattern, pattern, strlen(pattern) + 1);
    BV_TRY(list_merges(t, merges, count));
    if (!numbers) {
        const char *const name = BV_END_OF_TEXT;
        const uint32_t end = (uint32_t)(256 + count);
        BV_TRY(list_specials(t, &(bv_bpe_numbers){NULL, &name, &end, 1}));
        t->vocab_size = 256 + count + 1;
        return place_tokens(t);
    }
    BV_TRY(list_specials(t, numbers));
    t->ids = bv_calloc(256 + count, sizeof *t->ids);
    if (!t->ids) return bv_fail_memory("a tokenizer");
    memcpy(t->ids, numbers->ids, (256 + count) * sizeof *t->ids);
    BV_TRY(check_numbers(t));
    return place_tokens(t);
}

bv_status bv_tokenizer_bpe_numbered(const char *pattern, const bv_pair *merges, size_t count,
                                    const bv_bpe_numbers *numbers, bv_tokenizer **out) {
    *out = bv_calloc(1, sizeof **out);
    if (!*out) return bv_fail_memory("a tokenizer");
    (*out)->kind = BV_TOKENIZER_BPE;
    bv_error *error = fill(*out, pattern, merges, count, numbers);
    if (error) bv_tokenizer_destroy(out);
    return error;
}

bv_status bv_tokenizer_bpe(const char *pattern, const bv_pair *merges, size_t count,
                           bv_tokenizer **out) {
    return bv_tokenizer_bpe_numbered(pattern, merges, count, NULL, out);
}

/* ---- reading ---- */

/* Two whole numbers from 0 below 2^32 - 1. */
static bool read_two(const json_t *pair, uint32_t *a, uint32_t *b) {
    const json_t *first = json_array_get(pair, 0), *second = json_array_get(pair, 1);
    const json_int_t x = json_integer_value(first), y = json_integer_value(second);
    *a = (uint32_t)x;
    *b = (uint32_t)y;
    return json_array_size(pair) == 2 && json_is_integer(first) && json_is_integer(second) &&
           x >= 0 && y >= 0 && x < UINT32_MAX && y < UINT32_MAX;
}

static bv_status parse_merges(const json_t *list, bv_pair *merges) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_two(json_array_get(list, i), &merges[i].left, &merges[i].right))
            return bv_fail(BV_CODE_INPUT, "merge %zu is no pair of tokens", i);
    return BV_OK;
}

static bv_status parse_ids(const json_t *runs, size_t wanted, uint32_t *ids) {
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(runs); i++) {
        uint32_t first, n;
        if (!read_two(json_array_get(runs, i), &first, &n))
            return bv_fail(BV_CODE_INPUT, "run %zu of \"ids\" is no pair of numbers", i);
        if (n > wanted - count || first > BV_TOKEN_MAX)
            return bv_fail(BV_CODE_INPUT, "run %zu of \"ids\" is out of range", i);
        for (uint32_t k = 0; k < n; k++) ids[count++] = first + k;
    }
    if (count == wanted) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "\"ids\" numbers %zu tokens, there are %zu", count, wanted);
}

typedef struct parsed {
    uint32_t *ids, *specials;
    const char **names;
} parsed;

static bv_status parse_numbers(const json_t *value, size_t count, parsed *p, bv_bpe_numbers *n) {
    const json_t *special = json_object_get(value, "special");
    n->special_count = json_object_size(special);
    p->ids = bv_calloc(256 + count, sizeof *p->ids);
    p->specials = bv_calloc(n->special_count + 1, sizeof *p->specials);
    p->names = bv_calloc(n->special_count + 1, sizeof *p->names);
    if (!p->ids || !p->specials || !p->names) return bv_fail_memory("a tokenizer");
    *n = (bv_bpe_numbers){p->ids, p->names, p->specials, n->special_count};
    BV_TRY(parse_ids(json_object_get(value, "ids"), 256 + count, p->ids));
    size_t i = 0;
    const char *name;
    json_t *token;
    json_object_foreach((json_t *)special, name, token) {
        const json_int_t id = json_integer_value(token);
        if (!json_is_integer(token) || id < 0 || id > BV_TOKEN_MAX)
            return bv_fail(BV_CODE_INPUT, "the special token \"%s\" is no token", name);
        p->names[i] = name;
        p->specials[i++] = (uint32_t)id;
    }
    return BV_OK;
}

static bv_status make_parsed(const json_t *value, const bv_pair *merges, size_t count,
                             bv_tokenizer **out) {
    const char *pattern = "";
    parsed p = {0};
    bv_bpe_numbers numbers;
    const bool numbered = json_object_get(value, "ids") != NULL;
    bv_error *error = bv_json_get_string(value, "pattern", &pattern);
    if (!error && numbered) error = parse_numbers(value, count, &p, &numbers);
    if (!error)
        error = bv_tokenizer_bpe_numbered(pattern, merges, count, numbered ? &numbers : NULL, out);
    bv_free(p.ids);
    bv_free(p.specials);
    bv_free(p.names);
    return error;
}

bv_status bv_bpe_parse(const json_t *value, const bv_merge_list *merges, bv_tokenizer **out) {
    if (merges) return make_parsed(value, merges->pairs, merges->count, out);
    const json_t *list = json_object_get(value, "merges");
    if (!json_is_array(list)) return bv_fail(BV_CODE_INPUT, "\"merges\" is no list");
    const size_t count = json_array_size(list);
    bv_pair *pairs = bv_calloc(count + 1, sizeof *pairs);
    bv_error *error = pairs ? parse_merges(list, pairs) : bv_fail_memory("a tokenizer");
    if (!error) error = make_parsed(value, pairs, count, out);
    bv_free(pairs);
    return error;
}

/* ---- the list of merges without a parser of JSON, which takes longer than all the rest ---- */

/* A number as JSON writes it, below 10^9. NULL: there is none. */
static inline const char *scan_number(const char *p, uint32_t *out) {
    const char *begin = p;
    uint32_t n = 0;
    for (; *p >= '0' && *p <= '9' && p - begin < 9; p++) n = 10 * n + (uint32_t)(*p - '0');
    *out = n;
    const bool padded = *begin == '0' && p - begin > 1;
    return p == begin || padded || (*p >= '0' && *p <= '9') ? NULL : p;
}

/* "[1, 2]"; NULL: there is none. */
static inline const char *scan_pair(const char *p, bv_pair *out) {
    if (*p != '[' || !(p = scan_number(p + 1, &out->left))) return NULL;
    if (p[0] != ',' || p[1] != ' ' || !(p = scan_number(p + 2, &out->right))) return NULL;
    return *p == ']' ? p + 1 : NULL;
}

#define PAIR_TEXT_MIN 8 /* bytes of "[1, 2], " */

/* "[1, 2], [3, 4]" and so on until "]}" and the end of the text. */
static bool scan_merges(const char *p, size_t size, bv_merge_list *out) {
    out->pairs = bv_malloc((size / PAIR_TEXT_MIN + 1) * sizeof *out->pairs);
    if (!out->pairs) return false;
    for (;; p += 2) {
        if (!(p = scan_pair(p, &out->pairs[out->count]))) return false;
        out->count++;
        if (p[0] != ',' || p[1] != ' ') break;
    }
    return !strcmp(p, "]}");
}

bool bv_bpe_cut_merges(bv_buffer *text, bv_merge_list *out) {
    static const char key[] = ", \"merges\": [";
    *out = (bv_merge_list){0};
    if (!text->data || memchr(text->data, 0, text->size)) return false;
    /* In a string the quotes would stand behind backslashes. */
    char *begin = strstr(text->data, key);
    const size_t behind = begin ? text->size - (size_t)(begin - text->data) - strlen(key) : 0;
    if (begin && scan_merges(begin + strlen(key), behind, out)) {
        memcpy(begin + strlen(key), "]}", 3);
        text->size = (size_t)(begin - text->data) + strlen(key) + 2;
        return true;
    }
    bv_free(out->pairs);
    *out = (bv_merge_list){0};
    return false;
}

/* ---- describing ---- */

static void describe_numbers(const bv_tokenizer *t, json_t *value) {
    json_t *runs = json_array(), *special = json_object();
    const size_t count = 256 + t->merge_count;
    for (size_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && t->ids[i + n] == t->ids[i] + n;) n++;
        json_array_append_new(runs, json_pack("[I, I]", (json_int_t)t->ids[i], (json_int_t)n));
    }
    for (size_t i = 0; i < t->special_count; i++)
        json_object_set_new(special, t->special_names[i], json_integer(t->specials[i]));
    json_object_set_new(value, "ids", runs);
    json_object_set_new(value, "special", special);
}

json_t *bv_bpe_describe(const bv_tokenizer *t, const char *format) {
    json_t *value =
        json_pack("{s:s, s:s, s:s}", "format", format, "kind", "bpe", "pattern", t->pattern);
    if (t->ids) describe_numbers(t, value);
    json_object_set_new(value, "merges", json_array());
    return value;
}

#define MERGE_TEXT 32 /* bytes of a merge at most: two numbers below 2^32 */

static char *put_number(char *p, uint32_t n) {
    char digits[10];
    size_t count = 0;
    do digits[count++] = (char)('0' + n % 10);
    while (n /= 10);
    while (count) *p++ = digits[--count];
    return p;
}

static char *put_text(char *p, const char *text) {
    const size_t size = strlen(text);
    memcpy(p, text, size);
    return p + size;
}

bv_status bv_bpe_put_merges(const bv_tokenizer *t, bv_buffer *text) {
    if (text->size < 3 || strcmp(text->data + text->size - 3, "[]}") != 0)
        return bv_fail_memory("a tokenizer"); /* the empty list was lost */
    text->size -= 2;
    if (!bv_buffer_reserve(text, t->merge_count * MERGE_TEXT + 3)) return bv_buffer_error(text);
    char *p = text->data + text->size;
    for (size_t i = 0; i < t->merge_count; i++) {
        p = put_text(p, i ? ", [" : "[");
        p = put_text(put_number(p, t->merges[i].left), ", ");
        p = put_text(put_number(p, t->merges[i].right), "]");
    }
    text->size = (size_t)(put_text(p, "]}") - text->data);
    text->data[text->size] = 0;
    return BV_OK;
}

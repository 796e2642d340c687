#include "text/bpe_train.h"

#include "base/memory.h"
#include "text/pair_table.h"
#include "text/pieces.h"
#include <string.h>

/* A distinct piece: its tokens stand in one long array and shrink in place. */
typedef struct word {
    uint64_t count;
    size_t begin;
    uint32_t size;
    uint32_t seen; /* the merge that last rewrote it, plus 1 */
} word;

/* A pair, how often it occurs, and the words that have had it (some no longer do). */
typedef struct pair_record {
    bv_pair pair;
    uint64_t count, offered; /* offered: the largest count that stands in the heap */
    uint32_t *words;
    size_t word_count, word_capacity;
} pair_record;

typedef struct candidate {
    uint64_t count;
    bv_pair pair;
} candidate;

struct bv_bpe_trainer {
    char pattern[16];
    bv_splitter *splitter;
    word *words;
    size_t word_count, word_capacity;
    uint32_t *tokens;
    size_t token_count, token_capacity;
    uint32_t *slots; /* hash of pieces -> word + 1 */
    size_t slot_count;
    bv_pair_table *table; /* pair -> record */
    pair_record *records;
    size_t record_count, record_capacity;
    candidate *heap;
    size_t heap_count, heap_capacity;
};

/* Room for one more element; false without memory. */
static bool grow(void **list, size_t count, size_t *capacity, size_t element) {
    if (count < *capacity) return true;
    const size_t wanted = *capacity ? 2 * *capacity : 16;
    void *larger = bv_realloc(*list, wanted * element);
    if (!larger) return false;
    *list = larger;
    *capacity = wanted;
    return true;
}

bv_status bv_bpe_trainer_create(const char *pattern, bv_bpe_trainer **out) {
    *out = bv_calloc(1, sizeof **out);
    if (!*out) return bv_fail_memory("learning byte pairs");
    bv_error *error = bv_splitter_create(pattern, &(*out)->splitter);
    if (error)
        bv_bpe_trainer_destroy(out);
    else
        memcpy((*out)->pattern, pattern, strlen(pattern) + 1);
    return error;
}

void bv_bpe_trainer_destroy(bv_bpe_trainer **trainer) {
    bv_bpe_trainer *t = *trainer;
    if (!t) return;
    for (size_t i = 0; i < t->record_count; i++) bv_free(t->records[i].words);
    bv_splitter_destroy(&t->splitter);
    bv_pair_table_destroy(&t->table);
    bv_free(t->words);
    bv_free(t->tokens);
    bv_free(t->slots);
    bv_free(t->records);
    bv_free(t->heap);
    bv_free(t);
    *trainer = NULL;
}

/* ---- counting pieces ---- */

static uint64_t hash_piece(const uint32_t *tokens, size_t size) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < size; i++) h = (h ^ tokens[i]) * 1099511628211u;
    return h ^ h >> 32;
}

static bool rehash(bv_bpe_trainer *t) {
    const size_t wanted = t->slot_count ? 2 * t->slot_count : 4096;
    uint32_t *slots = bv_calloc(wanted, sizeof *slots);
    if (!slots) return false;
    for (size_t w = 0; w < t->word_count; w++) {
        size_t i = hash_piece(t->tokens + t->words[w].begin, t->words[w].size) & (wanted - 1);
        while (slots[i]) i = (i + 1) & (wanted - 1);
        slots[i] = (uint32_t)w + 1;
    }
    bv_free(t->slots);
    t->slots = slots;
    t->slot_count = wanted;
    return true;
}

/* Counts the piece whose tokens stand at the end of the long array; a known one is dropped there.
 */
static bool count_piece(bv_bpe_trainer *t, const unsigned char *piece, size_t size) {
    if (2 * t->word_count >= t->slot_count && !rehash(t)) return false;
    for (size_t i = 0; i < size; i++) {
        if (!grow((void **)&t->tokens, t->token_count + i, &t->token_capacity, sizeof(uint32_t)))
            return false;
        t->tokens[t->token_count + i] = piece[i];
    }
    const uint32_t *tokens = t->tokens + t->token_count;
    size_t i = hash_piece(tokens, size) & (t->slot_count - 1);
    for (; t->slots[i]; i = (i + 1) & (t->slot_count - 1)) {
        word *w = &t->words[t->slots[i] - 1];
        if (w->size != size || memcmp(t->tokens + w->begin, tokens, size * sizeof *tokens))
            continue;
        w->count++;
        return true;
    }
    if (!grow((void **)&t->words, t->word_count, &t->word_capacity, sizeof(word))) return false;
    t->words[t->word_count] = (word){.count = 1, .begin = t->token_count, .size = (uint32_t)size};
    t->slots[i] = (uint32_t)++t->word_count;
    t->token_count += size;
    return true;
}

bv_status bv_bpe_trainer_add(bv_bpe_trainer *t, const void *text, size_t size) {
    const unsigned char *piece;
    size_t length;
    bv_splitter_text(t->splitter, text, size);
    while (bv_splitter_next(t->splitter, &piece, &length))
        if (!count_piece(t, piece, length)) return bv_fail_memory("learning byte pairs");
    return BV_OK;
}

/* ---- the heap: counts may be too large there, never too small ---- */

static bool before(const candidate *a, const candidate *b) {
    if (a->count != b->count) return a->count > b->count;
    if (a->pair.left != b->pair.left) return a->pair.left < b->pair.left;
    return a->pair.right < b->pair.right;
}

static bool push(bv_bpe_trainer *t, candidate c) {
    if (!grow((void **)&t->heap, t->heap_count, &t->heap_capacity, sizeof c)) return false;
    size_t i = t->heap_count++;
    for (; i > 0 && before(&c, &t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = c;
    return true;
}

static candidate pop(bv_bpe_trainer *t) {
    const candidate top = t->heap[0], last = t->heap[--t->heap_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->heap_count; i = child) {
        if (child + 1 < t->heap_count && before(&t->heap[child + 1], &t->heap[child])) child++;
        if (!before(&t->heap[child], &last)) break;
        t->heap[i] = t->heap[child];
    }
    t->heap[i] = last;
    return top;
}

/* ---- pairs ---- */

static pair_record *record_of(bv_bpe_trainer *t, bv_pair pair) {
    const uint32_t known = bv_pair_table_get(t->table, pair, BV_NO_TOKEN);
    if (known != BV_NO_TOKEN) return &t->records[known];
    if (!grow((void **)&t->records, t->record_count, &t->record_capacity, sizeof(pair_record)))
        return NULL;
    bv_error *error = bv_pair_table_set(t->table, pair, (uint32_t)t->record_count);
    if (error) {
        bv_error_free(&error);
        return NULL;
    }
    t->records[t->record_count] = (pair_record){.pair = pair};
    return &t->records[t->record_count++];
}

/* Adds or takes away the pairs of a word. */
static bool count_pairs(bv_bpe_trainer *t, size_t index, bool add) {
    const word *w = &t->words[index];
    for (uint32_t i = 0; i + 1 < w->size; i++) {
        const bv_pair pair = {t->tokens[w->begin + i], t->tokens[w->begin + i + 1]};
        pair_record *r = record_of(t, pair);
        if (!r) return false;
        if (!add) {
            r->count -= w->count;
            continue;
        }
        r->count += w->count;
        if (r->word_count == 0 || r->words[r->word_count - 1] != index) {
            if (!grow((void **)&r->words, r->word_count, &r->word_capacity, sizeof *r->words))
                return false;
            r->words[r->word_count++] = (uint32_t)index;
        }
    }
    return true;
}

/* Pushes what a word's pairs count now, where the heap has nothing as large. */
static bool offer_pairs(bv_bpe_trainer *t, size_t index) {
    const word *w = &t->words[index];
    for (uint32_t i = 0; i + 1 < w->size; i++) {
        const bv_pair pair = {t->tokens[w->begin + i], t->tokens[w->begin + i + 1]};
        pair_record *r = record_of(t, pair);
        if (!r) return false;
        if (r->count > r->offered && !push(t, (candidate){r->offered = r->count, pair}))
            return false;
    }
    return true;
}

static void rewrite_word(bv_bpe_trainer *t, word *w, bv_pair pair, uint32_t token) {
    uint32_t *tokens = t->tokens + w->begin, kept = 0;
    for (uint32_t i = 0; i < w->size; i++) {
        const bool here = i + 1 < w->size && tokens[i] == pair.left && tokens[i + 1] == pair.right;
        tokens[kept++] = here ? token : tokens[i];
        i += here;
    }
    w->size = kept;
}

static bool merge(bv_bpe_trainer *t, size_t record, uint32_t token) {
    const bv_pair pair = t->records[record].pair;
    /* The list grows no more: its pair is gone from every word that is rewritten. */
    const size_t count = t->records[record].word_count;
    for (size_t i = 0; i < count; i++) {
        const size_t index = t->records[record].words[i];
        word *w = &t->words[index];
        if (w->seen == token + 1) continue;
        w->seen = token + 1;
        if (!count_pairs(t, index, false)) return false;
        rewrite_word(t, w, pair, token);
        if (!count_pairs(t, index, true)) return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!offer_pairs(t, t->records[record].words[i])) return false;
    return true;
}

static bool start(bv_bpe_trainer *t) {
    bv_error *error = bv_pair_table_create(4096, &t->table);
    if (error) {
        bv_error_free(&error);
        return false;
    }
    for (size_t w = 0; w < t->word_count; w++)
        if (!count_pairs(t, w, true)) return false;
    for (size_t r = 0; r < t->record_count; r++) {
        t->records[r].offered = t->records[r].count;
        if (!push(t, (candidate){t->records[r].count, t->records[r].pair})) return false;
    }
    return true;
}

bv_status bv_bpe_trainer_learn(bv_bpe_trainer *t, size_t vocab_size, bv_tokenizer **out) {
    *out = NULL;
    if (vocab_size < 257)
        return bv_try(bv_fail(BV_CODE_USAGE, "a vocabulary of %zu is too small", vocab_size),
                      "at least 257: all bytes and the end of text");
    const size_t wanted = vocab_size - 257;
    bv_pair *merges = bv_calloc(wanted + 1, sizeof *merges);
    bool ok = merges && start(t);
    size_t count = 0;
    while (ok && count < wanted && t->heap_count) {
        const candidate c = pop(t);
        const uint32_t record = bv_pair_table_get(t->table, c.pair, BV_NO_TOKEN);
        const uint64_t now = t->records[record].count;
        if (now != c.count) { /* it shrank since it was pushed */
            t->records[record].offered = now;
            ok = now < 2 || now > c.count || push(t, (candidate){now, c.pair});
            continue;
        }
        if (now < 2) break;
        ok = merge(t, record, (uint32_t)(256 + count));
        merges[count++] = c.pair;
    }
    bv_error *error = ok ? bv_tokenizer_bpe(t->pattern, merges, count, out)
                         : bv_fail_memory("learning byte pairs");
    bv_free(merges);
    return error;
}

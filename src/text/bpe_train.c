#include "text/bpe_train.h"

#include "base/memory.h"
#include "text/pair_table.h"
#include "text/piece_counts.h"
#include <string.h>

#define SPAN_BYTES ((size_t)64 << 10)
#define BATCH_BYTES ((size_t)4 << 20)

typedef struct span {
    size_t begin, end;
} span;

/* A pair, how often it occurs, and the words that have had it (some no longer do). */
typedef struct pair_record {
    bv_pair pair;
    uint64_t count;
    uint32_t *words;
    size_t word_count, word_capacity;
} pair_record;

typedef struct candidate {
    uint64_t count;
    bv_pair pair;
} candidate;

struct bv_bpe_trainer {
    char pattern[16];
    bv_pool *pool;
    int threads;
    bv_piece_counts **counts; /* one a thread; the first holds all in the end */
    bool *failed;             /* one a thread */
    /* texts that wait to be counted */
    bv_buffer batch;
    const char *counted;
    span *spans;
    size_t span_count, span_capacity;
    bv_pair_table *table; /* pair -> record */
    pair_record *records;
    size_t record_count, record_capacity;
    candidate *heap;
    size_t heap_count, heap_capacity;
};

bv_status bv_bpe_trainer_create(const char *pattern, bv_pool *pool, bv_bpe_trainer **out) {
    bv_bpe_trainer *t = *out = bv_calloc(1, sizeof *t);
    if (!t) return bv_fail_memory("learning byte pairs");
    t->pool = pool;
    t->threads = bv_pool_threads(pool);
    t->counts = bv_calloc((size_t)t->threads, sizeof(bv_piece_counts *));
    t->failed = bv_calloc((size_t)t->threads, sizeof *t->failed);
    bv_error *error = t->counts && t->failed ? BV_OK : bv_fail_memory("learning byte pairs");
    for (int i = 0; !error && i < t->threads; i++)
        error = bv_piece_counts_create(pattern, &t->counts[i]);
    if (error)
        bv_bpe_trainer_destroy(out);
    else
        memcpy(t->pattern, pattern, strlen(pattern) + 1);
    return error;
}

void bv_bpe_trainer_destroy(bv_bpe_trainer **trainer) {
    bv_bpe_trainer *t = *trainer;
    if (!t) return;
    for (size_t i = 0; i < t->record_count; i++) bv_free(t->records[i].words);
    for (int i = 0; t->counts && i < t->threads; i++) bv_piece_counts_destroy(&t->counts[i]);
    bv_pair_table_destroy(&t->table);
    bv_buffer_free(&t->batch);
    bv_free(t->counts);
    bv_free(t->failed);
    bv_free(t->spans);
    bv_free(t->records);
    bv_free(t->heap);
    bv_free(t);
    *trainer = NULL;
}

/* ---- counting pieces, on all threads ---- */

static bool add_spans(bv_bpe_trainer *t, size_t offset, const char *text, size_t size) {
    for (size_t begin = 0, end; begin < size; begin = end) {
        const size_t left = size - begin;
        end = begin + (left > SPAN_BYTES ? bv_pieces_cut(text + begin, left, SPAN_BYTES) : left);
        if (!bv_list_grow((void **)&t->spans, t->span_count, &t->span_capacity, sizeof(span)))
            return false;
        t->spans[t->span_count++] = (span){offset + begin, offset + end};
    }
    return true;
}

static void count_part(void *context, int part, int parts) {
    bv_bpe_trainer *t = context;
    size_t begin, end;
    bv_pool_range(t->span_count, 1, part, parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const span s = t->spans[i];
        if (!bv_piece_counts_add(t->counts[part], t->counted + s.begin, s.end - s.begin))
            t->failed[part] = true;
    }
}

static bv_status count_spans(bv_bpe_trainer *t, const char *text) {
    t->counted = text;
    bv_pool_run(t->pool, count_part, t);
    t->span_count = 0;
    for (int i = 0; i < t->threads; i++)
        if (t->failed[i]) return bv_fail_memory("learning byte pairs");
    return BV_OK;
}

/* Counts the small texts that were gathered. */
static bv_status flush(bv_bpe_trainer *t) {
    if (t->span_count) BV_TRY(count_spans(t, t->batch.data));
    bv_buffer_clear(&t->batch);
    return BV_OK;
}

bv_status bv_bpe_trainer_add(bv_bpe_trainer *t, const void *text, size_t size) {
    if (t->batch.size + size > BATCH_BYTES) BV_TRY(flush(t));
    if (size > BATCH_BYTES) {
        if (!add_spans(t, 0, text, size)) return bv_fail_memory("learning byte pairs");
        return count_spans(t, text);
    }
    const size_t offset = t->batch.size;
    bv_buffer_append(&t->batch, text, size);
    BV_TRY(bv_buffer_error(&t->batch));
    return add_spans(t, offset, text, size) ? BV_OK : bv_fail_memory("learning byte pairs");
}

static bv_status gather(bv_bpe_trainer *t) {
    BV_TRY(flush(t));
    for (int i = 1; i < t->threads; i++) {
        if (!bv_piece_counts_merge(t->counts[0], t->counts[i]))
            return bv_fail_memory("learning byte pairs");
        bv_piece_counts_destroy(&t->counts[i]);
    }
    t->threads = 1;
    return BV_OK;
}

/* ---- the heap: each pair once; its count may be too large there, never too small ---- */

static bool before(const candidate *a, const candidate *b) {
    if (a->count != b->count) return a->count > b->count;
    if (a->pair.left != b->pair.left) return a->pair.left < b->pair.left;
    return a->pair.right < b->pair.right;
}

static bool push(bv_bpe_trainer *t, candidate c) {
    if (!bv_list_grow((void **)&t->heap, t->heap_count, &t->heap_capacity, sizeof c)) return false;
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
    if (!bv_list_grow((void **)&t->records, t->record_count, &t->record_capacity,
                      sizeof(pair_record)))
        return NULL;
    bv_error *error = bv_pair_table_set(t->table, pair, (uint32_t)t->record_count);
    if (error) {
        bv_error_free(&error);
        return NULL;
    }
    t->records[t->record_count] = (pair_record){.pair = pair};
    return &t->records[t->record_count++];
}

static bool gain_pair(bv_bpe_trainer *t, bv_pair pair, size_t index) {
    pair_record *r = record_of(t, pair);
    if (!r) return false;
    r->count += t->counts[0]->pieces[index].count;
    if (r->word_count && r->words[r->word_count - 1] == index) return true;
    if (!bv_list_grow((void **)&r->words, r->word_count, &r->word_capacity, sizeof *r->words))
        return false;
    r->words[r->word_count++] = (uint32_t)index;
    return true;
}

static void lose_pair(bv_bpe_trainer *t, bv_pair pair, size_t index) {
    const uint32_t record = bv_pair_table_get(t->table, pair, BV_NO_TOKEN);
    t->records[record].count -= t->counts[0]->pieces[index].count;
}

/* Puts the token where the pair stands in a word, from left to right. Only the pairs beside it
 * change: their old ones are lost, and those with the token, which is new, are gained. */
static bool rewrite_word(bv_bpe_trainer *t, size_t index, bv_pair pair, uint32_t token) {
    bv_piece *w = &t->counts[0]->pieces[index];
    uint32_t *tokens = t->counts[0]->tokens + w->begin, kept = 0;
    bool ok = true, merged = false; /* just before */
    for (uint32_t i = 0; ok && i < w->size; i++) {
        const bool here = i + 1 < w->size && tokens[i] == pair.left && tokens[i + 1] == pair.right;
        const uint32_t next = here ? token : tokens[i];
        if (here && i && !merged) lose_pair(t, (bv_pair){tokens[i - 1], pair.left}, index);
        if (here && i + 2 < w->size) lose_pair(t, (bv_pair){pair.right, tokens[i + 2]}, index);
        if (kept && (here || merged)) ok = gain_pair(t, (bv_pair){tokens[kept - 1], next}, index);
        tokens[kept++] = next;
        merged = here;
        i += here;
    }
    w->size = kept;
    return ok;
}

/* Pushes a pair that can still be merged. */
static bool offer(bv_bpe_trainer *t, const pair_record *r) {
    return r->count < 2 || push(t, (candidate){r->count, r->pair});
}

/* The pairs from record `first` on. */
static bool offer_pairs(bv_bpe_trainer *t, size_t first) {
    for (size_t r = first; r < t->record_count; r++)
        if (!offer(t, &t->records[r])) return false;
    return true;
}

static bool merge(bv_bpe_trainer *t, size_t record, uint32_t token) {
    const bv_pair pair = t->records[record].pair;
    const size_t known = t->record_count;
    for (size_t i = 0; i < t->records[record].word_count; i++)
        if (!rewrite_word(t, t->records[record].words[i], pair, token)) return false;
    t->records[record].count = 0;
    return offer_pairs(t, known);
}

static bool start(bv_bpe_trainer *t) {
    bv_error *error = bv_pair_table_create(4096, &t->table);
    if (error) {
        bv_error_free(&error);
        return false;
    }
    for (size_t w = 0; w < t->counts[0]->count; w++) {
        const bv_piece *piece = &t->counts[0]->pieces[w];
        const uint32_t *tokens = t->counts[0]->tokens + piece->begin;
        for (uint32_t i = 0; i + 1 < piece->size; i++)
            if (!gain_pair(t, (bv_pair){tokens[i], tokens[i + 1]}, w)) return false;
    }
    return offer_pairs(t, 0);
}

bv_status bv_bpe_trainer_learn(bv_bpe_trainer *t, size_t vocab_size, bv_tokenizer **out) {
    *out = NULL;
    if (vocab_size < 257)
        return bv_try(bv_fail(BV_CODE_USAGE, "a vocabulary of %zu is too small", vocab_size),
                      "at least 257: all bytes and the end of text");
    BV_TRY(gather(t));
    const size_t wanted = vocab_size - 257;
    bv_pair *merges = bv_calloc(wanted + 1, sizeof *merges);
    bool ok = merges && start(t);
    size_t count = 0;
    while (ok && count < wanted && t->heap_count) {
        const candidate c = pop(t);
        const uint32_t record = bv_pair_table_get(t->table, c.pair, BV_NO_TOKEN);
        if (t->records[record].count != c.count) { /* it shrank since it was pushed */
            ok = offer(t, &t->records[record]);
            continue;
        }
        ok = merge(t, record, (uint32_t)(256 + count));
        merges[count++] = c.pair;
    }
    bv_error *error = ok ? bv_tokenizer_bpe(t->pattern, merges, count, out)
                         : bv_fail_memory("learning byte pairs");
    bv_free(merges);
    return error;
}

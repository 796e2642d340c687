#include "text/bpe_merge.h"

#include "base/memory.h"
#include "text/tokenizer_struct.h"
#include <string.h>

#define SHORT_MAX 64 /* bytes; beyond, a heap is faster than searching anew */

struct bv_merger {
    const bv_tokenizer *tokenizer;
    uint32_t ranks[SHORT_MAX];
    /* long pieces, one entry a byte */
    size_t capacity;
    uint32_t *rank, *next, *before; /* by position; a rank of BV_NO_TOKEN: no merge */
    uint64_t *heap;                 /* rank << 32 | position: least first */
    size_t heap_count, heap_capacity;
};

bv_status bv_merger_create(const bv_tokenizer *tokenizer, bv_merger **out) {
    bv_merger *m = *out = bv_calloc(1, sizeof *m);
    if (!m) return bv_fail_memory("an encoder");
    m->tokenizer = tokenizer;
    return BV_OK;
}

static void free_long(bv_merger *m) {
    bv_free(m->rank);
    bv_free(m->next);
    bv_free(m->before);
    bv_free(m->heap);
    m->rank = m->next = m->before = NULL;
    m->heap = NULL;
    m->capacity = m->heap_capacity = 0;
}

void bv_merger_destroy(bv_merger **merger) {
    if (!*merger) return;
    free_long(*merger);
    bv_free(*merger);
    *merger = NULL;
}

static uint32_t rank_of(const bv_tokenizer *t, uint32_t left, uint32_t right) {
    if ((left | right) < 256) return t->byte_pairs[left << 8 | right];
    return bv_merge_table_rank(t->ranks, (bv_pair){left, right});
}

/* ---- short pieces ---- */

static size_t merge_short(bv_merger *m, const unsigned char *piece, size_t count,
                          uint32_t *tokens) {
    const bv_tokenizer *t = m->tokenizer;
    uint32_t *ranks = m->ranks; /* of the pair that begins there */
    for (size_t i = 0; i + 1 < count; i++) ranks[i] = t->byte_pairs[piece[i] << 8 | piece[i + 1]];
    for (size_t i = 0; i < count; i++) tokens[i] = piece[i];
    while (count > 1) {
        uint32_t best = BV_NO_TOKEN;
        for (size_t i = 0; i + 1 < count; i++) best = ranks[i] < best ? ranks[i] : best;
        if (best == BV_NO_TOKEN) break;
        size_t at = 0;
        while (ranks[at] != best) at++;
        tokens[at] = 256 + best;
        count--;
        memmove(tokens + at + 1, tokens + at + 2, (count - at - 1) * sizeof *tokens);
        if (at + 1 < count) {
            memmove(ranks + at + 1, ranks + at + 2, (count - at - 2) * sizeof *ranks);
            ranks[at] = rank_of(t, tokens[at], tokens[at + 1]);
        }
        if (at > 0) ranks[at - 1] = rank_of(t, tokens[at - 1], tokens[at]);
    }
    return count;
}

/* ---- long pieces ---- */

static bool grow(bv_merger *m, size_t size) {
    if (size <= m->capacity) return true;
    free_long(m);
    m->rank = bv_malloc(size * sizeof *m->rank);
    m->next = bv_malloc(size * sizeof *m->next);
    m->before = bv_malloc(size * sizeof *m->before);
    /* A pair at first for each byte, and each merge adds at most two. */
    m->heap_capacity = 3 * size;
    m->heap = bv_malloc(m->heap_capacity * sizeof *m->heap);
    if (m->rank && m->next && m->before && m->heap) {
        m->capacity = size;
        return true;
    }
    free_long(m);
    return false;
}

static void sink(uint64_t *heap, size_t count, size_t i, uint64_t value) {
    for (size_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= value) break;
        heap[i] = heap[child];
    }
    heap[i] = value;
}

static void push(bv_merger *m, uint32_t rank, uint32_t at) {
    const uint64_t value = (uint64_t)rank << 32 | at;
    m->rank[at] = rank;
    if (rank == BV_NO_TOKEN) return;
    size_t i = m->heap_count++;
    for (; i > 0 && value < m->heap[(i - 1) / 2]; i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = value;
}

static void start(bv_merger *m, const unsigned char *piece, uint32_t size, uint32_t *tokens) {
    const uint32_t *byte_pairs = m->tokenizer->byte_pairs;
    m->heap_count = 0;
    for (uint32_t i = 0; i < size; i++) {
        tokens[i] = piece[i];
        m->next[i] = i + 1;
        m->before[i] = i - 1;
        m->rank[i] = i + 1 < size ? byte_pairs[piece[i] << 8 | piece[i + 1]] : BV_NO_TOKEN;
        if (m->rank[i] != BV_NO_TOKEN) m->heap[m->heap_count++] = (uint64_t)m->rank[i] << 32 | i;
    }
    for (size_t i = m->heap_count / 2; i-- > 0;) sink(m->heap, m->heap_count, i, m->heap[i]);
}

static size_t merge_long(bv_merger *m, const unsigned char *piece, uint32_t size,
                         uint32_t *tokens) {
    const bv_tokenizer *t = m->tokenizer;
    start(m, piece, size, tokens);
    while (m->heap_count) {
        const uint64_t top = m->heap[0];
        const uint32_t rank = (uint32_t)(top >> 32), at = (uint32_t)top;
        const uint64_t last = m->heap[--m->heap_count];
        if (m->heap_count) sink(m->heap, m->heap_count, 0, last);
        if (m->rank[at] != rank) continue; /* one of the two has merged otherwise since */
        const uint32_t gone = m->next[at], next = m->next[gone], before = m->before[at];
        tokens[at] = 256 + rank;
        m->rank[gone] = m->rank[at] = BV_NO_TOKEN;
        m->next[at] = next;
        if (next < size) {
            m->before[next] = at;
            push(m, rank_of(t, tokens[at], tokens[next]), at);
        }
        if (at > 0) push(m, rank_of(t, tokens[before], tokens[at]), before);
    }
    size_t count = 0;
    for (uint32_t i = 0; i < size; i = m->next[i]) tokens[count++] = tokens[i];
    return count;
}

bool bv_merge_piece(bv_merger *m, const unsigned char *piece, size_t size, uint32_t *tokens,
                    size_t *count) {
    BV_ASSERT(size <= BV_MERGE_MAX);
    if (size > SHORT_MAX && !grow(m, size)) return false;
    *count = size > SHORT_MAX ? merge_long(m, piece, (uint32_t)size, tokens)
                              : merge_short(m, piece, size, tokens);
    return true;
}

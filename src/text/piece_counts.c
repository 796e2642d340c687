#include "text/piece_counts.h"

#include "base/memory.h"
#include <string.h>

bv_status bv_piece_counts_create(const char *pattern, bv_piece_counts **out) {
    *out = bv_calloc(1, sizeof **out);
    if (!*out) return bv_fail_memory("counting pieces");
    bv_error *error = bv_splitter_create(pattern, &(*out)->splitter);
    if (error) bv_piece_counts_destroy(out);
    return error;
}

void bv_piece_counts_destroy(bv_piece_counts **counts) {
    bv_piece_counts *c = *counts;
    if (!c) return;
    bv_splitter_destroy(&c->splitter);
    bv_free(c->pieces);
    bv_free(c->tokens);
    bv_free(c->slots);
    bv_free(c);
    *counts = NULL;
}

static uint64_t hash_piece(const uint32_t *tokens, size_t size) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < size; i++) h = (h ^ tokens[i]) * 1099511628211u;
    return h ^ h >> 32;
}

static bool rehash(bv_piece_counts *c) {
    const size_t wanted = c->slot_count ? 2 * c->slot_count : 4096;
    uint32_t *slots = bv_calloc(wanted, sizeof *slots);
    if (!slots) return false;
    for (size_t w = 0; w < c->count; w++) {
        size_t i = hash_piece(c->tokens + c->pieces[w].begin, c->pieces[w].size) & (wanted - 1);
        while (slots[i]) i = (i + 1) & (wanted - 1);
        slots[i] = (uint32_t)w + 1;
    }
    bv_free(c->slots);
    c->slots = slots;
    c->slot_count = wanted;
    return true;
}

/* Room for the tokens of one more piece, at the end of the long array. */
static uint32_t *next_tokens(bv_piece_counts *c, size_t size) {
    while (c->token_count + size > c->token_capacity)
        if (!bv_list_grow((void **)&c->tokens, c->token_capacity, &c->token_capacity,
                          sizeof(uint32_t)))
            return NULL;
    return c->tokens + c->token_count;
}

/* Counts the piece whose tokens stand in next_tokens; a known one is dropped there. */
static bool count(bv_piece_counts *c, size_t size, uint64_t times) {
    if (2 * c->count >= c->slot_count && !rehash(c)) return false;
    const uint32_t *tokens = c->tokens + c->token_count;
    size_t i = hash_piece(tokens, size) & (c->slot_count - 1);
    for (; c->slots[i]; i = (i + 1) & (c->slot_count - 1)) {
        bv_piece *w = &c->pieces[c->slots[i] - 1];
        if (w->size != size || memcmp(c->tokens + w->begin, tokens, size * sizeof *tokens))
            continue;
        w->count += times;
        return true;
    }
    if (!bv_list_grow((void **)&c->pieces, c->count, &c->capacity, sizeof(bv_piece))) return false;
    c->pieces[c->count] =
        (bv_piece){.count = times, .begin = c->token_count, .size = (uint32_t)size};
    c->slots[i] = (uint32_t)++c->count;
    c->token_count += size;
    return true;
}

bool bv_piece_counts_add(bv_piece_counts *c, const void *text, size_t size) {
    const unsigned char *piece;
    size_t length;
    bv_splitter_text(c->splitter, text, size);
    while (bv_splitter_next(c->splitter, &piece, &length))
        for (size_t n; length; piece += n, length -= n) {
            n = length < BV_COUNTED_MAX ? length : BV_COUNTED_MAX;
            uint32_t *tokens = next_tokens(c, n);
            if (!tokens) return false;
            for (size_t i = 0; i < n; i++) tokens[i] = piece[i];
            if (!count(c, n, 1)) return false;
        }
    return true;
}

bool bv_piece_counts_merge(bv_piece_counts *into, const bv_piece_counts *from) {
    for (size_t w = 0; w < from->count; w++) {
        const bv_piece *p = &from->pieces[w];
        uint32_t *tokens = next_tokens(into, p->size);
        if (!tokens) return false;
        memcpy(tokens, from->tokens + p->begin, p->size * sizeof *tokens);
        if (!count(into, p->size, p->count)) return false;
    }
    return true;
}

/*
 * How often each distinct piece of a text occurs. A counter belongs to one thread; counters are
 * merged afterwards, and the counts do not depend on how texts were divided among them.
 */
#ifndef BV_TEXT_PIECE_COUNTS_H
#define BV_TEXT_PIECE_COUNTS_H

#include "text/pieces.h"
#include <stdint.h>

#define BV_COUNTED_MAX 512 /* longer pieces count in parts: a merge rewrites pieces whole */

/* A distinct piece: its tokens (bytes, at first) stand in one long array and may shrink in place.
 */
typedef struct bv_piece {
    uint64_t count;
    size_t begin;
    uint32_t size;
} bv_piece;

typedef struct bv_piece_counts {
    bv_splitter *splitter;
    bv_piece *pieces;
    size_t count, capacity;
    uint32_t *tokens;
    size_t token_count, token_capacity;
    uint32_t *slots; /* hash of a piece -> its index + 1 */
    size_t slot_count;
} bv_piece_counts;

bv_status bv_piece_counts_create(const char *pattern, bv_piece_counts **out);
void bv_piece_counts_destroy(bv_piece_counts **counts);
/* False without memory. */
bool bv_piece_counts_add(bv_piece_counts *counts, const void *text, size_t size);
bool bv_piece_counts_merge(bv_piece_counts *into, const bv_piece_counts *from);

#endif

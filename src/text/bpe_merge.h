/*
 * The merges of byte-pair encoding inside one piece: the earliest learned pair first, the leftmost
 * of equals. A short piece is searched again for each merge, a long one keeps its pairs in a heap,
 * so the time grows with n log n. Tokens here are counted from the bytes on: 256 + i is merge i.
 */
#ifndef BV_TEXT_BPE_MERGE_H
#define BV_TEXT_BPE_MERGE_H

#include "text/tokenizer.h"

typedef struct bv_merger bv_merger; /* of one thread */
bv_status bv_merger_create(const bv_tokenizer *tokenizer, bv_merger **out);
void bv_merger_destroy(bv_merger **merger);

#define BV_MERGE_MAX ((size_t)1 << 30) /* bytes of a piece */

/* Tokens of a piece (1 .. BV_MERGE_MAX bytes), room for one a byte; false without memory. */
bool bv_merge_piece(bv_merger *merger, const unsigned char *piece, size_t size, uint32_t *tokens,
                    size_t *count);

#endif

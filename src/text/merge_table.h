/*
 * From pairs of tokens to the rank of their merge, as encoding asks for it: pairs are added while a
 * tokenizer is made, then it is only read, by any thread. Encoding waits for this table more than
 * for anything else, so it is small: eight bytes a slot, three quarters of them used, a few bits
 * for each pair before it, as most pairs that are asked for are not there. (pair_table.h grows, and
 * keeps any number for a pair.)
 */
#ifndef BV_TEXT_MERGE_TABLE_H
#define BV_TEXT_MERGE_TABLE_H

#include "text/tokenizer.h"

#define BV_MERGES_MAX (((size_t)1 << 21) - 256)

typedef struct bv_merge_table bv_merge_table;
/* count: of the pairs that will be added, at most BV_MERGES_MAX. */
bv_status bv_merge_table_create(size_t count, bv_merge_table **out);
void bv_merge_table_destroy(bv_merge_table **table);
/* False if the pair stands there already. Tokens and rank: below 256 + BV_MERGES_MAX and
 * BV_MERGES_MAX. */
bool bv_merge_table_add(bv_merge_table *table, bv_pair pair, uint32_t rank);
uint32_t bv_merge_table_rank(const bv_merge_table *table, bv_pair pair); /* or BV_NO_TOKEN */

#endif

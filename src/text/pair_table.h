/*
 * A hash table from pairs of tokens to a number below UINT32_MAX; open addressing, grows by
 * doubling. A few bits for each pair stand before it: most pairs that are asked for are not there.
 */
#ifndef BV_TEXT_PAIR_TABLE_H
#define BV_TEXT_PAIR_TABLE_H

#include "text/tokenizer.h"

typedef struct bv_pair_table bv_pair_table;
bv_status bv_pair_table_create(size_t expected, bv_pair_table **out);
void bv_pair_table_destroy(bv_pair_table **table);
uint32_t bv_pair_table_get(const bv_pair_table *table, bv_pair pair, uint32_t absent);
bv_status bv_pair_table_set(bv_pair_table *table, bv_pair pair, uint32_t value);

#endif

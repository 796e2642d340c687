/*
 * Learns byte pairs (Sennrich et al. 2016): the pair of neighbouring tokens that occurs most often
 * inside pieces becomes a token, again and again. Ties: the smaller left token, then the smaller
 * right one; so the result is a function of the text,
 * whatever the threads. Pieces are counted on all threads of the pool, pairs are merged on one.
 */
#ifndef BV_TEXT_BPE_TRAIN_H
#define BV_TEXT_BPE_TRAIN_H

#include "base/pool.h"
#include "text/tokenizer.h"

typedef struct bv_bpe_trainer bv_bpe_trainer;
/* pool: NULL for one thread. */
bv_status bv_bpe_trainer_create(const char *pattern, bv_pool *pool, bv_bpe_trainer **out);
void bv_bpe_trainer_destroy(bv_bpe_trainer **trainer);
/* Counts the pieces of one more text; a document at a time. */
bv_status bv_bpe_trainer_add(bv_bpe_trainer *trainer, const void *text, size_t size);
/* A tokenizer of at most vocab_size tokens (fewer when no pair occurs twice); at least 257. */
bv_status bv_bpe_trainer_learn(bv_bpe_trainer *trainer, size_t vocab_size, bv_tokenizer **out);

#endif

/*
 * Embeddings of the last 2 .. N tokens beside the token's own: for each length a table of its own,
 * whose rows are added to the residual stream (hashed n-grams as in Clark et al. 2022, CANINE, and
 * Pagnoni et al. 2024, Byte Latent Transformer). A lookup costs hardly any arithmetic, and spares
 * the first layers from learning what pairs and triples of tokens tell.
 *
 * A table has a row for each n-gram while that many fit `ngram_rows`; else n-grams share its rows
 * by a hash. A sequence has no tokens before its first one, nor before a document that a mask
 * hides: these count as one further token, vocab_size. Pure functions.
 */
#ifndef BV_MODEL_NGRAM_H
#define BV_MODEL_NGRAM_H

#include "model/config.h"
#include <stdint.h>

/* Rows of the table of n-grams, 2 <= n <= config->ngram. */
size_t bv_ngram_table_rows(const bv_gpt_config *config, size_t n);

/* The row of the n-gram that ends at *last; `known` tokens before it may be read. */
uint32_t bv_ngram_row(const bv_gpt_config *config, size_t n, const uint32_t *last, size_t known);

#endif

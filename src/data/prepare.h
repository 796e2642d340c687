/*
 * Text to data: tokens in memory-mapped shards, split by documents into training and validation,
 * with a manifest of counts and hashes. The folder appears whole or not at all. Memory stays
 * constant: batches of text are encoded on all threads, while the next is read and the tokens of
 * the last are written.
 *
 *   DIR/manifest.json, tokenizer.json, train-00000.bin .., val-00000.bin ..
 *   A shard holds little-endian tokens of 2 bytes (vocabulary <= 65,536) or 4. Each document ends
 *   with the end-of-text token, if the tokenizer has one.
 */
#ifndef BV_DATA_PREPARE_H
#define BV_DATA_PREPARE_H

#include "base/pool.h"
#include "data/documents.h"
#include "text/tokenizer.h"
#include <signal.h>

typedef struct bv_prepare_options {
    const char *out;     /* must not exist, or be an empty folder */
    double val_fraction; /* of the text, in whole documents; of a single one exactly, its end */
    bv_pool *pool;       /* NULL: one thread */
    void (*progress)(void *context, uint64_t bytes, uint64_t total);
    void *context;
    const volatile sig_atomic_t
        *signal; /* once set: BV_CODE_INTERRUPTED, nothing is left; or NULL */
} bv_prepare_options;

typedef struct bv_prepare_result {
    uint64_t tokens[2], documents[2]; /* training, validation */
    uint64_t bytes[2];                /* of text              */
} bv_prepare_result;

bv_status bv_data_prepare(bv_documents *documents, const bv_tokenizer *tokenizer,
                          const bv_prepare_options *options, bv_prepare_result *result);

#endif

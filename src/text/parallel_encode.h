/*
 * Encoding on all threads of a pool. A text is cut where its pieces are the same (bv_pieces_cut);
 * each thread encodes the next part with an encoder of its own. The tokens are those of bv_encoder,
 * whatever the threads. Only byte pairs are divided; other tokenizers run on one thread.
 */
#ifndef BV_TEXT_PARALLEL_ENCODE_H
#define BV_TEXT_PARALLEL_ENCODE_H

#include "base/pool.h"
#include "text/tokenizer.h"

/* Some of the tokens of a text, one run after another. */
typedef struct bv_token_run {
    const uint32_t *tokens;
    size_t count;
} bv_token_run;

typedef struct bv_parallel_encoder bv_parallel_encoder;
/* pool: NULL for one thread. */
bv_status bv_parallel_encoder_create(const bv_tokenizer *tokenizer, bv_pool *pool,
                                     bv_parallel_encoder **out);
void bv_parallel_encoder_destroy(bv_parallel_encoder **encoder);
/* The runs are borrowed until the next call. The first error is returned, as by bv_encoder_encode.
 */
bv_status bv_parallel_encode(bv_parallel_encoder *encoder, const void *text, size_t size,
                             const bv_token_run **runs, size_t *count);

#endif

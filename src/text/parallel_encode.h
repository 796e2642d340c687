/*
 * Encoding on all threads of a pool. Texts are cut where their pieces stay the same
 * (bv_pieces_cut); each thread encodes the next part with an encoder of its own. The tokens are
 * those of bv_encoder, whatever the threads. A `scored` tokenizer takes each text whole.
 */
#ifndef BV_TEXT_PARALLEL_ENCODE_H
#define BV_TEXT_PARALLEL_ENCODE_H

#include "base/pool.h"
#include "text/tokenizer.h"

typedef struct bv_text {
    const void *bytes;
    size_t size;
} bv_text;

/* Some of the tokens of texts[text]; its runs follow one another. A text without bytes has none. */
typedef struct bv_token_run {
    void *tokens; /* uint16_t or uint32_t, as the encoder was made */
    size_t count, text;
} bv_token_run;

/* What texts became; {0} is empty. It keeps its memory for the next texts. */
typedef struct bv_encoded {
    bv_token_run *runs;
    size_t run_count, run_capacity;
    unsigned char *tokens;
    size_t capacity; /* bytes */
} bv_encoded;
void bv_encoded_free(bv_encoded *encoded);

/* Other work that may go on meanwhile, e.g. reading the next texts and writing the last tokens:
 * task(context, i) is called once for each i below count, each on one thread. */
typedef struct bv_side_work {
    void (*task)(void *context, size_t i);
    void *context;
    size_t count;
} bv_side_work;

typedef struct bv_parallel_encoder bv_parallel_encoder;
/* pool: NULL for one thread. token_bytes: 4, or 2 where the vocabulary has no more than 65,536. */
bv_status bv_parallel_encoder_create(const bv_tokenizer *tokenizer, bv_pool *pool,
                                     size_t token_bytes, bv_parallel_encoder **out);
void bv_parallel_encoder_destroy(bv_parallel_encoder **encoder);
/* side: NULL for none; it is done even when encoding fails. Of several errors, the first one's in
 * the order of the texts. */
bv_status bv_parallel_encode(bv_parallel_encoder *encoder, const bv_text *texts, size_t count,
                             const bv_side_work *side, bv_encoded *out);

#endif

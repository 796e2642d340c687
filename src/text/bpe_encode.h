/*
 * Byte-pair encoding of texts. The tokens of the pieces met before stand in a cache of constant
 * size: most pieces of a text are words that came often. What is cached changes the time only.
 * Threads share a cache, as each would merge again what the others have merged.
 */
#ifndef BV_TEXT_BPE_ENCODE_H
#define BV_TEXT_BPE_ENCODE_H

#include "text/tokenizer.h"

typedef struct bv_bpe_encoder bv_bpe_encoder; /* of one thread */
/* other: NULL, or an encoder whose cache this one uses too; it outlives this one. */
bv_status bv_bpe_encoder_create(const bv_tokenizer *tokenizer, const bv_bpe_encoder *other,
                                bv_bpe_encoder **out);
void bv_bpe_encoder_destroy(bv_bpe_encoder **encoder);

/* Tokens of a text: room for size + BV_ENCODE_SLACK of them. */
bv_status bv_bpe_encode(bv_bpe_encoder *encoder, const void *text, size_t size, uint32_t *tokens,
                        size_t *count);

#endif

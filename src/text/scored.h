/*
 * Tokenizers of llama2.c (tokenizer.bin, made from sentencepiece models): every token has a score;
 * of all neighbouring tokens whose bytes together are a token, the pair of the highest score merges
 * first, the leftmost of equals. Text begins with a blank that is not part of it.
 *
 *   file: i32 longest, then for each token f32 score, i32 length, bytes; little-endian
 */
#ifndef BV_TEXT_SCORED_H
#define BV_TEXT_SCORED_H

#include "text/tokenizer.h"

#define BV_SCORED_BEGIN 1 /* token before every text, and after its end */

/* BV_CODE_INPUT when the file is no such tokenizer of vocab_size tokens. */
bv_status bv_tokenizer_load_scored(const char *path, size_t vocab_size, bv_tokenizer **out);

/* For tokenizer.c: tokens of a text, at most size + 1 of them. */
size_t bv_scored_encode(const bv_tokenizer *tokenizer, const unsigned char *text, size_t size,
                        uint32_t *tokens);

#endif

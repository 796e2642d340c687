/*
 * tokenizer.json as Hugging Face's tokenizers writes it, of byte-level byte pairs whose texts are
 * cut as for GPT-2, or as for Llama 3 and cl100k. A text's tokens are those of its `encode` without
 * special tokens: names of special tokens in a text are text here, and what the file adds around a
 * text, cuts off or fills up (post_processor, truncation, padding) is left out.
 *
 * Its merges may be more than its tokens (every pair that spells one): those that no text ever
 * needs are left out, too.
 */
#ifndef BV_TEXT_HUGGING_FACE_H
#define BV_TEXT_HUGGING_FACE_H

#include "text/tokenizer.h"

/* specials: names and numbers that stand in for what the file calls these numbers, or come beside
 * its special tokens (ids are not read); NULL for none. BV_CODE_INPUT for what a tokenizer of ours
 * would encode otherwise. */
bv_status bv_tokenizer_load_hugging_face(const char *path, const bv_bpe_numbers *specials,
                                         bv_tokenizer **out);

#endif

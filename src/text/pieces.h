/*
 * Pieces: what a text is cut into before byte-pair encoding, by the patterns of GPT-2 and of
 * cl100k. The text is split lossless: the pieces follow one another without gap. Bytes that are no
 * UTF-8 become pieces of their own. A piece has at most BV_PIECE_MAX bytes; longer ones are cut.
 */
#ifndef BV_TEXT_PIECES_H
#define BV_TEXT_PIECES_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

#define BV_PIECE_MAX 512

typedef struct bv_splitter bv_splitter; /* of one thread */

/* pattern: "gpt2" or "cl100k", else BV_CODE_USAGE. */
bv_status bv_splitter_create(const char *pattern, bv_splitter **out);
void bv_splitter_destroy(bv_splitter **splitter);
void bv_splitter_text(bv_splitter *splitter, const void *text, size_t size);
/* The next piece; false at the end. */
bool bv_splitter_next(bv_splitter *splitter, const unsigned char **piece, size_t *size);

#endif

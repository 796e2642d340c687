/*
 * Pieces: what a text is cut into before byte-pair encoding, by the patterns of GPT-2, of cl100k
 * and of Llama 3. The text is split lossless: the pieces follow one another without gap. Bytes that
 * are no UTF-8 become pieces of their own, and the text before them ends there.
 *
 *   gpt2    '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   cl100k  (?i:'(?:[sdmt]|ll|ve|re))|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|
 *           ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s
 *   llama3  cl100k as it was first written, without \s++$: blanks behind the text's last line end
 *           are a piece of their own
 *
 * The scanners are written by hand; tests/text/test_pieces.c compares them with PCRE2.
 */
#ifndef BV_TEXT_PIECES_H
#define BV_TEXT_PIECES_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct bv_splitter bv_splitter; /* of one thread */

/* pattern: "gpt2", "cl100k" or "llama3", else BV_CODE_USAGE. */
bv_status bv_splitter_create(const char *pattern, bv_splitter **out);
void bv_splitter_destroy(bv_splitter **splitter);
void bv_splitter_text(bv_splitter *splitter, const void *text, size_t size);
/* Where the next pieces end (each begins where the one before it ends), at most `most`; how many,
 * 0 at the end of the text. */
size_t bv_splitter_ends(bv_splitter *splitter, size_t *ends, size_t most);
/* The next piece; false at the end. */
bool bv_splitter_next(bv_splitter *splitter, const unsigned char **piece, size_t *size);

/* Where a text may be cut, behind `wanted` bytes, without changing its pieces by any pattern:
 * where letters or numbers end, and where something else is followed by a blank. `size` where there
 * is no such place. */
size_t bv_pieces_cut(const void *text, size_t size, size_t wanted);

#endif

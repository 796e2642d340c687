/*
 * Files of ranks as tiktoken reads them: a line a token, its bytes in base64, a blank, its rank.
 * The rank is the token's number and says when it merges: the two neighbours whose bytes together
 * have the least rank merge first. All 256 bytes are among them.
 *
 * Inside a token's own bytes the merges below its rank leave two parts, and no other two neighbours
 * that spell the token ever meet (bpe_growth.h). So one pair a token says the same as the ranks do.
 */
#ifndef BV_TEXT_TIKTOKEN_H
#define BV_TEXT_TIKTOKEN_H

#include "text/tokenizer.h"

/* pattern: NULL where it follows from the number of ranks (r50k, p50k, cl100k), else BV_CODE_USAGE.
 * specials: the names and numbers of special tokens (ids are not read); NULL for the known ones, or
 * else the end of text behind the last rank. */
bv_status bv_tokenizer_load_tiktoken(const char *path, const char *pattern,
                                     const bv_bpe_numbers *specials, bv_tokenizer **out);

#endif

/*
 * Merges that are taken from another program's file, one after another: what those before leave of
 * a token's bytes tells which two tokens the next one is made of. Whatever happens inside a token's
 * bytes until they are one does not depend on what is around them, so each token comes about by one
 * pair only, the one that is left of its own bytes.
 */
#ifndef BV_TEXT_BPE_GROWTH_H
#define BV_TEXT_BPE_GROWTH_H

#include "text/tokenizer.h"

typedef struct bv_bpe_growth bv_bpe_growth; /* of one thread */

/* most: merges that may be added; BV_CODE_INPUT for more than a tokenizer may have. */
bv_status bv_bpe_growth_create(size_t most, bv_bpe_growth **out);
void bv_bpe_growth_destroy(bv_bpe_growth **growth);

/* What the merges so far leave of 1 to BV_GROWTH_BYTES_MAX bytes, counted from the bytes on (256 +
 * i is merge i). Borrowed until the next call. */
#define BV_GROWTH_BYTES_MAX ((size_t)65536)
bv_status bv_bpe_growth_parts(bv_bpe_growth *growth, const void *bytes, size_t size,
                              const uint32_t **parts, size_t *count);
/* A pair that was just left, and so has no merge yet. */
void bv_bpe_growth_add(bv_bpe_growth *growth, bv_pair pair);
/* The merges in order. Borrowed. */
const bv_pair *bv_bpe_growth_merges(const bv_bpe_growth *growth, size_t *count);

#endif

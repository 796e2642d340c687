/* The inside of a tokenizer, for the files of this room only. */
#ifndef BV_TEXT_TOKENIZER_STRUCT_H
#define BV_TEXT_TOKENIZER_STRUCT_H

#include "text/merge_table.h"
#include "text/pair_table.h"
#include "text/tokenizer.h"
#include <stdatomic.h>

struct bv_tokenizer {
    bv_tokenizer_kind kind;
    size_t vocab_size;
    /* char */
    uint32_t *code_points; /* by token */
    uint32_t *token_of;    /* by code point */
    /* bpe, scored */
    char pattern[16];
    bv_pair *merges;
    size_t merge_count;
    bv_merge_table *ranks; /* bpe: pair -> merge index */
    uint32_t *byte_pairs;  /* bpe: left << 8 | right -> merge index, of bytes */
    bv_pair_table *table;  /* scored: pair -> merged token */
    uint32_t *ids; /* bpe: 256 + merge index, or byte -> token; NULL where that is the same */
    char **special_names; /* bpe: tokens without bytes */
    uint32_t *specials;
    size_t special_count;
    uint32_t *offsets;              /* bytes of token t: bytes[offsets[t] .. offsets[t + 1]) */
    _Atomic(unsigned char *) bytes; /* bpe: NULL until the first decoding (bv_bpe_spell) */
    /* scored */
    float *scores; /* by token */
};

/* For tokenizer.c: the members of tokenizer.json that belong to bpe (tokenizer_bpe.c). merges:
 * NULL, or those that bv_bpe_cut_merges took. */
typedef struct bv_merge_list {
    bv_pair *pairs; /* free with bv_free */
    size_t count;
} bv_merge_list;
/* Gives a tokenizer the bytes of its tokens: a quarter of the time to load it, and only decoding
 * needs them. Several threads may do so at once. */
bv_status bv_bpe_spell(const bv_tokenizer *tokenizer);
bv_status bv_bpe_parse(const json_t *value, const bv_merge_list *merges, bv_tokenizer **out);
/* Takes the merges out of the text of a tokenizer.json, in which they are most of the bytes, if
 * they stand at its end exactly as bv_tokenizer_save writes them: an empty list stays. True if so;
 * otherwise nothing changed, and a parser reads them. */
bool bv_bpe_cut_merges(bv_buffer *text, bv_merge_list *out);
/* All but the merges: an empty list, at the end. */
json_t *bv_bpe_describe(const bv_tokenizer *tokenizer, const char *format);
/* Puts them into its text. */
bv_status bv_bpe_put_merges(const bv_tokenizer *tokenizer, bv_buffer *text);

#endif

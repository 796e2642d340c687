/*
 * Tokenizers: bytes to tokens and back. Kinds: `byte` (256 tokens), `char` (one token a
 * Unicode character of the text it was made from), and `bpe` (byte-level byte-pair encoding,
 * Sennrich et al. 2016 and Radford et al. 2019: the text is cut into pieces by a pattern, then
 * merges of known pairs apply inside a piece, the earliest learned first), and `scored` (scored.h).
 *
 * decode(encode(x)) is x for byte and bpe, whatever the bytes. Tokenizers are read-only after they
 * are made and may be used by many threads; an encoder belongs to one.
 */
#ifndef BV_TEXT_TOKENIZER_H
#define BV_TEXT_TOKENIZER_H

#include "base/buffer.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum bv_tokenizer_kind {
    BV_TOKENIZER_BYTE,
    BV_TOKENIZER_CHAR,
    BV_TOKENIZER_BPE,
    BV_TOKENIZER_SCORED, /* scored.h */
} bv_tokenizer_kind;

#define BV_NO_TOKEN UINT32_MAX
#define BV_TOKEN_MAX ((uint32_t)1 << 24)
#define BV_END_OF_TEXT "<|endoftext|>"

typedef struct bv_tokenizer bv_tokenizer;

typedef struct bv_pair {
    uint32_t left, right;
} bv_pair;

bv_status bv_tokenizer_byte(bv_tokenizer **out);
/* All characters of a text (UTF-8, else BV_CODE_INPUT), in the order of their code points. */
bv_status bv_tokenizer_char(const void *text, size_t size, bv_tokenizer **out);
/* The same of many texts, added one after another. */
typedef struct bv_characters bv_characters;
bv_status bv_characters_create(bv_characters **out);
void bv_characters_destroy(bv_characters **characters);
bv_status bv_characters_add(bv_characters *characters, const void *text, size_t size);
bv_status bv_characters_tokenizer(const bv_characters *characters, bv_tokenizer **out);
/* Tokens 0..255 are bytes, 256 + i is merge i, the last is the end of text. pattern: of
 * pieces.h. */
bv_status bv_tokenizer_bpe(const char *pattern, const bv_pair *merges, size_t count,
                           bv_tokenizer **out);

/* The same where tokens are numbered otherwise. Tokens that are neither in ids nor special have no
 * bytes and never come out of a text. */
typedef struct bv_bpe_numbers {
    const uint32_t *ids;              /* token of byte i, and of merge i at 256 + i */
    const char *const *special_names; /* without bytes; BV_END_OF_TEXT is the end of text */
    const uint32_t *specials;
    size_t special_count;
} bv_bpe_numbers;
/* numbers: NULL for those of bv_tokenizer_bpe. BV_CODE_INPUT for a token that stands there twice or
 * is larger than BV_TOKEN_MAX. */
bv_status bv_tokenizer_bpe_numbered(const char *pattern, const bv_pair *merges, size_t count,
                                    const bv_bpe_numbers *numbers, bv_tokenizer **out);
void bv_tokenizer_destroy(bv_tokenizer **tokenizer);

/* tokenizer.json, our own format: kind, pattern, merges or characters; for tokens that are numbered
 * otherwise also "ids", runs of [first, how many] for the bytes and merges in order, and "special",
 * name -> token. Same tokenizer, same bytes. */
bv_status bv_tokenizer_load(const char *path, bv_tokenizer **out);
bv_status bv_tokenizer_parse(const json_t *value, const char *origin, bv_tokenizer **out);
bv_status bv_tokenizer_save(const bv_tokenizer *tokenizer, const char *path);
/* Appends what bv_tokenizer_save writes. */
bv_status bv_tokenizer_text(const bv_tokenizer *tokenizer, bv_buffer *out);
/* SHA-256 of what bv_tokenizer_save writes: the same tokenizer has the same, however its file was
 * written. Not for `scored`, which is not saved. */
bv_status bv_tokenizer_hash(const bv_tokenizer *tokenizer, char sha256[BV_SHA256_TEXT_SIZE]);
/* Loads a tokenizer and says whether it has that hash. Takes the time to write it out only where
 * the file is not as bv_tokenizer_save wrote it. */
bv_status bv_tokenizer_load_known(const char *path, const char *sha256, bv_tokenizer **out,
                                  bool *same);

bv_tokenizer_kind bv_tokenizer_kind_of(const bv_tokenizer *tokenizer);
const char *bv_tokenizer_kind_name(const bv_tokenizer *tokenizer);
size_t bv_tokenizer_vocab_size(const bv_tokenizer *tokenizer);
uint32_t bv_tokenizer_end_of_text(const bv_tokenizer *tokenizer); /* BV_NO_TOKEN: none */
/* The token of that name, of those without bytes; BV_NO_TOKEN: none. */
uint32_t bv_tokenizer_special(const bv_tokenizer *tokenizer, const char *name);

/* Appends the bytes of tokens; special ones have none. BV_CODE_INPUT for a token out of range. */
bv_status bv_tokenizer_decode(const bv_tokenizer *tokenizer, const uint32_t *tokens, size_t count,
                              bv_buffer *out);

/* An encoder: what one thread needs to encode. */
typedef struct bv_encoder bv_encoder;
bv_status bv_encoder_create(const bv_tokenizer *tokenizer, bv_encoder **out);
/* For another thread at the same time: what one learns about pieces of text the other knows. The
 * encoder `other` outlives it. */
bv_status bv_encoder_create_beside(const bv_encoder *other, bv_encoder **out);
void bv_encoder_destroy(bv_encoder **encoder);
#define BV_ENCODE_SLACK 3 /* a text has no more tokens than bytes and these */
/* Encodes a text whole. *tokens is borrowed until the next call. A character that a char tokenizer
 * does not know is BV_CODE_INPUT and names it. Text is never taken for the end-of-text token. */
bv_status bv_encoder_encode(bv_encoder *encoder, const void *text, size_t size,
                            const uint32_t **tokens, size_t *count);

#endif

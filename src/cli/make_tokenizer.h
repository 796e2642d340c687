/* Makes the tokenizer that a user names: a file, `byte`, `char`, or one learned from the text. */
#ifndef BV_CLI_MAKE_TOKENIZER_H
#define BV_CLI_MAKE_TOKENIZER_H

#include "base/pool.h"
#include "data/documents.h"
#include "text/tokenizer.h"

/* All documents are read, and rewound at the end. */
bv_status bv_make_char_tokenizer(bv_documents *documents, bv_tokenizer **out);
bv_status bv_make_bpe_tokenizer(bv_documents *documents, const char *pattern, size_t vocab_size,
                                bv_pool *pool, bv_tokenizer **out);
/* name: byte, char, or the path of a tokenizer.json. */
bv_status bv_make_named_tokenizer(bv_documents *documents, const char *name, bv_tokenizer **out);

#endif

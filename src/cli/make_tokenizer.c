#include "cli/make_tokenizer.h"

#include "cli/cli.h"
#include "cli/live_line.h"
#include "report/units.h"
#include "text/bpe_train.h"
#include "text/pieces.h"
#include <string.h>

bv_status bv_make_char_tokenizer(bv_documents *documents, bv_tokenizer **out) {
    bv_characters *characters;
    const char *text;
    size_t size;
    bv_error *error;
    *out = NULL;
    BV_TRY(bv_characters_create(&characters));
    while (!(error = bv_documents_next(documents, &text, &size)) && text)
        if ((error = bv_characters_add(characters, text, size))) break;
    if (!error) error = bv_characters_tokenizer(characters, out);
    bv_characters_destroy(&characters);
    bv_documents_rewind(documents);
    return error;
}

#define SOME_BYTES ((size_t)4 << 20)

typedef struct learning {
    bv_bpe_trainer *trainer;
    bv_documents *documents;
    uint64_t counted; /* bytes */
    bv_live_line line;
} learning;

/* Adds a document by and by, so that a large file need not be in memory whole. */
static bv_status add_document(learning *l, const char *text, size_t size) {
    for (size_t n; size; text += n, size -= n) {
        n = bv_pieces_cut(text, size, SOME_BYTES);
        BV_TRY(bv_bpe_trainer_add(l->trainer, text, n));
        bv_documents_forget(l->documents, text, n);
        l->counted += n;
        if (bv_live_line_due(&l->line))
            bv_live_line_say(&l->line, "counted %s of %s", bv_human_bytes((double)l->counted).text,
                             bv_human_bytes((double)bv_documents_bytes(l->documents)).text);
    }
    return BV_OK;
}

bv_status bv_make_bpe_tokenizer(bv_documents *documents, const char *pattern, size_t vocab_size,
                                bv_pool *pool, bv_tokenizer **out) {
    learning l = {.documents = documents, .line = bv_live_line_begin()};
    const char *text;
    size_t size;
    BV_TRY(bv_bpe_trainer_create(pattern, pool, &l.trainer));
    bv_cli_say("learning %zu tokens ...\n", vocab_size);
    bv_error *error;
    while (!(error = bv_documents_next(documents, &text, &size)) && text)
        if ((error = add_document(&l, text, size))) break;
    bv_live_line_end(&l.line);
    if (!error) error = bv_bpe_trainer_learn(l.trainer, vocab_size, out);
    if (!error && bv_tokenizer_vocab_size(*out) < vocab_size)
        bv_cli_say("the text has pairs for %zu only\n", bv_tokenizer_vocab_size(*out));
    bv_bpe_trainer_destroy(&l.trainer);
    bv_documents_rewind(documents);
    return error;
}

typedef struct loading {
    const char *path;
    bv_tokenizer **out;
    bv_error *error;
} loading;

static void load(void *context) {
    loading *l = context;
    l->error = bv_tokenizer_load(l->path, l->out);
}

bv_status bv_make_named_tokenizer(bv_documents *documents, const char *name, bv_tokenizer **out) {
    loading l = {name, out, BV_OK};
    if (!strcmp(name, "byte")) return bv_tokenizer_byte(out);
    if (!strcmp(name, "char")) return bv_make_char_tokenizer(documents, out);
    bv_documents_begin(documents, load, &l);
    return l.error;
}

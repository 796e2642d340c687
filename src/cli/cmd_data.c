#include "base/clock.h"
#include "base/memory.h"
#include "base/partial_folder.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/live_line.h"
#include "cli/make_tokenizer.h"
#include "data/prepare.h"
#include "report/units.h"

#include <string.h>

static const bv_flag flag_table[] = {
    BV_REQUIRED_FLAG("out", "DIR", "folder of the data, made by this command"),
    BV_STRING_FLAG("tokenizer", "FILE", NULL, "tokenizer.json, or char or byte"),
    BV_INT_FLAG("vocab", "N", 257, 1e7, NULL,
                "instead of --tokenizer: train a byte-level BPE tokenizer of N tokens on the text"),
    BV_DOUBLE_FLAG("val-fraction", "F", 0, 0.9, "0.1",
                   "part of the text that is kept for validation, in whole documents; of a single "
                   "document its end"),
    BV_STRING_FLAG("separator", "TEXT", NULL,
                   "what stands between the documents of a file (\\n, \\r and \\t are understood); "
                   "without it a file is one document"),
};

static const bv_argument arguments[] = {
    {.name = "TEXT", .help = "files, or folders of files, of UTF-8 text", .repeated = true}};

static bv_status run_prepare(const bv_flags *flags);
static const bv_command prepare_command = {
    .name = "data prepare",
    .brief = "text to memory-mapped tokens",
    .summary = "Turns text into tokens in memory-mapped shards, split into training and "
               "validation, with a manifest of counts and hashes.",
    .example = "beaver data prepare book.txt --out data --vocab 2048\n"
               "beaver data prepare shakespeare.txt --out chars --tokenizer char",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(flag_table),
    .threads = BV_THREADS_COMPUTE,
    .run = run_prepare,
};

/* Understands \n, \r, \t and \\; the result is not longer. */
static void unescape(const char *from, char *to) {
    for (; *from; from++) {
        const char next = *from == '\\' ? from[1] : 0;
        if (next == 'n')
            *to++ = '\n', from++;
        else if (next == 't')
            *to++ = '\t', from++;
        else if (next == 'r')
            *to++ = '\r', from++;
        else if (next == '\\')
            *to++ = '\\', from++;
        else
            *to++ = *from;
    }
    *to = 0;
}

static bv_status open_documents(const bv_flags *flags, bv_pool *pool, bv_documents **out) {
    size_t count;
    const char *const *paths = bv_flags_arguments(flags, &count);
    const char *separator = bv_flags_string(flags, "separator");
    char *plain = separator ? bv_strdup(separator) : NULL;
    bv_error *error = plain || !separator ? BV_OK : bv_fail_memory("a separator");
    if (!error && plain) unescape(separator, plain);
    if (!error && plain && !*plain) error = bv_fail(BV_CODE_USAGE, "--separator TEXT is empty");
    if (!error) error = bv_documents_open(paths, count, plain, pool, out);
    bv_free(plain);
    return error;
}

static bv_status make_tokenizer(const bv_flags *flags, bv_documents *documents, bv_pool *pool,
                                bv_tokenizer **out) {
    const char *name = bv_flags_string(flags, "tokenizer");
    const size_t vocab = (size_t)bv_flags_int(flags, "vocab");
    if (name && vocab) return bv_fail(BV_CODE_USAGE, "--tokenizer and --vocab exclude each other");
    if (!name && !vocab)
        return bv_try(bv_fail(BV_CODE_USAGE, "one of --tokenizer and --vocab is needed"),
                      "--vocab 2048, or --tokenizer char");
    if (name) return bv_make_named_tokenizer(documents, name, out);
    return bv_make_bpe_tokenizer(documents, "gpt2", vocab, pool, out);
}

static void tell(void *context, uint64_t bytes, uint64_t total) {
    bv_live_line *line = context;
    if (!bv_live_line_due(line)) return;
    bv_live_line_say(line, "prepared %s of %s", bv_human_bytes((double)bytes).text,
                     bv_human_bytes((double)total).text);
}

/* Few documents, or very unequal ones, cannot be shared out as asked. */
static void tell_share(const bv_prepare_result *r, double wanted) {
    const double share = (double)r->bytes[1] / (double)(r->bytes[0] + r->bytes[1]);
    if (share >= wanted / 2 && share <= 2 * wanted) return;
    bv_cli_say(
        "validation has %.3g %% of the text, not %.3g %%: documents stay whole, and characters "
        "of a single one\n  try: more text; --separator makes more documents of a file\n",
        100 * share, 100 * wanted);
}

/* A separator of another text, or of lines that end otherwise, is easily given. */
static void tell_separator(const bv_documents *documents, const char *separator) {
    if (!separator || bv_documents_cuts(documents)) return;
    bv_cli_say("the separator \"%s\" stands nowhere in the text: each file is one document\n",
               separator);
    if (strstr(separator, "\\n"))
        bv_cli_say("  try: \\r\\n for each \\n, where lines end as on Windows\n");
}

static bv_status prepare(const bv_flags *flags, bv_documents *documents,
                         const bv_tokenizer *tokenizer, bv_pool *pool) {
    const double begin = bv_clock_seconds();
    bv_live_line line = bv_live_line_begin();
    const bv_prepare_options options = {.out = bv_flags_string(flags, "out"),
                                        .val_fraction = bv_flags_double(flags, "val-fraction"),
                                        .pool = pool,
                                        .progress = tell,
                                        .context = &line,
                                        .signal = bv_interrupt_catch()};
    bv_prepare_result r;
    bv_error *error = bv_data_prepare(documents, tokenizer, &options, &r);
    bv_live_line_end(&line);
    if (error) return error;
    const double seconds = bv_clock_seconds() - begin;
    bv_cli_say("%s: %s of text are %s tokens (%zu in the vocabulary) to train on, %s to validate\n",
               options.out, bv_human_bytes((double)(r.bytes[0] + r.bytes[1])).text,
               bv_human_count((double)r.tokens[0]).text, bv_tokenizer_vocab_size(tokenizer),
               bv_human_count((double)r.tokens[1]).text);
    tell_separator(documents, bv_flags_string(flags, "separator"));
    tell_share(&r, options.val_fraction);
    if (!bv_flags_bool(flags, "json")) return BV_OK;
    return bv_cli_json(json_pack(
        "{so sI sf s{sI sI sI} s{sI sI sI}}", "out", bv_cli_path(options.out), "vocab_size",
        (json_int_t)bv_tokenizer_vocab_size(tokenizer), "seconds", seconds, "train", "documents",
        (json_int_t)r.documents[0], "tokens", (json_int_t)r.tokens[0], "bytes",
        (json_int_t)r.bytes[0], "val", "documents", (json_int_t)r.documents[1], "tokens",
        (json_int_t)r.tokens[1], "bytes", (json_int_t)r.bytes[1]));
}

static bv_status run_prepare(const bv_flags *flags) {
    bv_documents *documents = NULL;
    bv_tokenizer *tokenizer = NULL;
    bv_pool *pool = NULL;
    /* Before a tokenizer is learned. */
    bv_error *error = bv_partial_folder_check(bv_flags_string(flags, "out"));
    if (!error) error = bv_pool_create((int)bv_flags_int(flags, "threads"), &pool);
    if (!error) error = open_documents(flags, pool, &documents);
    if (!error) error = make_tokenizer(flags, documents, pool, &tokenizer);
    if (!error) error = prepare(flags, documents, tokenizer, pool);
    bv_pool_destroy(&pool);
    bv_tokenizer_destroy(&tokenizer);
    bv_documents_close(&documents);
    return error;
}

static const bv_command *const subcommands[] = {&prepare_command};

const bv_command bv_cmd_data = {
    .name = "data",
    .brief = "turn text into data to train on",
    .example = "beaver data prepare book.txt --out data --vocab 2048",
    BV_SUBCOMMANDS(subcommands),
};

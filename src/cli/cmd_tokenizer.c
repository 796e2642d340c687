#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/input_parts.h"
#include "cli/make_tokenizer.h"
#include "text/hugging_face.h"
#include "text/pieces.h"
#include "text/tiktoken.h"

#include <string.h>

/* ---- shared ---- */

/* JSON is printed whole: an input without an end would fill the memory. */
static bv_status check_json(const bv_buffer *line) {
    if (line->size <= BV_PART_HELD_MAX) return bv_buffer_error(line);
    return bv_try(bv_fail(BV_CODE_INPUT, "that is too long for a line of JSON"), "without --json");
}

static bv_status load(const char *name, bv_tokenizer **out) {
    if (!strcmp(name, "byte")) return bv_tokenizer_byte(out);
    return bv_tokenizer_load(name, out);
}

#define TOKENIZER_ARGUMENT                                                                         \
    { .name = "TOKENIZER", .help = "tokenizer.json, or byte" }

/* ---- train ---- */

static const bv_flag train_flags[] = {
    BV_REQUIRED_FLAG("out", "FILE", "where to write tokenizer.json"),
    BV_INT_FLAG("vocab", "N", 257, 1e7, "4096",
                "tokens, the 256 bytes and the end of text among them"),
    BV_STRING_FLAG("kind", "KIND", "bpe", "bpe, or char: one token a character"),
    BV_STRING_FLAG("pattern", "NAME", "gpt2",
                   "how text is cut into pieces: gpt2, cl100k or llama3"),
};
static const bv_argument train_arguments[] = {
    {.name = "TEXT", .help = "files, or folders of files, of UTF-8 text", .repeated = true}};
static bv_status run_train(const bv_flags *flags);
static const bv_command train_command = {
    .name = "tokenizer train",
    .brief = "learn a tokenizer from text",
    .summary = "Learns a tokenizer from text: byte-level byte-pair encoding, or one token a "
               "character. The same text gives the same tokenizer.",
    .example = "beaver tokenizer train book.txt --vocab 4096 --out tokenizer.json",
    BV_ARGUMENTS(train_arguments),
    BV_FLAGS(train_flags),
    .threads = BV_THREADS_COMPUTE,
    .run = run_train,
};

static bv_status tell_info(const bv_tokenizer *t, const char *path, bool as_json) {
    const uint32_t end = bv_tokenizer_end_of_text(t);
    bv_cli_say("%s: %s, %zu tokens", path, bv_tokenizer_kind_name(t), bv_tokenizer_vocab_size(t));
    if (end != BV_NO_TOKEN) bv_cli_say(", the end of text is %u", end);
    bv_cli_say("\n");
    if (!as_json) return BV_OK;
    return bv_cli_json(json_pack("{so ss sI so}", "path", bv_cli_path(path), "kind",
                                 bv_tokenizer_kind_name(t), "vocab_size",
                                 (json_int_t)bv_tokenizer_vocab_size(t), "end_of_text",
                                 end == BV_NO_TOKEN ? json_null() : json_integer((json_int_t)end)));
}

static bv_status learn(const bv_flags *flags, bv_documents *documents, bv_tokenizer **out) {
    const char *kind = bv_flags_string(flags, "kind");
    if (!strcmp(kind, "char")) {
        for (int i = 0; i < 2; i++)
            if (bv_flags_given(flags, i ? "pattern" : "vocab"))
                return bv_try(
                    bv_fail(BV_CODE_USAGE, "--kind char takes no --%s", i ? "pattern" : "vocab"),
                    "--kind bpe, or without it: each character of the text is a token");
        return bv_make_char_tokenizer(documents, out);
    }
    if (strcmp(kind, "bpe"))
        return bv_try(bv_fail(BV_CODE_USAGE, "--kind cannot be \"%s\"", kind), "bpe or char");
    bv_pool *pool;
    BV_TRY(bv_pool_create((int)bv_flags_int(flags, "threads"), &pool));
    bv_error *error = bv_make_bpe_tokenizer(documents, bv_flags_string(flags, "pattern"),
                                            (size_t)bv_flags_int(flags, "vocab"), pool, out);
    bv_pool_destroy(&pool);
    return error;
}

static bv_status run_train(const bv_flags *flags) {
    bv_documents *documents = NULL;
    bv_tokenizer *tokenizer = NULL;
    size_t count;
    const char *const *paths = bv_flags_arguments(flags, &count);
    const char *out = bv_flags_string(flags, "out");
    bv_error *error = bv_file_check_writable(out);
    if (!error) error = bv_documents_open(paths, count, NULL, NULL, &documents);
    if (!error) error = bv_documents_check_apart(documents, out);
    if (!error) error = learn(flags, documents, &tokenizer);
    if (!error) error = bv_tokenizer_save(tokenizer, out);
    if (!error) error = tell_info(tokenizer, out, bv_flags_bool(flags, "json"));
    bv_tokenizer_destroy(&tokenizer);
    bv_documents_close(&documents);
    return error;
}

/* ---- import ---- */

static const bv_flag import_flags[] = {
    BV_REQUIRED_FLAG("out", "FILE", "where to write tokenizer.json"),
    BV_STRING_FLAG("pattern", "NAME", NULL,
                   "how text is cut into pieces, for ranks: gpt2, cl100k or llama3; known for "
                   "r50k, p50k and cl100k"),
    BV_LIST_FLAG("special", "NAME=N",
                 "a token without bytes and its number, e.g. \"<|endoftext|>=50256\"; known for "
                 "r50k, p50k and cl100k, else the end of text comes behind the last; to those of a "
                 "tokenizer.json it is added, or renames one"),
};
static const bv_argument import_arguments[] = {
    {.name = "FILE",
     .help = "ranks of tiktoken: a token in base64, a blank and its rank a line; or a "
             "tokenizer.json of Hugging Face's: byte-level BPE, cut as GPT-2's or Llama 3's"}};
static bv_status run_import(const bv_flags *flags);
static const bv_command import_command = {
    .name = "tokenizer import",
    .brief = "take one of tiktoken or Hugging Face",
    .summary =
        "Makes a tokenizer from the ranks that tiktoken uses, or from a tokenizer.json of Hugging "
        "Face's; it gives the same tokens.",
    .example = "beaver tokenizer import r50k_base.tiktoken --out tokenizer.json\n"
               "beaver tokenizer import gpt2/tokenizer.json --out tokenizer.json",
    BV_ARGUMENTS(import_arguments),
    BV_FLAGS(import_flags),
    .run = run_import,
};

/* NAME=N, cut in place. */
static bv_status parse_special(char *text, uint32_t *token) {
    char *equals = strrchr(text, '=');
    int64_t number;
    if (!equals || equals == text)
        return bv_fail(BV_CODE_USAGE, "--special: \"%s\" is not NAME=N", text);
    *equals = 0;
    BV_TRY(bv_parse_int("--special", equals + 1, 0, BV_TOKEN_MAX, &number));
    *token = (uint32_t)number;
    return BV_OK;
}

/* numbers: of --special; NULL without any. */
static bv_status load_foreign(const char *path, const char *pattern, const bv_bpe_numbers *numbers,
                              bv_tokenizer **out) {
    bv_map map;
    size_t at = 0;
    BV_TRY(bv_map_open(path, &map));
    while (at < map.size && map.data[at] && strchr(" \t\r\n\xef\xbb\xbf", map.data[at])) at++;
    const bool json = at < map.size && map.data[at] == '{'; /* which base64 does not have */
    bv_map_close(&map);
    if (!json) return bv_tokenizer_load_tiktoken(path, pattern, numbers, out);
    if (!pattern) return bv_tokenizer_load_hugging_face(path, numbers, out);
    return bv_fail(BV_CODE_USAGE, "--pattern is for ranks: a tokenizer.json has its own");
}

static bv_status import(const bv_flags *flags, bv_tokenizer **out) {
    const char *path = bv_flags_argument(flags, 0), *pattern = bv_flags_string(flags, "pattern");
    size_t count, copied = 0;
    const char *const *list = bv_flags_list(flags, "special", &count);
    if (count == 0) return load_foreign(path, pattern, NULL, out);
    char **names = bv_calloc(count, sizeof *names);
    uint32_t *tokens = bv_calloc(count, sizeof *tokens);
    bv_error *error = names && tokens ? BV_OK : bv_fail_memory("a tokenizer");
    for (; !error && copied < count; copied++) {
        names[copied] = bv_strdup(list[copied]);
        error = names[copied] ? parse_special(names[copied], &tokens[copied])
                              : bv_fail_memory("a tokenizer");
    }
    const bv_bpe_numbers numbers = {NULL, (const char *const *)names, tokens, count};
    if (!error) error = load_foreign(path, pattern, &numbers, out);
    bv_names_free(names, copied);
    bv_free(tokens);
    return error;
}

static bv_status run_import(const bv_flags *flags) {
    bv_tokenizer *tokenizer = NULL;
    const char *out = bv_flags_string(flags, "out");
    bv_error *error = bv_file_check_apart(out, bv_flags_argument(flags, 0));
    if (!error) error = bv_file_check_writable(out);
    if (!error) error = import(flags, &tokenizer);
    if (!error) error = bv_tokenizer_save(tokenizer, out);
    if (!error) error = tell_info(tokenizer, out, bv_flags_bool(flags, "json"));
    bv_tokenizer_destroy(&tokenizer);
    return error;
}

/* ---- encode ---- */

static const bv_argument encode_arguments[] = {
    TOKENIZER_ARGUMENT,
    {.name = "FILE", .help = "text; standard input when absent or -", .optional = true}};
static bv_status run_encode(const bv_flags *flags);
static const bv_command encode_command = {
    .name = "tokenizer encode",
    .brief = "text to tokens",
    .summary = "Prints the tokens of a text, separated by blanks.",
    .example = "echo hello | beaver tokenizer encode tokenizer.json",
    BV_ARGUMENTS(encode_arguments),
    .run = run_encode,
};

#define CHARACTER_MAX 4 /* bytes */

typedef struct encoding {
    bv_encoder *encoder;
    bool bytes; /* each is a token: any place will do */
    bool json;
    size_t count;   /* tokens so far */
    bv_buffer line; /* that is not printed yet */
} encoding;

/* What may be encoded alone: up to a place where pieces part, of characters that are whole. */
static size_t part_to_encode(const encoding *e, const bv_part *part) {
    if (part->last || e->bytes) return part->size;
    const size_t cut = bv_pieces_cut(part->text, part->size, part->fresh);
    return part->size - cut < CHARACTER_MAX ? 0 : cut;
}

static bv_status encode_part(void *context, const bv_part *part, size_t *used) {
    encoding *e = context;
    const uint32_t *tokens;
    size_t count;
    *used = part_to_encode(e, part);
    BV_TRY(bv_encoder_encode(e->encoder, part->text, *used, &tokens, &count));
    for (size_t i = 0; i < count; i++)
        bv_buffer_printf(&e->line, "%s%u", e->count++ == 0 ? "" : e->json ? ", " : " ", tokens[i]);
    if (part->last) bv_buffer_text(&e->line, e->json ? "]}\n" : "\n");
    BV_TRY(check_json(&e->line));
    if (e->json && !part->last) return BV_OK;
    bv_error *error = bv_cli_print(e->line.data ? e->line.data : "", e->line.size);
    bv_buffer_clear(&e->line);
    return error;
}

static bv_status run_encode(const bv_flags *flags) {
    bv_tokenizer *tokenizer = NULL;
    encoding e = {0};
    e.json = bv_flags_bool(flags, "json");
    if (e.json) bv_buffer_text(&e.line, "{\"tokens\": [");
    bv_error *error = load(bv_flags_argument(flags, 0), &tokenizer);
    if (!error) e.bytes = bv_tokenizer_kind_of(tokenizer) == BV_TOKENIZER_BYTE;
    if (!error) error = bv_encoder_create(tokenizer, &e.encoder);
    if (!error) error = bv_input_parts(bv_flags_argument(flags, 1), encode_part, &e);
    bv_buffer_free(&e.line);
    bv_encoder_destroy(&e.encoder);
    bv_tokenizer_destroy(&tokenizer);
    return error;
}

/* ---- decode ---- */

static const bv_argument decode_arguments[] = {
    TOKENIZER_ARGUMENT,
    {.name = "FILE",
     .help = "token numbers, separated by blanks; standard input when absent or -",
     .optional = true}};
static bv_status run_decode(const bv_flags *flags);
static const bv_command decode_command = {
    .name = "tokenizer decode",
    .brief = "tokens to text",
    .summary = "Prints the text of tokens.",
    .example = "echo 104 105 | beaver tokenizer decode byte",
    BV_ARGUMENTS(decode_arguments),
    .run = run_decode,
};

typedef struct decoding {
    const bv_tokenizer *tokenizer;
    bool json;
    size_t done;    /* bytes of the input */
    bv_buffer text; /* that is not printed yet */
} decoding;

static bool is_blank(char c) {
    return c && strchr(" \t\r\n,[]", c);
}

static bool read_token(const char *digits, size_t length, uint32_t *token) {
    uint64_t number = 0;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9') return false;
        number = 10 * number + (uint64_t)(digits[i] - '0');
        if (number > UINT32_MAX) return false;
    }
    *token = (uint32_t)number;
    return true;
}

static bv_status decode_number(decoding *d, const char *digits, size_t length) {
    uint32_t token;
    if (read_token(digits, length, &token))
        return bv_tokenizer_decode(d->tokenizer, &token, 1, &d->text);
    return bv_fail(BV_CODE_INPUT, "\"%.*s\" is no token number", (int)(length < 20 ? length : 20),
                   digits);
}

static bv_status decode_numbers(decoding *d, const char *text, size_t size) {
    const char *nul = memchr(text, 0, size);
    if (nul)
        return bv_fail(BV_CODE_INPUT, "byte %zu is NUL: these are no token numbers",
                       d->done + (size_t)(nul - text));
    for (size_t at = 0, end; at < size; at = end) {
        end = at + 1;
        if (is_blank(text[at])) continue;
        while (end < size && !is_blank(text[end])) end++;
        BV_TRY(decode_number(d, text + at, end - at));
    }
    d->done += size;
    return bv_buffer_error(&d->text);
}

static bv_status print_text(const bv_buffer *text, bool as_json) {
    if (!as_json) return bv_cli_print(text->data ? text->data : "", text->size);
    json_t *value = json_stringn(text->data ? text->data : "", text->size);
    if (!value)
        return bv_try(bv_fail(BV_CODE_INPUT, "the bytes are not valid UTF-8: no JSON string"),
                      "the same without --json");
    return bv_cli_json(json_pack("{so}", "text", value));
}

/* Up to the last blank, where a number has ended. */
static bv_status decode_part(void *context, const bv_part *part, size_t *used) {
    decoding *d = context;
    size_t end = part->size;
    if (!part->last)
        while (end > part->fresh && !is_blank(part->text[end - 1])) end--;
    if (!part->last && end == part->fresh) return BV_OK;
    BV_TRY(decode_numbers(d, part->text, end));
    *used = end;
    BV_TRY(check_json(&d->text));
    if (d->json && !part->last) return BV_OK;
    bv_error *error = print_text(&d->text, d->json);
    bv_buffer_clear(&d->text);
    return error;
}

static bv_status run_decode(const bv_flags *flags) {
    bv_tokenizer *tokenizer = NULL;
    decoding d = {0};
    d.json = bv_flags_bool(flags, "json");
    bv_error *error = load(bv_flags_argument(flags, 0), &tokenizer);
    d.tokenizer = tokenizer;
    if (!error) error = bv_input_parts(bv_flags_argument(flags, 1), decode_part, &d);
    bv_buffer_free(&d.text);
    bv_tokenizer_destroy(&tokenizer);
    return error;
}

/* ---- info ---- */

static const bv_argument info_arguments[] = {TOKENIZER_ARGUMENT};
static bv_status run_info(const bv_flags *flags);
static const bv_command info_command = {
    .name = "tokenizer info",
    .brief = "what a tokenizer is",
    .summary = "Says what a tokenizer is.",
    .example = "beaver tokenizer info run/tokenizer.json --json",
    BV_ARGUMENTS(info_arguments),
    .run = run_info,
};

static bv_status run_info(const bv_flags *flags) {
    bv_tokenizer *tokenizer = NULL;
    const char *path = bv_flags_argument(flags, 0);
    bv_error *error = load(path, &tokenizer);
    if (!error) error = tell_info(tokenizer, path, bv_flags_bool(flags, "json"));
    bv_tokenizer_destroy(&tokenizer);
    return error;
}

static const bv_command *const subcommands[] = {&train_command, &import_command, &encode_command,
                                                &decode_command, &info_command};

const bv_command bv_cmd_tokenizer = {
    .name = "tokenizer",
    .brief = "train, use and inspect tokenizers",
    .example = "beaver tokenizer train book.txt --vocab 4096 --out tokenizer.json\n"
               "echo hello | beaver tokenizer encode tokenizer.json",
    BV_SUBCOMMANDS(subcommands),
};

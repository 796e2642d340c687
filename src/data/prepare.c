#include "data/prepare.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHARD_BYTES ((uint64_t)1 << 28)
#define CHUNK_BYTES ((size_t)1 << 20)

static const char *const split_names[2] = {"train", "val"};

/* The shards of one split. */
typedef struct shards {
    bv_writer *writer;
    bv_sha256 *hash;
    uint64_t bytes; /* in the open shard */
    size_t count;
    json_t *files;
    char name[32];
} shards;

typedef struct preparation {
    const bv_prepare_options *options;
    const bv_tokenizer *tokenizer;
    bv_encoder *encoder;
    char *folder; /* temporary */
    size_t token_bytes;
    shards splits[2];
    bv_prepare_result *result;
    uint64_t total;
} preparation;

static bv_status close_shard(shards *s) {
    if (!s->writer) return BV_OK;
    char text[BV_SHA256_TEXT_SIZE];
    bv_sha256_end(&s->hash, text);
    BV_TRY(bv_writer_commit(&s->writer));
    json_array_append_new(s->files, json_pack("{s:s, s:I, s:s}", "name", s->name, "bytes",
                                              (json_int_t)s->bytes, "sha256", text));
    return BV_OK;
}

static bv_status open_shard(preparation *p, int split) {
    shards *s = &p->splits[split];
    BV_TRY(close_shard(s));
    snprintf(s->name, sizeof s->name, "%s-%05zu.bin", split_names[split], s->count++);
    s->bytes = 0;
    char *path = bv_path_join(p->folder, s->name);
    if (!path) return bv_fail_memory("a path");
    bv_error *error = bv_sha256_begin(&s->hash);
    if (!error) error = bv_writer_open(path, &s->writer);
    bv_free(path);
    return error;
}

static bv_status write_tokens(preparation *p, int split, const uint32_t *tokens, size_t count) {
    shards *s = &p->splits[split];
    unsigned char bytes[4096];
    p->result->tokens[split] += count;
    while (count) {
        if (!s->writer || s->bytes >= SHARD_BYTES) BV_TRY(open_shard(p, split));
        size_t n = sizeof bytes / p->token_bytes;
        if (n > count) n = count;
        if (n > (SHARD_BYTES - s->bytes) / p->token_bytes)
            n = (size_t)((SHARD_BYTES - s->bytes) / p->token_bytes);
        for (size_t i = 0; i < n; i++)
            for (size_t b = 0; b < p->token_bytes; b++)
                bytes[i * p->token_bytes + b] = (unsigned char)(tokens[i] >> 8 * b);
        bv_sha256_add(s->hash, bytes, n * p->token_bytes);
        BV_TRY(bv_writer_write(s->writer, bytes, n * p->token_bytes));
        s->bytes += n * p->token_bytes;
        tokens += n;
        count -= n;
    }
    return BV_OK;
}

/* Where a long text may be cut so that its pieces stay the same: after a line end between two
 * characters that are no white space. */
static size_t cut(const char *text, size_t size) {
    if (size <= CHUNK_BYTES) return size;
    for (size_t i = CHUNK_BYTES; i + 1 < size; i++)
        if (text[i - 1] == '\n' && (unsigned char)text[i - 2] > ' ' &&
            (unsigned char)text[i] > ' ' && (unsigned char)text[i] < 0x80 &&
            (unsigned char)text[i - 2] < 0x80)
            return i;
    return size;
}

static bv_status add_text(preparation *p, int split, const char *text, size_t size) {
    p->result->bytes[split] += size;
    while (size) {
        const size_t n = cut(text, size);
        const uint32_t *tokens;
        size_t count;
        BV_TRY(bv_encoder_encode(p->encoder, text, n, &tokens, &count));
        BV_TRY(write_tokens(p, split, tokens, count));
        text += n;
        size -= n;
        if (p->options->progress)
            p->options->progress(p->options->context, p->result->bytes[0] + p->result->bytes[1],
                                 p->total);
    }
    return BV_OK;
}

static bv_status add_document(preparation *p, int split, const char *text, size_t size) {
    BV_TRY(add_text(p, split, text, size));
    p->result->documents[split]++;
    const uint32_t end = bv_tokenizer_end_of_text(p->tokenizer);
    return end == BV_NO_TOKEN ? BV_OK : write_tokens(p, split, &end, 1);
}

/* ---- the split ---- */

static bool drawn_for_validation(uint64_t document, double fraction) {
    const bv_random4 r =
        bv_random(0, BV_RANDOM_SHUFFLE, 0, 0, (uint32_t)(document >> 32), (uint32_t)document);
    return bv_uniform_f64(r.v[0], r.v[1]) < fraction;
}

/* Byte where the last `fraction` of the characters begins (of the bytes, if it is no UTF-8). */
static size_t tail_of(const char *text, size_t size, double fraction) {
    if (bv_utf8_valid_prefix(text, size) != size) return (size_t)((double)size * (1 - fraction));
    size_t characters = 0;
    for (size_t i = 0; i < size; i++) characters += ((unsigned char)text[i] & 0xc0) != 0x80;
    size_t left = (size_t)((double)characters * (1 - fraction)), at = 0;
    for (; at < size; at++) {
        if (((unsigned char)text[at] & 0xc0) == 0x80) continue;
        if (left-- == 0) break;
    }
    return at;
}

static bv_status add_single(preparation *p, const char *text, size_t size) {
    const size_t at =
        p->options->val_fraction > 0 ? tail_of(text, size, p->options->val_fraction) : size;
    if (at) BV_TRY(add_document(p, 0, text, at));
    return at < size ? add_document(p, 1, text + at, size - at) : BV_OK;
}

static bv_status add_all(preparation *p, bv_documents *documents) {
    const double fraction = p->options->val_fraction;
    const char *text;
    size_t size;
    uint64_t count = 0, validation = 0;
    for (;; count++) {
        BV_TRY(bv_documents_next(documents, &text, &size));
        if (!text) break;
        validation += drawn_for_validation(count, fraction);
    }
    bv_documents_rewind(documents);
    for (uint64_t i = 0; i < count; i++) {
        BV_TRY(bv_documents_next(documents, &text, &size));
        if (count == 1) return add_single(p, text, size);
        bool chosen = drawn_for_validation(i, fraction);
        if (fraction > 0 && validation == 0) chosen = i == count - 1; /* at least one each */
        if (validation == count) chosen = i > 0;
        BV_TRY(add_document(p, chosen, text, size));
    }
    return BV_OK;
}

/* ---- the folder ---- */

static bv_status write_manifest(preparation *p) {
    const bv_prepare_result *r = p->result;
    json_t *splits = json_object();
    for (int i = 0; i < 2; i++)
        json_object_set_new(splits, split_names[i],
                            json_pack("{s:I, s:I, s:I, s:O}", "tokens", (json_int_t)r->tokens[i],
                                      "documents", (json_int_t)r->documents[i], "bytes",
                                      (json_int_t)r->bytes[i], "shards", p->splits[i].files));
    json_t *value = json_pack("{s:s, s:I, s:I, s:f, s:o}", "format", "beaver-data/1", "vocab_size",
                              (json_int_t)bv_tokenizer_vocab_size(p->tokenizer), "token_bytes",
                              (json_int_t)p->token_bytes, "val_fraction", p->options->val_fraction,
                              "splits", splits);
    char *path = bv_path_join(p->folder, "manifest.json");
    bv_error *error = value && path ? bv_json_save(path, value) : bv_fail_memory("a manifest");
    json_decref(value);
    bv_free(path);
    return error;
}

static bv_status fill_folder(preparation *p, bv_documents *documents) {
    BV_TRY(bv_encoder_create(p->tokenizer, &p->encoder));
    BV_TRY(add_all(p, documents));
    for (int i = 0; i < 2; i++) BV_TRY(close_shard(&p->splits[i]));
    char *path = bv_path_join(p->folder, "tokenizer.json");
    bv_error *error = path ? bv_tokenizer_save(p->tokenizer, path) : bv_fail_memory("a path");
    bv_free(path);
    return error ? error : write_manifest(p);
}

bv_status bv_data_prepare(bv_documents *documents, const bv_tokenizer *tokenizer,
                          const bv_prepare_options *options, bv_prepare_result *result) {
    if (bv_dir_exists(options->out) || bv_file_exists(options->out))
        return bv_try(bv_fail(BV_CODE_USAGE, "%s exists", options->out), "another --out");
    *result = (bv_prepare_result){0};
    preparation p = {.options = options,
                     .tokenizer = tokenizer,
                     .token_bytes = bv_tokenizer_vocab_size(tokenizer) <= 65536 ? 2 : 4,
                     .result = result,
                     .total = bv_documents_bytes(documents)};
    bv_buffer folder = {0};
    bv_buffer_printf(&folder, "%s.tmp.%d", options->out, (int)getpid());
    p.folder = folder.data;
    for (int i = 0; i < 2; i++) p.splits[i].files = json_array();
    bv_error *error = bv_buffer_error(&folder);
    if (!error) error = bv_dir_make(p.folder);
    if (!error) error = fill_folder(&p, documents);
    if (!error) error = bv_path_rename(p.folder, options->out);
    for (int i = 0; i < 2; i++) {
        char ignored[BV_SHA256_TEXT_SIZE];
        bv_writer_abort(&p.splits[i].writer);
        if (p.splits[i].hash) bv_sha256_end(&p.splits[i].hash, ignored);
        json_decref(p.splits[i].files);
    }
    bv_encoder_destroy(&p.encoder);
    if (error && p.folder) {
        bv_error *also = bv_dir_remove(p.folder);
        bv_error_free(&also);
    }
    bv_buffer_free(&folder);
    return bv_while(error, "preparing %s", options->out);
}

#include "data/prepare.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/partial_folder.h"
#include "base/random.h"
#include "base/text.h"
#include "data/tail.h"
#include "text/parallel_encode.h"
#include "text/pieces.h"
#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHARD_BYTES ((uint64_t)1 << 28)
#define BATCH_BYTES ((size_t)2 << 20)
#define LAST_BATCH_BYTES ((size_t)128 << 10) /* its tokens are written with nothing beside */
#define LAST_FILES 4 /* the last shard of each split, tokenizer, manifest: synced together */

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

/* A document, or some of it. */
typedef struct segment {
    int split;
    const char *in_place; /* in its file; NULL: in the text of the batch, from `begin` on */
    size_t begin, size;
    bool ends_document;
} segment;

typedef struct batch {
    segment *segments;
    bv_text *texts;
    size_t count, segment_room, text_room;
} batch;

/* What is left to read. */
typedef struct reader {
    bv_documents *documents;
    uint64_t count, validation, next; /* documents: all, drawn for validation, the one to open */
    uint64_t alone[2];                /* by split: the document to take where none was drawn */
    uint64_t taken;                   /* bytes of text */
    const char *text, *tail; /* of the open document; what validation gets of a single one */
    size_t left, tail_size, tail_begin;
    int split;
    bool done;
    bv_error *error;
} reader;

typedef struct preparation {
    const bv_prepare_options *options;
    const bv_tokenizer *tokenizer;
    bv_parallel_encoder *encoder;
    const char *folder; /* temporary */
    char tokenizer_hash[BV_SHA256_TEXT_SIZE];
    size_t token_bytes;
    shards splits[2];
    bv_prepare_result *result;
    uint64_t total;
    reader reader;
    /* Of batch i: batches[i % 3], texts[i % 2] until it is encoded, encoded[i % 2] from then on.
     * New pages take time, so there are no more of them than needed. */
    size_t encoding; /* the batch that is encoded; the one before is written, the next one read */
    batch batches[3];
    bv_buffer texts[2];
    bv_encoded encoded[2];
    bv_error *write_error;
    bv_writer *written[LAST_FILES]; /* but not synced */
    size_t written_count;
    bv_error *sync_error;
} preparation;

/* ---- files ---- */

static bv_status open_file(const preparation *p, const char *name, bv_writer **out) {
    char path[BV_PATH_SIZE];
    BV_TRY(bv_path_in(path, p->folder, name));
    return bv_writer_open_in_place(path, out);
}

/* The system begins to write it; sync_files waits. */
static bv_status end_file(preparation *p, bv_writer **writer) {
    BV_TRY(bv_writer_flush(*writer));
    BV_ASSERT(p->written_count < LAST_FILES);
    p->written[p->written_count++] = *writer;
    *writer = NULL;
    return BV_OK;
}

/* Frees the text. */
static bv_status write_file(preparation *p, const char *name, bv_buffer *text) {
    bv_writer *writer = NULL;
    bv_error *error = bv_buffer_error(text);
    if (!error) error = open_file(p, name, &writer);
    if (!error) error = bv_writer_write(writer, text->data, text->size);
    if (!error) error = end_file(p, &writer);
    bv_writer_abort(&writer);
    bv_buffer_free(text);
    return error;
}

static bv_status sync_files(preparation *p) {
    for (size_t i = 0; i < p->written_count; i++) BV_TRY(bv_writer_commit(&p->written[i]));
    return bv_dir_sync(p->folder);
}

/* What is needed to make tokens. */
static void free_memory(preparation *p) {
    for (int i = 0; i < 3; i++) {
        bv_free(p->batches[i].segments);
        bv_free(p->batches[i].texts);
        p->batches[i] = (batch){0};
    }
    for (int i = 0; i < 2; i++) {
        bv_buffer_free(&p->texts[i]);
        bv_encoded_free(&p->encoded[i]);
    }
    bv_parallel_encoder_destroy(&p->encoder);
    bv_documents_leave(p->reader.documents);
}

/* While one thread waits for the disk, another gives the memory back. */
static void end_part(void *context, int part, int parts) {
    preparation *p = context;
    if (part == parts - 1) free_memory(p);
    if (part == 0) p->sync_error = sync_files(p);
}

/* ---- shards ---- */

static bv_status close_shard(preparation *p, shards *s, bool last) {
    if (!s->writer) return BV_OK;
    char text[BV_SHA256_TEXT_SIZE];
    bv_sha256_end(&s->hash, text);
    BV_TRY(last ? end_file(p, &s->writer) : bv_writer_commit(&s->writer));
    json_array_append_new(s->files, json_pack("{s:s, s:I, s:s}", "name", s->name, "bytes",
                                              (json_int_t)s->bytes, "sha256", text));
    return BV_OK;
}

static bv_status open_shard(preparation *p, int split) {
    shards *s = &p->splits[split];
    BV_TRY(close_shard(p, s, false));
    snprintf(s->name, sizeof s->name, "%s-%05zu.bin", split_names[split], s->count++);
    s->bytes = 0;
    BV_TRY(bv_sha256_begin(&s->hash));
    return open_file(p, s->name, &s->writer);
}

/* Makes them little-endian, whatever the machine. */
static void spell(const bv_token_run *run, size_t token_bytes) {
    uint16_t *two = run->tokens;
    uint32_t *four = run->tokens;
    if (htole16(1) == 1) return;
    for (size_t i = 0; i < run->count; i++)
        if (token_bytes == 2)
            two[i] = htole16(two[i]);
        else
            four[i] = htole32(four[i]);
}

/* They are spelled. */
static bv_status write_tokens(preparation *p, int split, const void *tokens, size_t count) {
    shards *s = &p->splits[split];
    const unsigned char *bytes = tokens;
    p->result->tokens[split] += count;
    for (size_t left = count * p->token_bytes, n; left; bytes += n, left -= n) {
        if (!s->writer || s->bytes >= SHARD_BYTES) BV_TRY(open_shard(p, split));
        n = left < SHARD_BYTES - s->bytes ? left : (size_t)(SHARD_BYTES - s->bytes);
        bv_sha256_add(s->hash, bytes, n);
        BV_TRY(bv_writer_write(s->writer, bytes, n));
        s->bytes += n;
    }
    return BV_OK;
}

static bv_status write_batch(preparation *p, size_t written) {
    const batch *b = &p->batches[written % 3];
    const uint32_t end = bv_tokenizer_end_of_text(p->tokenizer);
    const uint32_t spelled_end = htole32(end); /* its first two bytes, if tokens have two */
    const bv_encoded *e = &p->encoded[written % 2];
    for (size_t i = 0, run = 0; i < b->count; i++) {
        const segment *s = &b->segments[i];
        for (; run < e->run_count && e->runs[run].text == i; run++) {
            spell(&e->runs[run], p->token_bytes);
            BV_TRY(write_tokens(p, s->split, e->runs[run].tokens, e->runs[run].count));
        }
        p->result->bytes[s->split] += s->size;
        if (!s->ends_document) continue;
        p->result->documents[s->split]++;
        if (end != BV_NO_TOKEN) BV_TRY(write_tokens(p, s->split, &spelled_end, 1));
    }
    return BV_OK;
}

/* ---- the split ---- */

/* Documents stay whole, so one of more than twice the wanted share of the text is not drawn. */
static bool drawn_for_validation(const preparation *p, uint64_t document, size_t size) {
    const double fraction = p->options->val_fraction;
    const bv_random4 r =
        bv_random(0, BV_RANDOM_SHUFFLE, 0, 0, (uint32_t)(document >> 32), (uint32_t)document);
    return bv_uniform_f64(r.v[0], r.v[1]) < fraction &&
           (double)size <= 2 * fraction * (double)p->total;
}

/* Documents are few where all fall on one side. Then that one makes up the other whose size comes
 * nearest to it, the last of equals. */
static void choose_alone(preparation *p, double best[2], size_t size) {
    const double fraction = p->options->val_fraction;
    for (int split = 0; split < 2; split++) {
        const double wanted = (split ? fraction : 1 - fraction) * (double)p->total;
        const double off = fabs((double)size - wanted);
        if (p->reader.count > 0 && off > best[split]) continue;
        best[split] = off;
        p->reader.alone[split] = p->reader.count;
    }
}

static int split_of(const preparation *p, uint64_t document, size_t size) {
    const reader *r = &p->reader;
    if (p->options->val_fraction <= 0) return 0;
    if (r->validation == 0) return document == r->alone[1];
    if (r->validation == r->count) return document != r->alone[0];
    return drawn_for_validation(p, document, size);
}

/* ---- reading ---- */

static bv_status count_documents(preparation *p) {
    reader *r = &p->reader;
    const double fraction = p->options->val_fraction;
    const char *text;
    size_t size;
    double best[2] = {0};
    for (;; r->count++) {
        BV_TRY(bv_documents_next(r->documents, &text, &size));
        if (!text) break;
        r->validation += drawn_for_validation(p, r->count, size);
        choose_alone(p, best, size);
    }
    if (r->count == 0) return bv_fail(BV_CODE_INPUT, "there is no text but separators");
    bv_documents_rewind(r->documents);
    r->tail_begin = SIZE_MAX;
    if (r->count != 1 || fraction <= 0) return BV_OK;
    const bv_survey *survey;
    BV_TRY(bv_documents_next(r->documents, &text, &size));
    BV_TRY(bv_documents_survey(r->documents, text, size, &survey));
    r->tail_begin = bv_tail_find(survey, fraction) - survey->begin;
    bv_documents_rewind(r->documents);
    return BV_OK;
}

/* The next document, or the part of a single one that is for validation. */
static bv_status open_document(preparation *p) {
    reader *r = &p->reader;
    if (r->tail) {
        r->text = r->tail;
        r->left = r->tail_size;
        r->tail = NULL;
        r->split = 1;
        return BV_OK;
    }
    r->done = r->next == r->count;
    if (r->done) return BV_OK;
    BV_TRY(bv_documents_next(r->documents, &r->text, &r->left));
    const uint64_t i = r->next++;
    if (r->count == 1) {
        r->split = r->tail_begin == 0;
        if (r->tail_begin == 0 || r->tail_begin >= r->left) return BV_OK;
        r->tail = r->text + r->tail_begin;
        r->tail_size = r->left - r->tail_begin;
        r->left = r->tail_begin;
        return BV_OK;
    }
    r->split = split_of(p, i, r->left);
    return BV_OK;
}

static bv_status add_segment(batch *b, segment s) {
    if (!bv_list_grow((void **)&b->segments, b->count, &b->segment_room, sizeof s) ||
        !bv_list_grow((void **)&b->texts, b->count, &b->text_room, sizeof *b->texts))
        return bv_fail_memory("a batch of text");
    b->segments[b->count++] = s;
    return BV_OK;
}

/* Adds the next bytes of the open document. Where another batch of it follows, and where it is the
 * last one, its file stays open until this one is encoded: nothing is copied. */
static bv_status take_text(preparation *p, batch *b, bv_buffer *text, size_t size) {
    reader *r = &p->reader;
    segment s = {r->split, NULL, text->size, size, size == r->left};
    if (r->left - size >= BATCH_BYTES || r->next == r->count) s.in_place = r->text;
    BV_TRY(add_segment(b, s));
    if (!s.in_place) {
        bv_buffer_append(text, r->text, size);
        BV_TRY(bv_buffer_error(text));
        BV_TRY(bv_documents_check(r->documents));
        bv_documents_forget(r->documents, r->text, size);
    }
    r->text += size;
    r->left -= size;
    r->taken += size;
    return BV_OK;
}

/* Smaller towards the end. */
static size_t size_of_batch(const preparation *p) {
    const uint64_t half = (p->total - p->reader.taken) / 2;
    return half > BATCH_BYTES        ? BATCH_BYTES
           : half > LAST_BATCH_BYTES ? (size_t)half
                                     : LAST_BATCH_BYTES;
}

static bv_status read_batch(preparation *p, size_t i) {
    reader *r = &p->reader;
    const size_t wanted = size_of_batch(p);
    batch *b = &p->batches[i % 3];
    bv_buffer *text = &p->texts[i % 2];
    bv_buffer_clear(text);
    bv_buffer_reserve(text, BATCH_BYTES + BATCH_BYTES / 8);
    b->count = 0;
    for (size_t taken = 0, n; !r->done && taken < wanted; taken += n) {
        const size_t room = wanted - taken;
        n = r->left <= room ? r->left : bv_pieces_cut(r->text, r->left, room);
        BV_TRY(n ? take_text(p, b, text, n) : open_document(p));
    }
    for (size_t k = 0; k < b->count; k++) {
        const segment *s = &b->segments[k];
        b->texts[k] = (bv_text){s->in_place ? s->in_place : text->data + s->begin, s->size};
    }
    return BV_OK;
}

/* What was encoded in its file was there until now, and may go. */
static bv_status leave_batch(const preparation *p, const batch *b) {
    for (size_t k = 0; k < b->count; k++) {
        const segment *s = &b->segments[k];
        if (!s->in_place) continue;
        BV_TRY(bv_documents_check(p->reader.documents));
        bv_documents_forget(p->reader.documents, s->in_place, s->size);
    }
    return BV_OK;
}

/* ---- all of it ---- */

static bv_status write_tokenizer(preparation *p) {
    bv_buffer text = {0};
    bv_error *error = bv_tokenizer_text(p->tokenizer, &text);
    if (!error) error = bv_sha256_bytes(text.data, text.size, p->tokenizer_hash);
    if (!error) return write_file(p, "tokenizer.json", &text);
    bv_buffer_free(&text);
    return error;
}

/* Before there are tokens to write, the tokenizer is written. */
static void do_beside(void *context, size_t i) {
    preparation *p = context;
    const size_t encoding = p->encoding;
    if (i == 0) p->reader.error = read_batch(p, encoding + 1);
    if (i == 1) p->write_error = encoding ? write_batch(p, encoding - 1) : write_tokenizer(p);
}

/* Three batches in a circle: one is read, one encoded, one written. */
static bv_status add_all(preparation *p) {
    BV_TRY(count_documents(p));
    BV_TRY(read_batch(p, 0));
    const volatile sig_atomic_t *signal = p->options->signal;
    for (; p->batches[p->encoding % 3].count; p->encoding++) {
        if (signal && *signal) return bv_fail_interrupted(*signal, "interrupted: nothing is kept");
        const batch *b = &p->batches[p->encoding % 3];
        const bv_side_work side = {do_beside, p, 2};
        bv_error *error =
            bv_parallel_encode(p->encoder, b->texts, b->count, &side, &p->encoded[p->encoding % 2]);
        error = bv_first_error(leave_batch(p, b), error); /* lost text is no text */
        error = bv_first_error(bv_first_error(p->write_error, error), p->reader.error);
        p->write_error = p->reader.error = NULL;
        if (error) return error;
        if (p->options->progress)
            p->options->progress(p->options->context, p->result->bytes[0] + p->result->bytes[1],
                                 p->total);
    }
    return p->encoding ? write_batch(p, p->encoding - 1) : BV_OK;
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
    json_t *value = json_pack("{s:s, s:s, s:I, s:I, s:f, s:o}", "format", "beaver-data/1",
                              "tokenizer_sha256", p->tokenizer_hash, "vocab_size",
                              (json_int_t)bv_tokenizer_vocab_size(p->tokenizer), "token_bytes",
                              (json_int_t)p->token_bytes, "val_fraction", p->options->val_fraction,
                              "splits", splits);
    bv_buffer text = {0};
    bv_error *error = value ? bv_json_text(value, 2, &text) : bv_fail_memory("a manifest");
    json_decref(value);
    bv_buffer_text(&text, "\n");
    if (!error) return write_file(p, "manifest.json", &text);
    bv_buffer_free(&text);
    return error;
}

static bv_status fill_folder(preparation *p) {
    BV_TRY(bv_parallel_encoder_create(p->tokenizer, p->options->pool, p->token_bytes, &p->encoder));
    BV_TRY(add_all(p));
    for (int i = 0; i < 2; i++) BV_TRY(close_shard(p, &p->splits[i], true));
    BV_TRY(write_manifest(p));
    bv_pool_run(p->options->pool, end_part, p);
    return p->sync_error;
}

bv_status bv_data_prepare(bv_documents *documents, const bv_tokenizer *tokenizer,
                          const bv_prepare_options *options, bv_prepare_result *result) {
    BV_TRY(bv_partial_folder_check(options->out));
    *result = (bv_prepare_result){0};
    preparation p = {.options = options,
                     .tokenizer = tokenizer,
                     .token_bytes = bv_tokenizer_vocab_size(tokenizer) <= 65536 ? 2 : 4,
                     .result = result,
                     .reader = {.documents = documents},
                     .total = bv_documents_bytes(documents)};
    bv_partial_folder folder;
    bv_error *error = bv_partial_folder_begin(options->out, &folder);
    p.folder = folder.path;
    for (int i = 0; i < 2; i++) p.splits[i].files = json_array();
    if (!error) error = fill_folder(&p);
    if (!error) error = bv_partial_folder_end(&folder, options->out, NULL);
    for (int i = 0; i < 2; i++) {
        char ignored[BV_SHA256_TEXT_SIZE];
        bv_writer_abort(&p.splits[i].writer);
        if (p.splits[i].hash) bv_sha256_end(&p.splits[i].hash, ignored);
        json_decref(p.splits[i].files);
    }
    for (size_t i = 0; i < p.written_count; i++) bv_writer_abort(&p.written[i]);
    free_memory(&p);
    if (error) error = bv_first_error(error, bv_partial_folder_abort(&folder));
    return bv_while(error, "preparing %s", options->out);
}

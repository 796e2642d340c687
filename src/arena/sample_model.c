#include "arena/sample_model.h"

#include "base/file.h"
#include "base/text.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "engine/text_stream.h"
#include "train/saved_model.h"

#include <stdio.h>
#include <string.h>

#define VERSION "1" /* of the way of sampling: a new one where completions may differ */

/* One completion in the making. */
typedef struct writing {
    bv_text_stream stream;
    uint32_t last;
    size_t count; /* tokens so far */
    bool done;
} writing;

typedef struct sampling {
    const bv_sample_model_options *o;
    const bv_problem_set *set;
    size_t stop_count;
    bv_saved_model model;
    bv_engine *engine;
    bv_sampler *sampler;
    bv_encoder *encoder;
    char model_hash[BV_SHA256_TEXT_SIZE], tokenizer_hash[BV_SHA256_TEXT_SIZE];
    writing *writings; /* n */
    size_t *live;
    uint32_t *next;
    size_t too_long;
} sampling;

/* ---- what a completion depends on ---- */

static bv_status hash_file(const char *folder, const char *name, const char *file,
                           char out[BV_SHA256_TEXT_SIZE]) {
    char path[4096];
    if (!bv_dir_exists(folder)) return bv_sha256_file(file, out);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return bv_sha256_file(path, out);
}

static bv_status hash_model(sampling *s) {
    const bv_sample_model_options *o = s->o;
    BV_TRY(hash_file(o->model, "checkpoints/latest/model.safetensors", o->model, s->model_hash));
    if (o->tokenizer) return bv_sha256_file(o->tokenizer, s->tokenizer_hash);
    return hash_file(o->model, "tokenizer.json", o->model, s->tokenizer_hash);
}

static bv_status make_key(const sampling *s, const bv_problem *problem, size_t sequence,
                          char key[BV_SHA256_TEXT_SIZE]) {
    bv_buffer text = {0};
    const bv_sample_settings *t = &s->o->settings;
    bv_buffer_printf(&text,
                     "sample-model %s\n%s\n%s\ntemperature %a top_p %a tokens %zu seed %llu "
                     "sequence %zu\n",
                     VERSION, s->model_hash, s->tokenizer_hash, t->temperature, t->top_p, t->tokens,
                     (unsigned long long)t->seed, sequence);
    for (size_t i = 0; s->set->stops[i]; i++) bv_buffer_printf(&text, "%s\n--\n", s->set->stops[i]);
    bv_buffer_text(&text, problem->prompt);
    bv_error *error = bv_buffer_error(&text);
    if (!error) error = bv_sha256_bytes(text.data, text.size, key);
    bv_buffer_free(&text);
    return error;
}

/* ---- writing ---- */

static bv_status take_token(sampling *s, size_t index, size_t row, size_t sequence, size_t limit) {
    writing *w = &s->writings[index];
    w->last = bv_sampler_pick(s->sampler, bv_engine_logits(s->engine, row), (uint32_t)sequence,
                              (uint32_t)bv_engine_position(s->engine, index));
    if (w->last == s->model.end_token) {
        w->done = true;
        return BV_OK;
    }
    BV_TRY(bv_text_stream_add(&w->stream, w->last));
    w->done = w->stream.stopped || ++w->count >= limit;
    return BV_OK;
}

static bv_status write_all(sampling *s, size_t first_sequence, size_t limit) {
    const size_t n = s->o->settings.n;
    for (size_t i = 1; i < n; i++) BV_TRY(bv_engine_copy(s->engine, 0, i));
    for (size_t i = 0; i < n; i++) BV_TRY(take_token(s, i, 0, first_sequence + i, limit));
    for (;;) {
        size_t live = 0;
        for (size_t i = 0; i < n; i++) {
            if (s->writings[i].done) continue;
            s->live[live] = i;
            s->next[live++] = s->writings[i].last;
        }
        if (live == 0) return BV_OK;
        BV_TRY(bv_engine_step(s->engine, s->live, s->next, live));
        for (size_t i = 0; i < live; i++)
            BV_TRY(take_token(s, s->live[i], i, first_sequence + s->live[i], limit));
    }
}

/* Feeds the prompt; *limit 0: it leaves no room. */
static bv_status feed(sampling *s, const char *prompt, size_t *limit) {
    const uint32_t *tokens;
    size_t count;
    const size_t context = s->model.config.context;
    const bool start = s->model.start_token != BV_NO_TOKEN;
    BV_TRY(bv_encoder_encode(s->encoder, prompt, strlen(prompt), &tokens, &count));
    *limit = 0;
    if (count == 0 || count + start >= context) return BV_OK;
    *limit = context - count - start;
    if (*limit > s->o->settings.tokens) *limit = s->o->settings.tokens;
    bv_engine_reset(s->engine, 0);
    if (start) BV_TRY(bv_engine_feed(s->engine, 0, &s->model.start_token, 1));
    return bv_engine_feed(s->engine, 0, tokens, count);
}

static bv_status keep(sampling *s, const bv_problem *problem, size_t index, size_t sequence,
                      bv_samples *out) {
    char key[BV_SHA256_TEXT_SIZE];
    const bv_buffer *text = &s->writings[index].stream.text;
    const char *bytes = text->size ? text->data : "";
    size_t size = bv_utf8_valid_prefix(bytes, text->size); /* a character may have been cut */
    const void *zero = memchr(bytes, 0, size);
    if (zero) size = (size_t)((const char *)zero - bytes);
    BV_TRY(bv_samples_add(out, problem, bytes, size));
    if (!s->o->cache) return BV_OK;
    BV_TRY(make_key(s, problem, sequence, key));
    json_t *record = json_pack("{ss%}", "completion", bytes, size);
    return record ? bv_record_cache_put(s->o->cache, key, record) : bv_fail_memory("a cache");
}

/* All n of a problem from the cache, or none. */
static bv_status recall(sampling *s, const bv_problem *problem, size_t first, bv_samples *out,
                        bool *found) {
    const size_t n = s->o->settings.n, before = out->count;
    *found = s->o->cache != NULL;
    for (size_t i = 0; *found && i < n; i++) {
        char key[BV_SHA256_TEXT_SIZE];
        BV_TRY(make_key(s, problem, first + i, key));
        json_t *record = bv_record_cache_get(s->o->cache, key);
        const char *text = json_string_value(json_object_get(record, "completion"));
        *found = text != NULL;
        bv_error *error = text ? bv_samples_add(out, problem, text, strlen(text)) : BV_OK;
        json_decref(record);
        BV_TRY(error);
    }
    for (; !*found && out->count > before; out->count--)
        bv_free(out->list[out->count - 1].completion);
    return BV_OK;
}

static bv_status sample_problem(sampling *s, const bv_problem *problem, size_t first,
                                bv_samples *out) {
    const size_t n = s->o->settings.n;
    size_t limit;
    bool found;
    BV_TRY(recall(s, problem, first, out, &found));
    if (found) return BV_OK;
    for (size_t i = 0; i < n; i++) {
        writing *w = &s->writings[i];
        bv_buffer_free(&w->stream.text);
        *w = (writing){.stream = {.tokenizer = s->model.tokenizer,
                                  .stops = s->set->stops,
                                  .stop_count = s->stop_count}};
    }
    BV_TRY(feed(s, problem->prompt, &limit));
    if (limit == 0)
        s->too_long++;
    else
        BV_TRY(write_all(s, first, limit));
    for (size_t i = 0; i < n; i++) BV_TRY(keep(s, problem, i, first + i, out));
    return BV_OK;
}

/* ---- all problems ---- */

static bv_status begin(sampling *s) {
    const bv_sample_model_options *o = s->o;
    const size_t n = o->settings.n;
    BV_TRY(hash_model(s));
    BV_TRY(bv_saved_model_open(o->model, o->tokenizer, o->kernels, o->threads, &s->model));
    const bv_engine_options engine = {.config = s->model.config,
                                      .numerics = s->model.numerics,
                                      .kernels = o->kernels,
                                      .pool = o->threads,
                                      .weights = s->model.weights,
                                      .rows_max = n > 128 ? n : 128,
                                      .sequences_max = n};
    const bv_sampler_options sampler = {.temperature = o->settings.temperature,
                                        .top_p = o->settings.top_p,
                                        .seed = o->settings.seed};
    s->writings = bv_calloc(n, sizeof *s->writings);
    s->live = bv_calloc(n, sizeof *s->live);
    s->next = bv_calloc(n, sizeof *s->next);
    if (!s->writings || !s->live || !s->next) return bv_fail_memory("samples");
    BV_TRY(bv_encoder_create(s->model.tokenizer, &s->encoder));
    BV_TRY(bv_sampler_create(&sampler, bv_tokenizer_vocab_size(s->model.tokenizer), &s->sampler));
    return bv_engine_create(&engine, &s->engine);
}

static void end(sampling *s) {
    for (size_t i = 0; s->writings && i < s->o->settings.n; i++)
        bv_buffer_free(&s->writings[i].stream.text);
    bv_free(s->writings);
    bv_free(s->live);
    bv_free(s->next);
    bv_engine_destroy(&s->engine);
    bv_sampler_destroy(&s->sampler);
    bv_encoder_destroy(&s->encoder);
    bv_saved_model_close(&s->model);
}

bv_status bv_samples_from_model(const bv_problem_set *set, const bv_sample_model_options *options,
                                bv_samples *out, size_t *too_long) {
    sampling s = {.o = options, .set = set};
    while (set->stops[s.stop_count]) s.stop_count++;
    bv_error *error = begin(&s);
    for (size_t i = 0; !error && i < set->count; i++) {
        error = bv_while(sample_problem(&s, &set->list[i], i * options->settings.n, out),
                         "writing samples of %s", set->list[i].id);
        const int signal = !error && options->progress
                               ? options->progress(options->context, i + 1, set->count)
                               : 0;
        if (signal) error = bv_fail_interrupted(signal, "interrupted");
    }
    *too_long = s.too_long;
    end(&s);
    return error;
}

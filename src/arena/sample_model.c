#include "arena/sample_model.h"

#include "base/file.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "engine/text_stream.h"
#include "train/saved_model.h"

#include <stdio.h>
#include <string.h>

#define VERSION "2" /* of the way of sampling: a new one where completions may differ */

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
    char source[3 * BV_SHA256_TEXT_SIZE + 40];
    bv_sample_cache cache;
    writing *writings; /* n */
    size_t *live;
    uint32_t *next;
    size_t too_long;
} sampling;

/* ---- what a completion depends on ---- */

static bv_status hash_file(const char *folder, const char *name, char out[BV_SHA256_TEXT_SIZE]) {
    char *path = bv_path_join(folder, name);
    bv_error *error = path ? bv_sha256_file(path, out) : bv_fail_memory("a path");
    bv_free(path);
    return error;
}

/* A file says all of its model; of a run the settings say what its weights mean. */
static bv_status hash_model(const sampling *s, char weights[BV_SHA256_TEXT_SIZE],
                            char settings[BV_SHA256_TEXT_SIZE]) {
    const char *known = bv_saved_model_sha256(&s->model); /* checked when the model was opened */
    settings[0] = 0;
    if (!known) return bv_sha256_file(s->o->model, weights);
    snprintf(weights, BV_SHA256_TEXT_SIZE, "%s", known);
    return hash_file(s->o->model, "config.json", settings);
}

/* Of a model that could be opened. */
static bv_status name_source(sampling *s) {
    const bv_sample_model_options *o = s->o;
    char weights[BV_SHA256_TEXT_SIZE], settings[BV_SHA256_TEXT_SIZE];
    char tokenizer[BV_SHA256_TEXT_SIZE];
    BV_TRY(hash_model(s, weights, settings));
    if (o->tokenizer)
        BV_TRY(bv_sha256_file(o->tokenizer, tokenizer));
    else
        BV_TRY(hash_file(o->model, "tokenizer.json", tokenizer));
    snprintf(s->source, sizeof s->source, "sample-model %s\n%s\n%s\n%s", VERSION, weights, settings,
             tokenizer);
    s->cache = (bv_sample_cache){
        .records = o->cache, .source = s->source, .set = s->set, .settings = &o->settings};
    return BV_OK;
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

/* `count` samples, of which the first draws with `first_sequence`. */
static bv_status write_all(sampling *s, size_t count, size_t first_sequence, size_t limit) {
    for (size_t i = 1; i < count; i++) BV_TRY(bv_engine_copy(s->engine, 0, i));
    for (size_t i = 0; i < count; i++) BV_TRY(take_token(s, i, 0, first_sequence + i, limit));
    for (;;) {
        size_t live = 0;
        for (size_t i = 0; i < count; i++) {
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

static void clear_writings(sampling *s, size_t count) {
    for (size_t i = 0; i < count; i++) {
        writing *w = &s->writings[i];
        bv_buffer_free(&w->stream.text);
        *w = (writing){.stream = {.tokenizer = s->model.tokenizer,
                                  .stops = s->set->stops,
                                  .stop_count = s->stop_count}};
    }
}

/* Writes those that are not known yet. */
static bv_status sample_problem(sampling *s, const bv_problem *problem, bv_samples *out) {
    size_t limit, known;
    uint32_t sequence;
    BV_TRY(bv_sample_cache_recall(&s->cache, problem, out, &known));
    const size_t count = s->o->settings.n - known;
    if (count == 0) return BV_OK;
    clear_writings(s, count);
    BV_TRY(bv_sample_cache_sequence(&s->cache, problem, &sequence));
    BV_TRY(feed(s, problem->prompt, &limit));
    if (limit == 0)
        s->too_long++;
    else
        BV_TRY(write_all(s, count, sequence + known, limit));
    for (size_t i = 0; i < count; i++) {
        const bv_buffer *text = &s->writings[i].stream.text;
        BV_TRY(bv_sample_cache_keep(&s->cache, problem, known + i, text->size ? text->data : "",
                                    text->size, out));
    }
    return BV_OK;
}

/* ---- all problems ---- */

static bv_status begin(sampling *s) {
    const bv_sample_model_options *o = s->o;
    const size_t n = o->settings.n;
    BV_TRY(bv_saved_model_open(o->model, o->tokenizer, o->kernels, o->threads, &s->model));
    BV_TRY(bv_saved_model_check(&s->model, true)); /* a score of damaged weights is no score */
    BV_TRY(name_source(s));
    const bv_engine_options engine = {.config = s->model.config,
                                      .numerics = s->model.numerics,
                                      .kernels = o->kernels,
                                      .pool = o->threads,
                                      .weights = s->model.weights,
                                      .kneser_ney = s->model.kneser_ney,
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
        error = bv_while(sample_problem(&s, &set->list[i], out), "writing samples of %s",
                         set->list[i].id);
        const int signal = !error && options->progress
                               ? options->progress(options->context, i + 1, set->count)
                               : 0;
        if (signal) error = bv_fail_interrupted(signal, "interrupted");
    }
    *too_long = s.too_long;
    end(&s);
    return error;
}

#include "arena/judge_samples.h"

#include "base/tasks.h"
#include <pthread.h>
#include <stdio.h>

typedef struct work {
    bv_samples *samples;
    const bv_judge_samples_options *options;
    pthread_mutex_t lock; /* of done, and of who tells it */
    size_t done;
} work;

/* ---- the cache ---- */

static bool from_record(const json_t *record, bv_code_result *out) {
    const char *verdict = json_string_value(json_object_get(record, "verdict"));
    const char *message = json_string_value(json_object_get(record, "message"));
    if (!verdict || !message || !bv_code_verdict_parse(verdict, &out->verdict)) return false;
    out->forgeable = json_is_true(json_object_get(record, "forgeable"));
    out->cpu_ns = (uint64_t)json_integer_value(json_object_get(record, "cpu_ns"));
    snprintf(out->message, sizeof out->message, "%s", message);
    return true;
}

static bv_status keep(bv_record_cache *cache, const char *key, const bv_code_result *r) {
    json_t *record =
        json_pack("{ss ss sb sI}", "verdict", bv_code_verdict_name(r->verdict), "message",
                  r->message, "forgeable", r->forgeable, "cpu_ns", (json_int_t)r->cpu_ns);
    return record ? bv_record_cache_put(cache, key, record) : bv_fail_memory("a cache");
}

static bv_status judge(const bv_judge_samples_options *o, bv_sample *s) {
    char key[BV_SHA256_TEXT_SIZE];
    BV_TRY(bv_code_key(o->pool, s->problem, s->completion, s->size, &o->code, key));
    json_t *record = o->cache ? bv_record_cache_get(o->cache, key) : NULL;
    s->cached = record && from_record(record, &s->result);
    json_decref(record);
    if (s->cached) return BV_OK;
    BV_TRY(bv_judge_code(o->pool, s->problem, s->completion, s->size, &o->code, &s->result));
    return o->cache ? keep(o->cache, key, &s->result) : BV_OK;
}

/* ---- all samples ---- */

/* Judges a sample, and notes its end. */
static bv_status judge_one(void *context, size_t index) {
    work *w = context;
    const bv_judge_samples_options *o = w->options;
    BV_TRY(judge(o, &w->samples->list[index]));
    pthread_mutex_lock(&w->lock);
    w->done++;
    const int signal = o->progress ? o->progress(o->context, w->done, w->samples->count) : 0;
    pthread_mutex_unlock(&w->lock);
    return signal ? bv_fail_interrupted(signal, "interrupted") : BV_OK;
}

bv_status bv_judge_samples(bv_samples *samples, const bv_judge_samples_options *options) {
    work w = {.samples = samples, .options = options, .lock = PTHREAD_MUTEX_INITIALIZER};
    bv_error *error = bv_tasks_run(options->threads, samples->count, judge_one, &w);
    pthread_mutex_destroy(&w.lock);
    return error;
}

/* ---- counts ---- */

bv_status bv_sample_counts_make(const bv_problem_set *set, const bv_samples *samples,
                                bv_sample_counts *out) {
    *out = (bv_sample_counts){.n_min = UINT64_MAX};
    bv_pass_counts *all = out->counts = bv_calloc(set->count, sizeof *out->counts);
    out->problems = bv_calloc(set->count, sizeof *out->problems);
    if (!all || !out->problems) return bv_fail_memory("counts");
    for (size_t i = 0; i < samples->count; i++) {
        const bool passed = samples->list[i].result.verdict == BV_CODE_PASSED;
        const size_t index = (size_t)(samples->list[i].problem - set->list);
        all[index].n++;
        all[index].c += passed;
        out->passed += passed;
    }
    for (size_t i = 0; i < set->count; i++) { /* those without samples make room */
        if (all[i].n == 0) continue;
        if (all[i].n < out->n_min) out->n_min = all[i].n;
        out->problems[out->count] = &set->list[i];
        all[out->count++] = all[i];
    }
    return BV_OK;
}

void bv_sample_counts_free(bv_sample_counts *counts) {
    bv_free(counts->counts);
    bv_free(counts->problems);
    *counts = (bv_sample_counts){0};
}

#include "train/saved_model.h"

#include "base/file.h"
#include "base/memory.h"
#include "model/llama2c.h"
#include "model/named_tensor.h"
#include "text/scored.h"
#include "train/checkpoint.h"
#include "train/counted_text.h"
#include "train/run_folder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* The mapped weights, and what is known of their hash. */
typedef struct bv_saved_file {
    char *run;
    uint64_t step;
    bool chosen; /* who opened asked for that step */
    bv_map map;
    char sha256[BV_SHA256_TEXT_SIZE];
    bool begun, checked; /* of the thread that opened */
    pthread_t thread;
    atomic_bool done, stop;
    bv_error *error; /* written by the thread before `done` */
} bv_saved_file;

/* ---- the check ---- */

static void check_now(bv_saved_file *file) {
    file->error = bv_checkpoint_check(file->run, file->step, &file->map, file->sha256, &file->stop);
    atomic_store(&file->done, true);
}

static void *check_behind(void *context) {
    /* The threads that compute come first. On Linux that is a property of a thread. */
    (void)!nice(10);
    check_now(context);
    return NULL;
}

void bv_saved_model_check_begin(bv_saved_model *m) {
    if (!m->file || m->file->begun) return;
    /* Without a thread it is checked when somebody waits for it. */
    m->file->begun = pthread_create(&m->file->thread, NULL, check_behind, m->file) == 0;
}

bv_status bv_saved_model_check(bv_saved_model *m, bool wait) {
    bv_saved_file *file = m->file;
    if (file) BV_TRY(bv_map_check(&file->map, file->run));
    if (!file || file->checked || (!wait && !atomic_load(&file->done))) return BV_OK;
    file->checked = true;
    if (file->begun)
        pthread_join(file->thread, NULL);
    else
        check_now(file);
    bv_error *error = file->error;
    file->error = NULL;
    return error;
}

static void close_file(bv_saved_file **file) {
    bv_saved_file *f = *file;
    if (!f) return;
    atomic_store(&f->stop, true);
    if (f->begun && !f->checked) pthread_join(f->thread, NULL);
    bv_error_free(&f->error);
    bv_map_close(&f->map);
    bv_free(f->run);
    bv_free(f);
    *file = NULL;
}

const char *bv_saved_model_sha256(const bv_saved_model *model) {
    return model->file ? model->file->sha256 : NULL;
}

/* ---- opening ---- */

/* The latest checkpoint, also where a training removes it just now because there is a later one;
 * or the one that was asked for. */
static bv_status map_checkpoint(bv_saved_file *file, bv_named_tensor *list, size_t count) {
    for (;;) {
        int64_t now = -1;
        bv_error *error =
            bv_checkpoint_map(file->run, file->step, list, count, &file->map, file->sha256);
        if (!error || file->chosen) return error;
        bv_error *unknown = bv_checkpoint_find(file->run, BV_CHECKPOINT_LATEST, &now);
        bv_error_free(&unknown);
        if (now < 0 || (uint64_t)now == file->step) return error;
        bv_error_free(&error);
        file->step = (uint64_t)now;
    }
}

/* Named like the weights, without data. */
static bv_status map_weights(bv_saved_model *m) {
    size_t count;
    bv_named_tensor *list = bv_name_weights(m->weights, BV_F32, &count);
    if (!list) return bv_fail_memory("a list of weights");
    bv_error *error = map_checkpoint(m->file, list, count);
    for (size_t i = 0; !error && i < count; i++) bv_weights_borrow(m->weights, i, list[i].data);
    bv_free(list);
    return error;
}

/* step: -1 for the latest. */
static bv_status load_weights(const char *run, int64_t step, const bv_kernels *kernels,
                              bv_pool *pool, bv_saved_model *m) {
    const bool chosen = step >= 0;
    BV_ASSERT(kernels->real == BV_F32);
    if (!chosen) BV_TRY(bv_checkpoint_latest(run, &step));
    m->file = bv_calloc(1, sizeof *m->file);
    if (!m->file) return bv_fail_memory("a model");
    m->file->map = (bv_map){.data = (const unsigned char *)""};
    m->file->step = (uint64_t)step;
    m->file->chosen = chosen;
    m->file->run = bv_strdup(run);
    if (!m->file->run) return bv_fail_memory("a path");
    BV_TRY(bv_gpt_weights_create_borrowed(&m->config, kernels, pool, &m->weights));
    return map_weights(m);
}

static bv_status open_run(const char *run, int64_t step, const char *tokenizer,
                          const bv_kernels *kernels, bv_pool *pool, bv_saved_model *m) {
    bv_run_config *config = bv_malloc(sizeof *config);
    bv_error *error = config ? bv_run_folder_load(run, config) : bv_fail_memory("settings");
    if (!error) {
        m->config = config->settings.model;
        m->numerics = config->settings.numerics;
    }
    if (!error) error = bv_run_folder_tokenizer(run, config, tokenizer, &m->tokenizer);
    if (!error)
        error = bv_counted_text_load(run, config->counted_sha256, &m->config, &m->kneser_ney);
    bv_free(config);
    if (!error) m->start_token = m->end_token = bv_tokenizer_end_of_text(m->tokenizer);
    return error ? error : load_weights(run, step, kernels, pool, m);
}

static bv_status open_llama2c(const char *path, const char *tokenizer, const bv_kernels *kernels,
                              bv_pool *pool, bv_saved_model *m) {
    m->numerics = BV_NUMERICS_F32;
    BV_TRY(bv_try(bv_llama2c_load(path, kernels, pool, &m->config, &m->weights),
                  "a run's folder, as beaver train makes it"));
    if (!tokenizer)
        return bv_try(bv_fail(BV_CODE_USAGE, "%s needs its tokenizer", path),
                      "--tokenizer tokenizer.bin");
    m->start_token = m->end_token = BV_SCORED_BEGIN;
    return bv_tokenizer_load_scored(tokenizer, m->config.vocab_size, &m->tokenizer);
}

bv_status bv_saved_model_open(const char *path, const char *tokenizer, const bv_kernels *kernels,
                              bv_pool *pool, bv_saved_model *out) {
    char run[BV_PATH_SIZE];
    int64_t step;
    *out = (bv_saved_model){0};
    bv_run_folder_split(path, run, &step);
    const bool file = !strcmp(run, path) && bv_file_exists(path);
    bv_error *error = file ? open_llama2c(path, tokenizer, kernels, pool, out)
                           : open_run(run, step, tokenizer, kernels, pool, out);
    if (error) bv_saved_model_close(out);
    return bv_while(error, "opening the model %s", path);
}

void bv_saved_model_close(bv_saved_model *m) {
    bv_weights_destroy(&m->weights);
    bv_kneser_ney_destroy(&m->kneser_ney);
    bv_tokenizer_destroy(&m->tokenizer);
    close_file(&m->file);
}

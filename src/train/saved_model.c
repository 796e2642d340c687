#include "train/saved_model.h"

#include "base/file.h"
#include "base/memory.h"
#include "model/llama2c.h"
#include "model/named_tensor.h"
#include "text/scored.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"

static bv_status load_weights(const char *run, const bv_kernels *kernels, bv_pool *pool,
                              bv_saved_model *m) {
    int64_t step;
    BV_TRY(bv_checkpoint_find(run, BV_CHECKPOINT_LATEST, &step));
    if (step < 0)
        return bv_try(bv_fail(BV_CODE_INPUT, "%s has no checkpoint yet", run),
                      "beaver train --out %s --resume", run);
    BV_TRY(bv_gpt_weights_create(&m->config, kernels, pool, &m->weights));
    bv_checkpoint_tensors t = {0};
    bv_named_tensor *list = bv_name_weights(m->weights, kernels->real, &t.parameter_count);
    t.parameters = list;
    bv_error *error = list ? bv_checkpoint_read(run, (uint64_t)step, &t, NULL)
                           : bv_fail_memory("a list of weights");
    bv_weights_changed(m->weights);
    bv_free(list);
    return error;
}

/* The run's own, or another one of as many tokens. */
static bv_status load_tokenizer(const char *run, const char *given, bv_saved_model *m) {
    char *path = bv_path_join(run, "tokenizer.json");
    bv_error *error = path ? bv_tokenizer_load(path, &m->tokenizer) : bv_fail_memory("a path");
    if (!error && bv_tokenizer_vocab_size(m->tokenizer) > m->config.vocab_size)
        error = bv_fail(BV_CODE_INPUT, "%s has %zu tokens, the model only %zu", path,
                        bv_tokenizer_vocab_size(m->tokenizer), m->config.vocab_size);
    bv_free(path);
    if (!error && given) {
        const size_t own = bv_tokenizer_vocab_size(m->tokenizer);
        bv_tokenizer_destroy(&m->tokenizer);
        error = bv_tokenizer_load(given, &m->tokenizer);
        if (!error && bv_tokenizer_vocab_size(m->tokenizer) != own)
            error = bv_try(bv_fail(BV_CODE_INPUT, "%s has %zu tokens, the model's tokenizer %zu",
                                   given, bv_tokenizer_vocab_size(m->tokenizer), own),
                           "without --tokenizer: the run has its own");
    }
    if (!error) m->start_token = m->end_token = bv_tokenizer_end_of_text(m->tokenizer);
    return error;
}

static bv_status open_run(const char *run, const char *tokenizer, const bv_kernels *kernels,
                          bv_pool *pool, bv_saved_model *m) {
    bv_run_config *config = bv_malloc(sizeof *config);
    bv_error *error = config ? bv_run_folder_load(run, config) : bv_fail_memory("settings");
    if (!error) {
        m->config = config->settings.model;
        m->numerics = config->settings.numerics;
    }
    bv_free(config);
    if (!error) error = load_tokenizer(run, tokenizer, m);
    return error ? error : load_weights(run, kernels, pool, m);
}

static bv_status open_llama2c(const char *path, const char *tokenizer, const bv_kernels *kernels,
                              bv_pool *pool, bv_saved_model *m) {
    if (!tokenizer)
        return bv_try(bv_fail(BV_CODE_USAGE, "%s needs its tokenizer", path),
                      "--tokenizer tokenizer.bin");
    m->numerics = BV_NUMERICS_F32;
    BV_TRY(bv_llama2c_load(path, kernels, pool, &m->config, &m->weights));
    m->start_token = m->end_token = BV_SCORED_BEGIN;
    return bv_tokenizer_load_scored(tokenizer, m->config.vocab_size, &m->tokenizer);
}

bv_status bv_saved_model_open(const char *path, const char *tokenizer, const bv_kernels *kernels,
                              bv_pool *pool, bv_saved_model *out) {
    *out = (bv_saved_model){0};
    const bool file = bv_file_exists(path) && !bv_dir_exists(path);
    bv_error *error = file ? open_llama2c(path, tokenizer, kernels, pool, out)
                           : open_run(path, tokenizer, kernels, pool, out);
    if (error) bv_saved_model_close(out);
    return bv_while(error, "opening the model %s", path);
}

void bv_saved_model_close(bv_saved_model *m) {
    bv_weights_destroy(&m->weights);
    bv_tokenizer_destroy(&m->tokenizer);
}

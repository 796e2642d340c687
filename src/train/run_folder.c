#include "train/run_folder.h"

#include "base/memory.h"
#include "base/partial_folder.h"
#include "train/counted_text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bv_status hash_data(const char *data, char hash[BV_SHA256_TEXT_SIZE]) {
    char path[BV_PATH_SIZE];
    BV_TRY(bv_path_in(path, data, "manifest.json"));
    return bv_try(bv_sha256_file(path, hash), "beaver data prepare TEXT --out %s", data);
}

/* "" where it is not said. */
static bv_status read_hash(const json_t *value, const char *name, char out[BV_SHA256_TEXT_SIZE]) {
    const char *hash = "";
    if (json_object_get(value, name)) BV_TRY(bv_json_get_string(value, name, &hash));
    snprintf(out, BV_SHA256_TEXT_SIZE, "%s", hash);
    return BV_OK;
}

/* The one with which the data was prepared, as its manifest says. */
static bv_status hash_data_tokenizer(const char *data, char hash[BV_SHA256_TEXT_SIZE]) {
    char path[BV_PATH_SIZE], from[BV_PATH_SIZE];
    bv_tokenizer *tokenizer = NULL;
    json_t *manifest = NULL;
    bool same = true;
    BV_TRY(bv_path_in(path, data, "tokenizer.json"));
    BV_TRY(bv_path_in(from, data, "manifest.json"));
    BV_TRY(bv_json_load(from, &manifest));
    bv_error *error = read_hash(manifest, "tokenizer_sha256", hash);
    if (!error && *hash) {
        error = bv_tokenizer_load_known(path, hash, &tokenizer, &same);
    } else if (!error) {
        error = bv_tokenizer_load(path, &tokenizer);
        if (!error) error = bv_tokenizer_hash(tokenizer, hash);
    }
    if (!error && !same)
        error = bv_try(
            bv_fail(BV_CODE_USAGE, "%s is not the tokenizer that the data was prepared with", path),
            "put that one back, or prepare the data again");
    bv_tokenizer_destroy(&tokenizer);
    json_decref(manifest);
    return error;
}

bv_status bv_run_config_set_data(bv_run_config *config, const char *data) {
    BV_TRY(hash_data(data, config->data_sha256));
    BV_TRY(hash_data_tokenizer(data, config->tokenizer_sha256));
    if (!realpath(data, config->data)) return bv_fail_errno("cannot find %s", data);
    return BV_OK;
}

bv_status bv_run_config_check_data(const bv_run_config *config) {
    char hash[BV_SHA256_TEXT_SIZE];
    BV_TRY(bv_try(hash_data(config->data, hash), "--data DIR, if it lies elsewhere by now"));
    if (!strcmp(hash, config->data_sha256)) return BV_OK;
    return bv_try(
        bv_fail(BV_CODE_INPUT, "the data in %s is not what the run began with", config->data),
        "prepare it again as it was, or begin a new run");
}

/* ---- making ---- */

static bv_status copy_tokenizer(const char *data, const char *folder) {
    char from[BV_PATH_SIZE], to[BV_PATH_SIZE];
    bv_buffer text = {0};
    BV_TRY(bv_path_in(from, data, "tokenizer.json"));
    BV_TRY(bv_path_in(to, folder, "tokenizer.json"));
    bv_error *error = bv_file_read(from, &text);
    if (!error) error = bv_file_write(to, text.data ? text.data : "", text.size);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_run_folder_save(const char *folder, const bv_run_config *c) {
    char path[BV_PATH_SIZE];
    BV_TRY(bv_path_in(path, folder, "config.json"));
    json_t *value = json_pack("{ss so sf s{ss ss}}", "format", "beaver-run/1", "settings",
                              bv_settings_json(&c->settings), "minutes", c->minutes, "data", "path",
                              c->data, "sha256", c->data_sha256);
    if (value && *c->tokenizer_sha256)
        json_object_set_new(value, "tokenizer_sha256", json_string(c->tokenizer_sha256));
    if (value && *c->counted_sha256)
        json_object_set_new(value, "counted_sha256", json_string(c->counted_sha256));
    if (value && *c->origin.run) json_object_set_new(value, "from", bv_origin_json(&c->origin));
    bv_error *error = bv_json_save(path, value);
    json_decref(value);
    return error;
}

bool bv_run_folder_exists(const char *run) {
    char path[BV_PATH_SIZE];
    bv_error *error = bv_path_in(path, run, "config.json");
    const bool exists = !error && bv_file_exists(path);
    bv_error_free(&error);
    return exists;
}

bv_status bv_run_folder_check_new(const char *run) {
    if (bv_run_folder_exists(run))
        return bv_try(bv_fail(BV_CODE_USAGE, "%s is a run already", run),
                      "--resume, or another --out");
    if (bv_path_taken(run))
        return bv_try(bv_fail(BV_CODE_USAGE, "%s exists and is no run", run), "another --out");
    return bv_partial_folder_check(run);
}

static bv_status fill(const char *partial, const char *run, bv_run_config *config) {
    BV_TRY(bv_run_folder_check_new(run)); /* another may just have made it */
    BV_TRY(copy_tokenizer(config->data, partial));
    BV_TRY(bv_counted_text_save(partial, config->data, &config->settings.model,
                                config->counted_sha256));
    return bv_run_folder_save(partial, config);
}

static bv_status make(const char *run, bv_run_config *config, bv_lock **lock) {
    bv_partial_folder partial;
    BV_TRY(bv_run_folder_check_new(run));
    bv_error *error = bv_partial_folder_begin(run, &partial);
    if (error && bv_run_folder_exists(run)) { /* another was quicker */
        bv_error_free(&error);
        error = bv_run_folder_check_new(run);
    }
    if (error) return error;
    error = fill(partial.path, run, config);
    if (!error) return bv_partial_folder_end(&partial, run, lock);
    return bv_first_error(error, bv_partial_folder_abort(&partial));
}

bv_status bv_run_folder_create(const char *run, bv_run_config *config, bv_lock **lock) {
    *lock = NULL;
    char *whole = bv_strdup(run);
    if (whole) whole[bv_path_trimmed(run)] = 0;
    bv_error *error = whole ? make(whole, config, lock) : bv_fail_memory("a path");
    bv_free(whole);
    return bv_while(error, "making the run %s", run);
}

bv_status bv_run_folder_check_apart(const char *out, const char *run) {
    static const char *const own[] = {"config.json",
                                      "tokenizer.json",
                                      "counted.bin",
                                      "metrics.jsonl",
                                      "checkpoints/latest/manifest.json",
                                      "checkpoints/latest/model.safetensors",
                                      "checkpoints/latest/optimizer.safetensors",
                                      NULL};
    return bv_file_check_apart_from(out, run, own);
}

/* ---- loading ---- */

static bv_status parse_config(const json_t *value, const char *path, bv_run_config *c) {
    const char *format = "", *data = "", *hash = "";
    BV_TRY(bv_json_get_string(value, "format", &format));
    if (strcmp(format, "beaver-run/1"))
        return bv_fail(BV_CODE_INPUT, "format \"%s\" is not beaver-run/1", format);
    const json_t *where = json_object_get(value, "data");
    BV_TRY(bv_json_get_string(where, "path", &data));
    BV_TRY(bv_json_get_string(where, "sha256", &hash));
    BV_TRY(bv_json_get_double(value, "minutes", &c->minutes));
    BV_TRY(read_hash(value, "tokenizer_sha256", c->tokenizer_sha256));
    BV_TRY(read_hash(value, "counted_sha256", c->counted_sha256));
    const json_t *from = json_object_get(value, "from");
    if (from) BV_TRY(bv_origin_parse(from, &c->origin));
    snprintf(c->data, sizeof c->data, "%s", data);
    snprintf(c->data_sha256, sizeof c->data_sha256, "%s", hash);
    BV_TRY(bv_settings_load(&c->settings, path));
    return bv_settings_check(&c->settings);
}

bv_status bv_run_folder_check(const char *run) {
    char path[BV_PATH_SIZE], whole[BV_PATH_SIZE];
    int64_t step;
    BV_TRY(bv_path_in(path, run, "config.json"));
    if (bv_path_hidden(path)) return bv_fail_errno("cannot look into %s", run);
    if (bv_file_exists(path)) return BV_OK;
    bv_run_folder_split(run, whole, &step);
    if (strcmp(whole, run) != 0 && bv_run_folder_exists(whole))
        return bv_try(bv_fail(BV_CODE_USAGE, "%s is a checkpoint, and here the run is needed", run),
                      "%s", whole);
    return bv_try(bv_fail(BV_CODE_USAGE, "%s is no run: it has no config.json", run),
                  "beaver train --data DIR --out %s", run);
}

bv_status bv_run_folder_load(const char *run, bv_run_config *config) {
    char path[BV_PATH_SIZE];
    json_t *value = NULL;
    BV_TRY(bv_run_folder_check(run));
    BV_TRY(bv_path_in(path, run, "config.json"));
    *config = (bv_run_config){0};
    bv_settings_default(&config->settings);
    BV_TRY(bv_json_load(path, &value));
    bv_error *error = bv_while(parse_config(value, path, config), "reading %s", path);
    json_decref(value);
    return error;
}

/* Cuts "/LAST" off, or all of a path that is LAST alone. */
static bool cut_last(char *path, const char *last) {
    const size_t size = strlen(path), cut = strlen(last);
    if (size < cut || strcmp(path + size - cut, last)) return false;
    if (size > cut && path[size - cut - 1] != '/') return false;
    path[size > cut ? size - cut - 1 : 0] = 0;
    return true;
}

void bv_run_folder_split(const char *path, char run[BV_PATH_SIZE], int64_t *step) {
    char folder[BV_PATH_SIZE], *last;
    *step = -1;
    snprintf(run, BV_PATH_SIZE, "%s", path);
    if (bv_run_folder_exists(path)) return;
    snprintf(folder, sizeof folder, "%.*s", (int)bv_path_trimmed(path), path);
    cut_last(folder, "model.safetensors");
    last = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder;
    const bool number = *last && strlen(last) < 19 && strspn(last, "0123456789") == strlen(last);
    const int64_t named = number ? strtoll(last, NULL, 10) : -1;
    if (!number && strcmp(last, "latest")) return;
    *last = 0;
    folder[bv_path_trimmed(folder)] = 0;
    if (!cut_last(folder, "checkpoints")) return;
    *step = named;
    snprintf(run, BV_PATH_SIZE, "%s", *folder ? folder : ".");
}

bv_status bv_run_folder_lock(const char *run, bv_lock **lock) {
    char path[BV_PATH_SIZE];
    BV_TRY(bv_path_in(path, run, BV_FOLDER_LOCK));
    return bv_lock_take(path, lock);
}

/* ---- the tokenizer ---- */

/* What the run's tokenizer must be. An old run does not say: its own file is taken for it. */
static bv_status know_tokenizer(const char *own, const bv_run_config *config,
                                char hash[BV_SHA256_TEXT_SIZE]) {
    bv_tokenizer *tokenizer;
    snprintf(hash, BV_SHA256_TEXT_SIZE, "%s", config->tokenizer_sha256);
    if (*hash) return BV_OK;
    BV_TRY(bv_tokenizer_load(own, &tokenizer));
    bv_error *error = bv_tokenizer_hash(tokenizer, hash);
    bv_tokenizer_destroy(&tokenizer);
    return error;
}

static bv_status load_tokenizer(const char *own, const bv_run_config *config, const char *given,
                                bv_tokenizer **out) {
    char hash[BV_SHA256_TEXT_SIZE];
    bool same;
    if (!given && !*config->tokenizer_sha256) return bv_tokenizer_load(own, out);
    BV_TRY(know_tokenizer(own, config, hash));
    bv_error *error = bv_tokenizer_load_known(given ? given : own, hash, out, &same);
    if (error && !given && !bv_file_exists(own))
        return bv_try(error, "cp %s/tokenizer.json %s", config->data, own);
    if (error || same) return error;
    error = bv_fail(BV_CODE_USAGE, "%s is not the tokenizer that the model was trained with",
                    given ? given : own);
    if (given) return bv_try(error, "without --tokenizer: the run has its own");
    return bv_try(error, "cp %s/tokenizer.json %s", config->data, own);
}

bv_status bv_run_folder_tokenizer(const char *run, const bv_run_config *config, const char *given,
                                  bv_tokenizer **out) {
    *out = NULL;
    char own[BV_PATH_SIZE];
    BV_TRY(bv_path_in(own, run, "tokenizer.json"));
    bv_error *error = load_tokenizer(own, config, given, out);
    const size_t most = config->settings.model.vocab_size;
    if (!error && bv_tokenizer_vocab_size(*out) > most)
        error = bv_fail(BV_CODE_INPUT, "%s has %zu tokens, the model only %zu", given ? given : own,
                        bv_tokenizer_vocab_size(*out), most);
    if (error) bv_tokenizer_destroy(out);
    return error;
}

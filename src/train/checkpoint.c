#include "train/checkpoint.h"

#include "base/memory.h"
#include "model/safetensors.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* RUN/checkpoints/NAME/FILE; empty parts are left out. */
static bv_status path_of(char path[BV_PATH_SIZE], const char *run, const char *name,
                         const char *file) {
    const int n = snprintf(path, BV_PATH_SIZE, "%s/checkpoints%s%s%s%s", run, *name ? "/" : "",
                           name, *file ? "/" : "", file);
    if (n < 0 || n >= BV_PATH_SIZE) return bv_fail(BV_CODE_USAGE, "the path is too long: %s", run);
    return BV_OK;
}

static void name_of(char name[32], uint64_t step) {
    snprintf(name, 32, "%llu", (unsigned long long)step);
}

/* Not a checkpoint's: list_steps passes it over. */
static void temporary_of(char temporary[40], const char name[32]) {
    snprintf(temporary, 40, ".%s", name);
}

/* ---- manifest ---- */

static json_t *left_out_json(const bv_progress_of_run *p) {
    json_t *list = json_array();
    for (size_t i = 0; i < p->left_out_count; i++)
        json_array_append_new(list, json_pack("[I,I]", (json_int_t)p->left_out[i].begin,
                                              (json_int_t)p->left_out[i].end));
    return list;
}

static json_t *manifest_json(const bv_progress_of_run *p, const bv_checkpoint_about *about,
                             const char *model, const char *optimizer) {
    return json_pack("{ss sb sb sI sI sI sI sI sI so sI ss ss ss si so s{ss ss} so so}", "format",
                     "beaver-checkpoint/1", "regular", (int)about->regular, "due", (int)p->due,
                     "step", (json_int_t)p->step, "applied", (json_int_t)p->applied, "sequence",
                     (json_int_t)p->sequence, "tokens", (json_int_t)p->tokens, "trouble_began",
                     (json_int_t)p->trouble_began, "seed", (json_int_t)about->seed, "val_loss",
                     bv_json_number(p->val_loss), "val_step", (json_int_t)p->val_step, "numerics",
                     about->numerics, "level", about->level, "version", about->version, "threads",
                     about->threads, "config", bv_settings_json(about->settings), "sha256",
                     "model.safetensors", model, "optimizer.safetensors", optimizer, "left_out",
                     left_out_json(p), "guard", bv_guard_json(&p->guard));
}

static bv_status load_manifest(const char *run, const char *name, json_t **out) {
    char path[BV_PATH_SIZE];
    const char *format = "";
    *out = NULL;
    BV_TRY(path_of(path, run, name, "manifest.json"));
    BV_TRY(bv_json_load(path, out));
    bv_error *error = bv_json_get_string(*out, "format", &format);
    if (!error && strcmp(format, "beaver-checkpoint/1"))
        error =
            bv_fail(BV_CODE_INPUT, "%s: format \"%s\" is not beaver-checkpoint/1", path, format);
    if (!error) return BV_OK;
    json_decref(*out);
    *out = NULL;
    return error;
}

static bv_status get_count(const json_t *manifest, const char *key, uint64_t *out) {
    int64_t value;
    BV_TRY(bv_json_get_int(manifest, key, &value));
    if (value < 0) return bv_fail(BV_CODE_INPUT, "\"%s\" is negative", key);
    *out = (uint64_t)value;
    return BV_OK;
}

static bv_status parse_progress(const json_t *m, bv_progress_of_run *p) {
    *p = (bv_progress_of_run){.val_loss = NAN};
    BV_TRY(get_count(m, "step", &p->step));
    BV_TRY(get_count(m, "applied", &p->applied));
    BV_TRY(get_count(m, "sequence", &p->sequence));
    BV_TRY(get_count(m, "tokens", &p->tokens));
    BV_TRY(get_count(m, "trouble_began", &p->trouble_began));
    p->due = json_is_true(json_object_get(m, "due"));
    const json_t *val_loss = json_object_get(m, "val_loss"), *list = json_object_get(m, "left_out");
    if (json_is_number(val_loss)) p->val_loss = json_number_value(val_loss);
    p->val_step = p->step; /* older ones do not say */
    if (json_object_get(m, "val_step")) BV_TRY(get_count(m, "val_step", &p->val_step));
    BV_TRY(bv_guard_parse(&p->guard, json_object_get(m, "guard")));
    p->left_out_count = json_array_size(list);
    if (p->left_out_count != p->guard.returns || p->left_out_count > BV_GUARD_RETURNS)
        return bv_fail(BV_CODE_INPUT,
                       "\"left_out\" has %zu stretches after %zu returns of at most %d",
                       p->left_out_count, p->guard.returns, BV_GUARD_RETURNS);
    for (size_t i = 0; i < p->left_out_count; i++) {
        const json_t *pair = json_array_get(list, i);
        p->left_out[i].begin = (uint64_t)json_integer_value(json_array_get(pair, 0));
        p->left_out[i].end = (uint64_t)json_integer_value(json_array_get(pair, 1));
    }
    return BV_OK;
}

/* ---- writing ---- */

static bv_status write_files(const char *run, const char *name,
                             const bv_checkpoint_tensors *tensors,
                             const bv_progress_of_run *progress, const bv_checkpoint_about *about) {
    char path[BV_PATH_SIZE], model[BV_SHA256_TEXT_SIZE], optimizer[BV_SHA256_TEXT_SIZE];
    BV_TRY(path_of(path, run, name, ""));
    BV_TRY(bv_dir_remove(path)); /* left by one that was killed */
    BV_TRY(bv_dir_make(path));
    BV_TRY(path_of(path, run, name, "model.safetensors"));
    BV_TRY(bv_safetensors_write(path, tensors->parameters, tensors->parameter_count, model));
    BV_TRY(path_of(path, run, name, "optimizer.safetensors"));
    BV_TRY(bv_safetensors_write(path, tensors->state, tensors->state_count, optimizer));
    BV_TRY(path_of(path, run, name, "manifest.json"));
    json_t *manifest = manifest_json(progress, about, model, optimizer);
    bv_error *error = bv_json_save(path, manifest);
    json_decref(manifest);
    return error;
}

/* Points `latest` at a step: a new link, renamed over the old one. A folder of that name is what a
 * copy made that followed links. Where the file system has none (FAT), the last step counts. */
static bv_status point_latest(const char *run, const char *name) {
    char link[BV_PATH_SIZE], fresh[BV_PATH_SIZE];
    BV_TRY(path_of(link, run, "latest", ""));
    BV_TRY(path_of(fresh, run, ".latest", ""));
    if (unlink(fresh) != 0 && errno != ENOENT) return bv_fail_errno("cannot remove %s", fresh);
    if (symlink(name, fresh) != 0) {
        if (errno == EPERM || errno == EOPNOTSUPP) return bv_dir_remove(link);
        return bv_fail_errno("cannot make the link %s", fresh);
    }
    struct stat status;
    if (lstat(link, &status) == 0 && S_ISDIR(status.st_mode)) BV_TRY(bv_dir_remove(link));
    return bv_path_rename(fresh, link);
}

bv_status bv_checkpoint_mend_latest(const char *run, uint64_t step) {
    char link[BV_PATH_SIZE], name[32];
    name_of(name, step);
    BV_TRY(path_of(link, run, "latest", ""));
    return bv_dir_exists(link) ? BV_OK : point_latest(run, name);
}

/* Writes into a manifest what may be said of the same state later. */
static bv_status amend(const char *run, const char *name, const bv_progress_of_run *progress,
                       bool regular) {
    char path[BV_PATH_SIZE];
    json_t *manifest = NULL;
    BV_TRY(path_of(path, run, name, "manifest.json"));
    bv_error *error = load_manifest(run, name, &manifest);
    if (!error) {
        if (regular) json_object_set_new(manifest, "regular", json_true());
        json_object_set_new(manifest, "due", json_boolean(progress->due));
        json_object_set_new(manifest, "val_loss", bv_json_number(progress->val_loss));
        json_object_set_new(manifest, "val_step", json_integer((json_int_t)progress->val_step));
        json_object_set_new(manifest, "left_out", left_out_json(progress));
        json_object_set_new(manifest, "guard", bv_guard_json(&progress->guard));
        error = bv_json_save(path, manifest);
    }
    json_decref(manifest);
    return error;
}

bv_status bv_checkpoint_write(const char *run, const bv_checkpoint_tensors *tensors,
                              const bv_progress_of_run *progress,
                              const bv_checkpoint_about *about) {
    char name[32], temporary[40], from[BV_PATH_SIZE], to[BV_PATH_SIZE];
    name_of(name, progress->step);
    temporary_of(temporary, name);
    BV_TRY(path_of(from, run, temporary, ""));
    BV_TRY(path_of(to, run, name, ""));
    if (bv_dir_exists(to)) {
        BV_TRY(amend(run, name, progress, about->regular));
        return point_latest(run, name);
    }
    bv_error *error = write_files(run, temporary, tensors, progress, about);
    if (!error) error = bv_path_rename(from, to);
    if (error) error = bv_first_error(error, bv_dir_remove(from)); /* make room again */
    if (!error) error = point_latest(run, name);
    return bv_while(error, "saving the checkpoint of step %s (those before it are intact)", name);
}

/* ---- the list of checkpoints ---- */

static int ascending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Steps of all checkpoints, ascending; free with bv_free. */
static bv_status list_steps(const char *run, uint64_t **steps, size_t *count) {
    char path[BV_PATH_SIZE], **names = NULL;
    size_t n = 0;
    *steps = NULL;
    *count = 0;
    BV_TRY(path_of(path, run, "", ""));
    if (!bv_dir_exists(path)) return BV_OK;
    BV_TRY(bv_dir_list(path, &names, &n));
    *steps = bv_calloc(n + 1, sizeof **steps);
    for (size_t i = 0; i < n; i++) {
        char *end;
        errno = 0;
        const uint64_t step = strtoull(names[i], &end, 10);
        const bool number = names[i][0] >= '0' && names[i][0] <= '9' && !*end && !errno;
        if (*steps && number) (*steps)[(*count)++] = step;
    }
    bv_names_free(names, n);
    if (!*steps) return bv_fail_memory("a list of checkpoints");
    qsort(*steps, *count, sizeof **steps, ascending);
    return BV_OK;
}

/* NULL where it cannot be read or makes no sense; out of memory is no reason to take it for that.
 */
static bv_status peek(const char *run, uint64_t step, json_t **manifest) {
    char name[32];
    name_of(name, step);
    bv_error *error = load_manifest(run, name, manifest);
    if (bv_error_code(error) != BV_CODE_MEMORY) bv_error_free(&error);
    return error;
}

static bv_status is_regular(const char *run, uint64_t step, bool *regular) {
    json_t *manifest;
    BV_TRY(peek(run, step, &manifest));
    *regular = json_is_true(json_object_get(manifest, "regular"));
    json_decref(manifest);
    return BV_OK;
}

/* Where `latest` leads, however the link is spelled, if that is one of the steps; else *step stays.
 */
static void read_latest(const char *run, const uint64_t *steps, size_t count, int64_t *step) {
    char path[BV_PATH_SIZE], name[32];
    int folder = -1;
    bv_error *error = path_of(path, run, "latest", "");
    if (!error) error = bv_dir_hold(path, &folder);
    for (size_t i = 0; !error && i < count; i++) {
        name_of(name, steps[i]);
        error = path_of(path, run, name, "");
        if (!error && bv_dir_is(path, folder)) *step = (int64_t)steps[i];
    }
    if (folder >= 0) close(folder);
    bv_error_free(&error);
}

bv_status bv_checkpoint_count(const char *run, size_t *count) {
    uint64_t *steps;
    BV_TRY(list_steps(run, &steps, count));
    bv_free(steps);
    return BV_OK;
}

bv_status bv_checkpoint_room(const char *run, uint64_t *bytes) {
    char path[BV_PATH_SIZE];
    BV_TRY(path_of(path, run, "", ""));
    BV_TRY(bv_path_writable(path));
    return bv_file_free_space(path, bytes);
}

bv_status bv_checkpoint_find(const char *run, bv_checkpoint_which which, int64_t *step) {
    uint64_t *steps;
    size_t count;
    *step = -1;
    BV_TRY(list_steps(run, &steps, &count));
    /* Without the link (it was removed, or its target was) the last one counts. */
    if (which == BV_CHECKPOINT_LATEST) read_latest(run, steps, count, step);
    bv_error *error = BV_OK;
    for (size_t i = count; !error && i-- > 0 && *step < 0;) {
        bool fits = true;
        if (which == BV_CHECKPOINT_REGULAR) error = is_regular(run, steps[i], &fits);
        if (!error && fits) *step = (int64_t)steps[i];
    }
    bv_free(steps);
    return error;
}

bv_status bv_checkpoint_latest(const char *run, int64_t *step) {
    BV_TRY(bv_checkpoint_find(run, BV_CHECKPOINT_LATEST, step));
    if (*step >= 0) return BV_OK;
    return bv_try(bv_fail(BV_CODE_INPUT, "%s has no checkpoint yet", run),
                  "beaver train --out %s --resume", run);
}

/* ---- reading ---- */

static bv_status compare_hash(const char *path, const char *hash, const char *wanted) {
    if (!strcmp(hash, wanted)) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "%s is damaged: its SHA-256 is not what its manifest says", path);
}

static bv_status check_hash(const char *run, const char *name, const json_t *manifest,
                            const char *file) {
    char path[BV_PATH_SIZE], hash[BV_SHA256_TEXT_SIZE];
    const char *wanted = "";
    BV_TRY(path_of(path, run, name, file));
    BV_TRY(bv_json_get_string(json_object_get(manifest, "sha256"), file, &wanted));
    BV_TRY(bv_sha256_file(path, hash));
    return compare_hash(path, hash, wanted);
}

/* A folder that was renamed or copied is another step's: what is written at its own would be taken
 * for there already. */
static bv_status read_progress(const char *name, const json_t *manifest,
                               bv_progress_of_run *progress) {
    char own[32];
    BV_TRY(parse_progress(manifest, progress));
    name_of(own, progress->step);
    if (!strcmp(own, name)) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "its manifest is of step %s", own);
}

static bv_status read_all(const char *run, const char *name, const bv_checkpoint_tensors *t,
                          const json_t *manifest, bv_progress_of_run *progress) {
    char path[BV_PATH_SIZE];
    bv_progress_of_run parsed;
    BV_TRY(read_progress(name, manifest, &parsed));
    BV_TRY(check_hash(run, name, manifest, "model.safetensors"));
    if (t->state_count) BV_TRY(check_hash(run, name, manifest, "optimizer.safetensors"));
    BV_TRY(path_of(path, run, name, "model.safetensors"));
    BV_TRY(bv_safetensors_read(path, t->parameters, t->parameter_count));
    BV_TRY(path_of(path, run, name, "optimizer.safetensors"));
    if (t->state_count) BV_TRY(bv_safetensors_read(path, t->state, t->state_count));
    if (progress) *progress = parsed;
    return BV_OK;
}

/* Are all its files there? */
static bool is_whole(const char *run, const char *name) {
    static const char *const files[] = {"manifest.json", "model.safetensors",
                                        "optimizer.safetensors"};
    char path[BV_PATH_SIZE];
    bool whole = true;
    for (size_t i = 0; whole && i < 3; i++) {
        bv_error *error = path_of(path, run, name, files[i]);
        whole = error || bv_file_exists(path) || bv_path_hidden(path);
        bv_error_free(&error);
    }
    return whole;
}

/* What is damaged may go; what just now cannot be read may not. */
static bv_status while_loading(bv_error *error, const char *run, const char *name) {
    if (!error) return BV_OK;
    const bool damaged = bv_error_code(error) == BV_CODE_INPUT || !is_whole(run, name);
    error = bv_while(error, "loading the checkpoint of step %s", name);
    if (!damaged) return error;
    return bv_try(error, "move %s/checkpoints/%s away: the one before it is used then", run, name);
}

bv_status bv_checkpoint_read(const char *run, uint64_t step, const bv_checkpoint_tensors *tensors,
                             bv_progress_of_run *progress) {
    char name[32];
    json_t *manifest = NULL;
    name_of(name, step);
    bv_error *error = load_manifest(run, name, &manifest);
    if (!error) error = read_all(run, name, tensors, manifest, progress);
    json_decref(manifest);
    return while_loading(error, run, name);
}

bv_status bv_checkpoint_model_sha256(const char *run, uint64_t step,
                                     char sha256[BV_SHA256_TEXT_SIZE]) {
    char name[32];
    const char *hash = "";
    json_t *manifest = NULL;
    name_of(name, step);
    bv_error *error = load_manifest(run, name, &manifest);
    const json_t *hashes = json_object_get(manifest, "sha256");
    if (!error) error = bv_json_get_string(hashes, "model.safetensors", &hash);
    snprintf(sha256, BV_SHA256_TEXT_SIZE, "%s", hash);
    json_decref(manifest);
    return bv_while(error, "looking at the checkpoint of step %s", name);
}

bv_status bv_checkpoint_verify_model(const char *run, uint64_t step,
                                     char sha256[BV_SHA256_TEXT_SIZE]) {
    char name[32], path[BV_PATH_SIZE], hash[BV_SHA256_TEXT_SIZE];
    name_of(name, step);
    BV_TRY(bv_checkpoint_model_sha256(run, step, sha256));
    BV_TRY(path_of(path, run, name, "model.safetensors"));
    bv_error *error = bv_sha256_file(path, hash);
    if (!error) error = compare_hash(path, hash, sha256);
    return while_loading(error, run, name);
}

bv_status bv_checkpoint_map(const char *run, uint64_t step, bv_named_tensor *list, size_t count,
                            bv_map *map, char sha256[BV_SHA256_TEXT_SIZE]) {
    char name[32], path[BV_PATH_SIZE];
    const char *wanted = "", file[] = "model.safetensors";
    json_t *manifest = NULL;
    bv_progress_of_run progress;
    name_of(name, step);
    bv_error *error = path_of(path, run, name, file);
    if (!error) error = load_manifest(run, name, &manifest);
    if (!error) error = read_progress(name, manifest, &progress);
    if (!error) error = bv_json_get_string(json_object_get(manifest, "sha256"), file, &wanted);
    snprintf(sha256, BV_SHA256_TEXT_SIZE, "%s", wanted);
    json_decref(manifest);
    if (!error) error = bv_safetensors_map(path, list, count, map);
    return while_loading(error, run, name);
}

#define HASHED_AT_ONCE ((size_t)1 << 20)

bv_status bv_checkpoint_check(const char *run, uint64_t step, const bv_map *map,
                              const char sha256[BV_SHA256_TEXT_SIZE], const atomic_bool *stop) {
    char name[32], path[BV_PATH_SIZE], hash[BV_SHA256_TEXT_SIZE];
    bv_sha256 *state;
    name_of(name, step);
    BV_TRY(path_of(path, run, name, "model.safetensors"));
    BV_TRY(bv_sha256_begin(&state));
    for (size_t i = 0; i < map->size && !atomic_load(stop); i += HASHED_AT_ONCE) {
        const size_t left = map->size - i;
        bv_sha256_add(state, map->data + i, left < HASHED_AT_ONCE ? left : HASHED_AT_ONCE);
    }
    bv_sha256_end(&state, hash);
    if (atomic_load(stop)) return BV_OK;
    return while_loading(compare_hash(path, hash, sha256), run, name);
}

bv_status bv_checkpoint_amend(const char *run, uint64_t step, const bv_progress_of_run *progress) {
    char name[32];
    name_of(name, step);
    return amend(run, name, progress, true);
}

/* ---- removing ---- */

/* Of a whole checkpoint, or of a temporary one: what is left of it when a removal is killed must
 * not be taken for a checkpoint. */
static bv_status remove_step(const char *run, uint64_t step) {
    char name[32], temporary[40], path[BV_PATH_SIZE], gone[BV_PATH_SIZE];
    name_of(name, step);
    temporary_of(temporary, name);
    BV_TRY(path_of(path, run, name, ""));
    BV_TRY(path_of(gone, run, temporary, ""));
    BV_TRY(bv_dir_remove(gone));
    BV_TRY(bv_path_rename(path, gone));
    return bv_dir_remove(gone);
}

/* What was being written or removed when its process was killed. */
static bv_status remove_temporary(const char *run) {
    char path[BV_PATH_SIZE], **names;
    size_t count;
    BV_TRY(path_of(path, run, "", ""));
    BV_TRY(bv_dir_list(path, &names, &count));
    bv_error *error = BV_OK;
    for (size_t i = 0; i < count; i++) {
        if (!error && names[i][0] == '.') error = path_of(path, run, names[i], "");
        if (!error && names[i][0] == '.') error = bv_dir_remove(path);
    }
    bv_names_free(names, count);
    return error;
}

bv_status bv_checkpoint_forget_after(const char *run, uint64_t step) {
    uint64_t *steps;
    size_t count;
    char name[32];
    name_of(name, step);
    BV_TRY(list_steps(run, &steps, &count));
    bv_error *error = point_latest(run, name);
    for (size_t i = 0; !error && i < count; i++)
        if (steps[i] > step) error = remove_step(run, steps[i]);
    bv_free(steps);
    return error;
}

/* The validation loss of a checkpoint, if it was evaluated itself, else infinite. */
static bv_status own_loss(const char *run, uint64_t step, double *loss) {
    json_t *manifest;
    bv_progress_of_run p = {.val_loss = NAN};
    BV_TRY(peek(run, step, &manifest));
    bv_error *error = manifest ? parse_progress(manifest, &p) : BV_OK;
    const bool own = !error && !isnan(p.val_loss) && p.val_step == step;
    *loss = own ? p.val_loss : HUGE_VAL;
    json_decref(manifest);
    bv_error_free(&error);
    return BV_OK;
}

/* Index of the checkpoint with the least validation loss; count when none has one. */
static bv_status find_best(const char *run, const uint64_t *steps, size_t count, size_t *best) {
    double least = HUGE_VAL;
    *best = count;
    for (size_t i = 0; i < count; i++) {
        double loss;
        BV_TRY(own_loss(run, steps[i], &loss));
        if (loss < least) *best = i, least = loss;
    }
    return BV_OK;
}

bv_status bv_checkpoint_prune(const char *run, size_t keep) {
    uint64_t *steps;
    size_t count, best = 0;
    int64_t regular = -1, latest = -1;
    BV_TRY(list_steps(run, &steps, &count));
    read_latest(run, steps, count, &latest);
    bv_error *error = find_best(run, steps, count, &best);
    if (!error) error = bv_checkpoint_find(run, BV_CHECKPOINT_REGULAR, &regular);
    for (size_t i = 0; !error && i + keep < count; i++) {
        const int64_t step = (int64_t)steps[i];
        if (i != best && step != regular && step != latest) error = remove_step(run, steps[i]);
    }
    bv_free(steps);
    return error ? error : remove_temporary(run);
}

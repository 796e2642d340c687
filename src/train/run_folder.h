/*
 * RUN, the folder of a run: config.json (settings, data, planned minutes), tokenizer.json, for some
 * models counted.bin (counted_text.h), metrics.jsonl, checkpoints/ (checkpoint.h). Made whole or
 * not at all; locked while it is trained.
 */
#ifndef BV_TRAIN_RUN_FOLDER_H
#define BV_TRAIN_RUN_FOLDER_H

#include "base/file.h"
#include "base/hash.h"
#include "text/tokenizer.h"
#include "train/origin.h"
#include "train/settings.h"

typedef struct bv_run_config {
    bv_settings settings;
    double minutes;          /* that the number of steps was chosen for; 0: it was given */
    char data[BV_PATH_SIZE]; /* absolute */
    char data_sha256[BV_SHA256_TEXT_SIZE];      /* of the data's manifest */
    char tokenizer_sha256[BV_SHA256_TEXT_SIZE]; /* bv_tokenizer_hash; "" in runs of old */
    char counted_sha256[BV_SHA256_TEXT_SIZE];   /* of counted.bin; "": there is none */
    bv_origin origin;                           /* whose weights it began with */
} bv_run_config;

/* data: a folder made by `beaver data prepare`; its path is made absolute. BV_CODE_USAGE when its
 * tokenizer is not the one that it was prepared with. */
bv_status bv_run_config_set_data(bv_run_config *config, const char *data);

/* Could it be made here? BV_CODE_USAGE when it, or something else, is there. A look, no promise. */
bv_status bv_run_folder_check_new(const char *run);
/* Makes it, locked from the first moment. BV_CODE_USAGE when `run` exists, or when another process
 * makes it just now. Copies the data's tokenizer.json and the text that the model counts, whose
 * hash it sets in config. */
bv_status bv_run_folder_create(const char *run, bv_run_config *config, bv_lock **lock);
/* Replaces config.json: for a run whose number of steps grows, or whose data was moved. */
bv_status bv_run_folder_save(const char *run, const bv_run_config *config);
/* BV_CODE_USAGE when `run` is no run. */
bv_status bv_run_folder_check(const char *run);
bv_status bv_run_folder_load(const char *run, bv_run_config *config);
/* BV_CODE_USAGE where `out` would replace a file that makes the run, also one that is not there
 * yet. */
bv_status bv_run_folder_check_apart(const char *out, const char *run);
/* Is there a run? */
bool bv_run_folder_exists(const char *run);
/* What a user names as a model: a run, or one of its checkpoints, RUN/checkpoints/STEP, also by its
 * model.safetensors. *step is -1 for the run's latest. */
void bv_run_folder_split(const char *path, char run[BV_PATH_SIZE], int64_t *step);
/* Held until bv_lock_release; BV_CODE_USAGE when another process trains it. */
bv_status bv_run_folder_lock(const char *run, bv_lock **lock);
/* The data must be what the run began with. */
bv_status bv_run_config_check_data(const bv_run_config *config);
/* The tokenizer of the run's model: RUN/tokenizer.json, or `given` (NULL: none), which must be the
 * same, as must be RUN's own if the run knows its hash: else BV_CODE_USAGE. */
bv_status bv_run_folder_tokenizer(const char *run, const bv_run_config *config, const char *given,
                                  bv_tokenizer **out);

#endif

/*
 * Checkpoints of a run: RUN/checkpoints/STEP/ with model.safetensors, optimizer.safetensors and
 * manifest.json, and the link `latest`. A checkpoint appears whole (temporary folder, synced,
 * renamed) or not at all; the safetensors hold state only, so their SHA-256 is the proof of equal
 * bits, and the manifest holds those, checked at load. One process at a time writes (run_folder.h
 * locks).
 */
#ifndef BV_TRAIN_CHECKPOINT_H
#define BV_TRAIN_CHECKPOINT_H

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "model/named_tensor.h"
#include "train/guard.h"
#include "train/settings.h"
#include <stdatomic.h>

/* What a run knows beside weights and optimizer state. */
typedef struct bv_left_out {
    uint64_t begin, end; /* sequences of the data's order */
} bv_left_out;

typedef struct bv_progress_of_run {
    uint64_t step;          /* steps done                                                  */
    uint64_t applied;       /* of them, changed the weights                                */
    uint64_t sequence;      /* next sequence of the data's order                           */
    uint64_t tokens;        /* learned from                                                */
    double val_loss;        /* last one; NAN: none                                         */
    uint64_t val_step;      /* that was evaluated                                          */
    uint64_t trouble_began; /* first sequence of the bad steps just now                    */
    bool due;               /* the step is done, but not its evaluation and checkpoint     */
    bv_guard guard;
    bv_left_out left_out[BV_GUARD_RETURNS]; /* data that the guard leaves out, ascending   */
    size_t left_out_count;
} bv_progress_of_run;

/* How it came to be: for the reader of a manifest, not part of the state. */
typedef struct bv_checkpoint_about {
    bool regular;  /* false: made by an interruption; the guard never returns to it */
    uint64_t seed; /* all random numbers are functions of it and of the position    */
    const char *numerics, *level, *version;
    int threads;
    const bv_settings *settings; /* with which it was made */
} bv_checkpoint_about;

/* Tensors to write, or to read into. */
typedef struct bv_checkpoint_tensors {
    const bv_named_tensor *parameters, *state;
    size_t parameter_count, state_count; /* no state: only the model is read */
} bv_checkpoint_tensors;

/* Writes step progress->step and points `latest` at it. Where it exists its tensors are the same
 * bits and stay, and its manifest is amended. */
bv_status bv_checkpoint_write(const char *run, const bv_checkpoint_tensors *tensors,
                              const bv_progress_of_run *progress, const bv_checkpoint_about *about);

typedef enum bv_checkpoint_which {
    BV_CHECKPOINT_LATEST,  /* where the link points */
    BV_CHECKPOINT_REGULAR, /* the last regular one  */
    BV_CHECKPOINT_LAST     /* of the most steps     */
} bv_checkpoint_which;

bv_status bv_checkpoint_count(const char *run, size_t *count); /* 0 where there is no run */
/* Step of a checkpoint, or -1 when the run has none. */
bv_status bv_checkpoint_find(const char *run, bv_checkpoint_which which, int64_t *step);
/* Could one be made here, and how many bytes have room? A look, no promise. */
bv_status bv_checkpoint_room(const char *run, uint64_t *bytes);
/* The step of the latest; BV_CODE_INPUT, and how to make one, where the run has none. */
bv_status bv_checkpoint_latest(const char *run, int64_t *step);
/* progress may be NULL. Hashes, names and shapes are checked before anything is filled in. */
bv_status bv_checkpoint_read(const char *run, uint64_t step, const bv_checkpoint_tensors *tensors,
                             bv_progress_of_run *progress);
/* What the manifest says of the model's file. */
bv_status bv_checkpoint_model_sha256(const char *run, uint64_t step,
                                     char sha256[BV_SHA256_TEXT_SIZE]);
/* The same, and reads the file: BV_CODE_INPUT where it has another hash. */
bv_status bv_checkpoint_verify_model(const char *run, uint64_t step,
                                     char sha256[BV_SHA256_TEXT_SIZE]);
/* The model alone, without copying: points the tensors' data into `map`, which who calls closes.
 * Names and shapes are checked; the SHA-256 that the file must have goes to `sha256`, for
 * bv_checkpoint_check, which reads the whole file. */
bv_status bv_checkpoint_map(const char *run, uint64_t step, bv_named_tensor *list, size_t count,
                            bv_map *map, char sha256[BV_SHA256_TEXT_SIZE]);
/* Whether the map's bytes have that hash; else BV_CODE_INPUT. Ends early, with BV_OK, when *stop
 * becomes true. */
bv_status bv_checkpoint_check(const char *run, uint64_t step, const bv_map *map,
                              const char sha256[BV_SHA256_TEXT_SIZE], const atomic_bool *stop);
/* Points `latest` at a step where the link is missing or leads nowhere. */
bv_status bv_checkpoint_mend_latest(const char *run, uint64_t step);
/* Makes a checkpoint a regular one, with the guard's decisions and the evaluation of `progress`. */
bv_status bv_checkpoint_amend(const char *run, uint64_t step, const bv_progress_of_run *progress);
/* Removes all checkpoints later than `step`. */
bv_status bv_checkpoint_forget_after(const char *run, uint64_t step);
/* Removes all but the last `keep`, the last regular one, the one that `latest` leads to and, of
 * those that were evaluated, the one of the least val_loss. */
bv_status bv_checkpoint_prune(const char *run, size_t keep);

#endif

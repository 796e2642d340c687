/*
 * Settings of a run: the model and how it is trained. One table names them all; flags, --set,
 * configuration files and the run's config.json use it alike.
 */
#ifndef BV_TRAIN_SETTINGS_H
#define BV_TRAIN_SETTINGS_H

#include "base/json.h"
#include "data/dataset.h"
#include "model/config.h"
#include "nn/optimizer.h"
#include "tensor/run.h"

typedef enum bv_schedule { BV_SCHEDULE_COSINE, BV_SCHEDULE_WSD, BV_SCHEDULE_CONSTANT } bv_schedule;

typedef struct bv_settings {
    bv_gpt_config model;
    size_t batch, micro_batch; /* sequences of a step, and of a micro-batch (0: all) */
    size_t grains, steps, seed;
    bv_numerics numerics; /* "dtype" */
    bv_optimizer_kind optimizer;
    double lr, min_lr, beta1, beta2, eps, weight_decay, muon_lr, muon_momentum;
    double grad_clip; /* 0: none */
    bv_schedule schedule;
    size_t warmup;     /* steps */
    double decay;      /* WSD: the last part of the steps, as a fraction */
    size_t batch_ramp; /* steps over which the batch grows to its full size; 0: none */
    bv_order order;
    size_t eval_every;   /* steps; 0: never */
    size_t eval_windows; /* 0: the whole validation text */
    size_t checkpoint_every, keep;
    double guard_limit; /* standard deviations; 0: only what is not finite is bad (guard.h) */
    bool recompute, fuse;
} bv_settings;

void bv_settings_default(bv_settings *settings);
/* BV_CODE_USAGE for an unknown name, with the nearest one. */
bv_status bv_settings_preset(bv_settings *settings, const char *name);
const char *const *bv_settings_presets(size_t *count);
/* "key", "value" as typed; BV_CODE_USAGE naming both. */
bv_status bv_settings_set(bv_settings *settings, const char *key, const char *value);
/* A JSON object of settings; an unknown key is refused with file, line and suggestion. */
bv_status bv_settings_load(bv_settings *settings, const char *path);
json_t *bv_settings_json(const bv_settings *settings); /* all of them; NULL without memory */
/* Fills what is derived and refuses what does not fit together. */
bv_status bv_settings_check(bv_settings *settings);
/* BV_CODE_USAGE naming both values of the first setting that differs; those that the list (NULL at
 * its end, or NULL) names may differ. */
bv_status bv_settings_same(const bv_settings *kept, const bv_settings *wanted,
                           const char *const *free_names);
/* Learning rate of a step (0-based) as a factor of its peak. */
double bv_settings_schedule(const bv_settings *settings, size_t step);
/* Sequences of a step's batch: a multiple of grains. */
size_t bv_settings_batch_at(const bv_settings *settings, size_t step);
/* Sequences of all steps before `step`. */
uint64_t bv_settings_sequences_before(const bv_settings *settings, size_t step);

#endif

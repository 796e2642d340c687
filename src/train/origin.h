/*
 * Where a run's first weights come from when they are not those of its seed: a checkpoint of
 * another run (`train --from`). It is named by run, step and SHA-256, and is to stay there until
 * the run has a checkpoint of its own. One thread at a time.
 */
#ifndef BV_TRAIN_ORIGIN_H
#define BV_TRAIN_ORIGIN_H

#include "base/hash.h"
#include "base/json.h"
#include "train/checkpoint.h"

typedef struct bv_origin {
    char run[BV_PATH_SIZE]; /* absolute; "": the weights of the seed */
    uint64_t step;
    char sha256[BV_SHA256_TEXT_SIZE]; /* of its model.safetensors */
} bv_origin;

/* step: -1 for the run's latest checkpoint. Its model's file is read: BV_CODE_INPUT where it is
 * damaged. */
bv_status bv_origin_find(const char *run, int64_t step, bv_origin *out);
/* Fills the parameters (of `tensors`; its state is left alone). BV_CODE_INPUT when that checkpoint
 * is gone or another one. */
bv_status bv_origin_read(const bv_origin *origin, const bv_checkpoint_tensors *tensors);

json_t *bv_origin_json(const bv_origin *origin); /* NULL without memory */
bv_status bv_origin_parse(const json_t *value, bv_origin *out);

#endif

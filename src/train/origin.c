#include "train/origin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bv_status bv_origin_find(const char *run, int64_t step, bv_origin *out) {
    if (step < 0) BV_TRY(bv_checkpoint_latest(run, &step));
    *out = (bv_origin){.step = (uint64_t)step};
    BV_TRY(bv_checkpoint_verify_model(run, out->step, out->sha256)); /* before RUN is made */
    if (!realpath(run, out->run)) return bv_fail_errno("cannot find %s", run);
    return BV_OK;
}

static bv_status read_model(const bv_origin *o, const bv_checkpoint_tensors *tensors) {
    char now[BV_SHA256_TEXT_SIZE];
    const bv_checkpoint_tensors model = {.parameters = tensors->parameters,
                                         .parameter_count = tensors->parameter_count};
    BV_TRY(bv_checkpoint_model_sha256(o->run, o->step, now));
    if (strcmp(now, o->sha256))
        return bv_fail(BV_CODE_INPUT, "step %llu of %s is not what it was",
                       (unsigned long long)o->step, o->run);
    return bv_checkpoint_read(o->run, o->step, &model, NULL);
}

bv_status bv_origin_read(const bv_origin *o, const bv_checkpoint_tensors *tensors) {
    return bv_while(read_model(o, tensors), "taking the weights of %s, step %llu", o->run,
                    (unsigned long long)o->step);
}

json_t *bv_origin_json(const bv_origin *o) {
    return json_pack("{ss sI ss}", "run", o->run, "step", (json_int_t)o->step, "sha256", o->sha256);
}

bv_status bv_origin_parse(const json_t *value, bv_origin *out) {
    const char *run = "", *hash = "";
    int64_t step = 0;
    BV_TRY(bv_json_get_string(value, "run", &run));
    BV_TRY(bv_json_get_int(value, "step", &step));
    BV_TRY(bv_json_get_string(value, "sha256", &hash));
    if (!*run || step < 0) return bv_fail(BV_CODE_INPUT, "\"from\" names no checkpoint");
    out->step = (uint64_t)step;
    snprintf(out->run, sizeof out->run, "%s", run);
    snprintf(out->sha256, sizeof out->sha256, "%s", hash);
    return BV_OK;
}

/*
 * RUN/metrics.jsonl: one JSON object a line, each with `step` (steps done). Lines of training have
 * loss, grad_norm, lr, tokens, tokens_per_s; of evaluation val_loss; of the guard event and why.
 */
#ifndef BV_TRAIN_METRICS_H
#define BV_TRAIN_METRICS_H

#include "base/file.h"
#include "base/json.h"

/* Leaves the lines up to `step`, but not of an evaluation of that step which is `due` yet: what a
 * killed run wrote beyond its checkpoint goes, with a line that was cut off. An absent file is
 * success. *returns: how many lines tell of a return to a checkpoint. */
bv_status bv_metrics_cut(const char *path, uint64_t step, bool due, size_t *returns);
/* The line of a return to a checkpoint: which sequences are left out from then on. */
json_t *bv_metrics_return(uint64_t step, uint64_t begin, uint64_t end);
/* Writes one line; takes the reference. Numbers that may not be finite: bv_json_number. */
bv_status bv_metrics_write(bv_append *file, json_t *line);

#endif

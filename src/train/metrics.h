/*
 * RUN/metrics.jsonl: one JSON object a line, each with `step` (steps done). Lines of training have
 * loss, grad_norm, lr, tokens, tokens_per_s; of evaluation val_loss; of the guard event and why.
 */
#ifndef BV_TRAIN_METRICS_H
#define BV_TRAIN_METRICS_H

#include "base/file.h"
#include "base/json.h"

/* Leaves the lines up to `step` (-1: none): what a killed run wrote beyond its checkpoint goes,
 * with a line that was cut off. An absent file is success. */
bv_status bv_metrics_cut(const char *path, int64_t step);
/* Writes one line; takes the reference. Numbers that may not be finite: bv_json_number. */
bv_status bv_metrics_write(bv_append *file, json_t *line);

#endif

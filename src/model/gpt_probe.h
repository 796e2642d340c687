/*
 * Where numbers went out of range: a forward pass that looks at what leaves each block. For
 * explaining a bad step; it allocates, and is slow beside training.
 */
#ifndef BV_MODEL_GPT_PROBE_H
#define BV_MODEL_GPT_PROBE_H

#include "model/gpt_score.h"

#define BV_PROBE_NONE (-1) /* every block and every loss is finite */

/* inputs, targets: [sequences, context], first_visible as for the scorer. `layer`: the first block
 * whose output is not finite (BV_PROBE_NONE: none, config.layers: only the loss), and the largest
 * magnitude before it. */
bv_status bv_gpt_probe(const bv_gpt_scorer_options *options, const uint32_t *inputs,
                       const uint32_t *targets, const uint32_t *first_visible, size_t sequences,
                       int *layer, double *largest);

#endif

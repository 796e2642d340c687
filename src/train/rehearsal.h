/*
 * Rehearsal: whole training steps on a scratch copy of the model, for measuring. Nothing is read
 * from a run nor written anywhere; weights of any values, the run's data or random tokens. One
 * thread at a time.
 */
#ifndef BV_TRAIN_REHEARSAL_H
#define BV_TRAIN_REHEARSAL_H

#include "train/loop.h"

typedef struct bv_rehearsal bv_rehearsal;

/* options: borrowed until destroyed; `run`, `signal` and `events` are not used. */
bv_status bv_rehearsal_create(const bv_train_options *options, bv_rehearsal **out);
void bv_rehearsal_destroy(bv_rehearsal **rehearsal);

/* Where a step has more than 64 sequences, which would take minutes: 4 of them, or as many more as
 * make a multiple of the grains, show the same. The settings are to be checked then. */
void bv_rehearsal_shorten(bv_settings *settings);

/* Batch, gradient, clipping, optimizer. Returns its seconds; *tokens: of its batch. */
double bv_rehearsal_step(bv_rehearsal *rehearsal, size_t *tokens);

#endif

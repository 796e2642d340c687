/*
 * Pace: how long the steps of a training take here, measured on a scratch copy before it begins,
 * and the number of steps that a given time allows. Nothing of the run is read or written.
 */
#ifndef BV_TRAIN_PACE_H
#define BV_TRAIN_PACE_H

#include "train/loop.h"

typedef struct bv_pace {
    double seconds_per_sequence; /* gradient of one sequence of the full context   */
    double seconds_per_step;     /* beside that: preparing weights, optimizer       */
    double seconds_per_window;   /* of an evaluation                                */
} bv_pace;

/* Takes about `seconds`. Large models are measured by some of their layers and on short sequences,
 * and judged by their FLOPs. options: as for bv_train; `run`, `signal` and `events` are not used.
 */
bv_status bv_pace_measure(const bv_train_options *options, double seconds, bv_pace *pace);
/* Layers of the scratch copy: making and warming up all of a large model would take longer than
 * measuring it. */
size_t bv_pace_layers(const bv_settings *settings);
/* Steps that take about `seconds`, evaluations counted; at least 1. */
size_t bv_pace_steps(const bv_settings *settings, const bv_dataset *data, const bv_pace *pace,
                     double seconds);
/* What the settings' steps take, evaluations counted. */
double bv_pace_seconds(const bv_settings *settings, const bv_dataset *data, const bv_pace *pace);

#endif

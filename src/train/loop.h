/*
 * The training loop of one run: steps, evaluation, checkpoints, metrics and the guard's decisions.
 * It prints nothing: who calls it is told by `events`. One thread at a time; the run is locked and
 * made by the caller (run_folder.h).
 */
#ifndef BV_TRAIN_LOOP_H
#define BV_TRAIN_LOOP_H

#include "data/dataset.h"
#include "model/gpt_train.h"
#include "train/origin.h"
#include "train/settings.h"
#include <signal.h>

/* After each step, and once more when it was evaluated. */
typedef struct bv_step_report {
    uint64_t step, steps;
    double loss, val_loss, grad_norm, lr, tokens_per_s; /* val_loss: the last one; NAN: none yet */
} bv_step_report;

typedef struct bv_train_events {
    /* Before anything is done, or NULL: where the run stands, by its checkpoint. */
    void (*begin)(void *context, const bv_step_report *report);
    void (*step)(void *context, const bv_step_report *report);
    void (*note)(void *context, const char *text); /* one line worth reading, without newline */
    /* For tests only, or NULL: after a gradient has been made and before it is judged. */
    void (*disturb)(void *context, bv_gpt_trainer *trainer, uint64_t step, double *loss);
    void *context;
} bv_train_events;

typedef struct bv_train_options {
    const char *run;
    const bv_settings *settings; /* checked */
    const bv_origin *origin;     /* where it begins; NULL: with the weights of its seed */
    const bv_dataset *data;      /* a rehearsal may go without: random tokens */
    uint32_t end_of_text;        /* for document masks */
    const bv_kernels *kernels;
    bv_pool *pool;
    const char *version;                 /* of the program, for manifests */
    const volatile sig_atomic_t *signal; /* a signal that asks to stop, 0: none */
    bv_train_events events;
    bv_trace *trace; /* of the pool, or NULL */
    bool scratch;    /* of a rehearsal: it begins with weights of any values, which is fast */
} bv_train_options;

/* Trains from the latest checkpoint, or from the beginning, to the last step. A signal saves a
 * checkpoint and is BV_CODE_INTERRUPTED; a fault that the guard cannot go round BV_CODE_FAULT. */
bv_status bv_train(const bv_train_options *options);

#endif

/* What one run of the training loop owns: trainer, buffers of a batch, metrics. For src/train. */
#ifndef BV_TRAIN_SESSION_H
#define BV_TRAIN_SESSION_H

#include "base/file.h"
#include "train/checkpoint.h"
#include "train/loop.h"

typedef struct bv_session {
    const bv_train_options *options;
    const bv_settings *settings;
    bv_kneser_ney *kneser_ney; /* of the training text; NULL: none */
    bv_gpt_trainer *trainer;
    bv_progress_of_run progress;
    bv_append *metrics;
    int folder; /* the run's, held open; -1: it is not written to */
    /* the batch of one step: [batch, context] */
    uint32_t *inputs, *targets, *visible;
    uint64_t *sequences; /* which of the data's order */
    size_t batch;
    struct {
        size_t batch, evaluate, save; /* spans of the trace */
    } spans;
    bv_step_report report; /* of the last applied step */
} bv_session;

bv_status bv_session_create(const bv_train_options *options, bv_session *session);
void bv_session_destroy(bv_session *session);

/* Reads the next batch; moves progress.sequence on. */
void bv_session_read_batch(bv_session *session);
/* The gradient of the batch that was read: mean loss and norm. False when `signal` (or NULL) became
 * set between two micro-batches: then there is none. */
bool bv_session_gradient(bv_session *session, const volatile sig_atomic_t *signal, double *loss,
                         double *norm);
/* Changes the weights. */
void bv_session_apply(bv_session *session, double norm);
/* Mean validation loss; NAN when there is no validation text, or the options' signal was set. */
bv_status bv_session_evaluate(bv_session *session, double *loss);
bv_checkpoint_tensors bv_session_tensors(bv_session *session);
/* BV_CODE_IO when the run is no longer where it was: what is there now must not be changed. */
bv_status bv_session_check_folder(const bv_session *session);
/* Writes a checkpoint of where the session stands. */
bv_status bv_session_save(bv_session *session, bool regular);
/* Opens metrics.jsonl for appending, cut back to where the session stands. A return to a checkpoint
 * that it does not tell yet is added: the manifest, which knows of it, was written first. */
bv_status bv_session_open_metrics(bv_session *session);
/* Back to where the run begins: the weights of its seed or of its origin, at step 0, which is to be
 * evaluated. */
bv_status bv_session_begin(bv_session *session);
void bv_session_note(const bv_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

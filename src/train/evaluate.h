/*
 * Evaluation: -log p over consecutive windows of the model's context, each token of a text
 * predicted once (all but the first, which has nothing before it). The same text, model and
 * numerics class give the same bits, whatever the threads and the batch.
 */
#ifndef BV_TRAIN_EVALUATE_H
#define BV_TRAIN_EVALUATE_H

#include "model/gpt_score.h"
#include <signal.h>

/* A text of tokens: reads tokens offset .. offset + count. */
typedef struct bv_token_source {
    void (*read)(const void *context, uint64_t offset, size_t count, uint32_t *tokens);
    const void *context;
    uint64_t count;
} bv_token_source;

typedef struct bv_evaluation {
    double nats;     /* sum of -log p */
    uint64_t tokens; /* predicted     */
    bool interrupted;
} bv_evaluation;

typedef struct bv_evaluate_options {
    size_t context;                      /* of a window */
    size_t batch;                        /* windows scored together */
    size_t windows_max;                  /* this many, evenly spread; 0: all */
    bool document_mask;                  /* attention stays behind the last end of text */
    uint32_t end_of_text;                /* for the mask */
    const volatile sig_atomic_t *signal; /* once set, evaluation stops early; or NULL */
    /* Called after each batch with what is known so far; or NULL. */
    void (*progress)(void *progress_context, const bv_evaluation *so_far);
    void *progress_context;
} bv_evaluate_options;

/* Works in memory of its own; BV_CODE_INPUT for a text of fewer than two tokens. */
bv_status bv_evaluate(bv_gpt_scorer *scorer, const bv_token_source *source,
                      const bv_evaluate_options *options, bv_evaluation *out);

/* first_visible of rows [sequences, context]: where its document begins, which is the end of text
 * before it (as `generate` puts one before its prompt), or the window. */
void bv_first_visible(const uint32_t *tokens, size_t sequences, size_t context,
                      uint32_t end_of_text, uint32_t *first_visible);

#endif

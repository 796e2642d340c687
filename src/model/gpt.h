/*
 * GPT: the graph of a decoder-only Transformer from its configuration. One function serves
 * training, evaluation and generation; they differ only in the head that is asked for.
 */
#ifndef BV_MODEL_GPT_H
#define BV_MODEL_GPT_H

#include "model/config.h"
#include "tensor/graph.h"
#include "tensor/plan.h"

typedef enum bv_gpt_head {
    BV_GPT_LOSS,   /* row losses of given targets                       */
    BV_GPT_LOGITS, /* logits of the rows that `output_rows` names       */
} bv_gpt_head;

/* Tensors to bind and to read; absent ones are NULL. Inputs are [rows, 1] indices, but
 * for the prior. */
typedef struct bv_gpt {
    bv_gpt_config config;
    bv_graph *graph;
    bv_tensor *tokens, *positions;
    bv_tensor *ngrams[BV_NGRAM_MAX - 1]; /* rows of the tables of 2, 3, ... tokens (ngram.h) */
    bv_tensor *expected;                 /* rows of kneser_ney.weight (gpt_inputs.h)       */
    bv_tensor *prior;                    /* [rows, vocab_size], added to the logits of a loss */
    bv_tensor *row_ids;                  /* sample * context + position; only with dropout */
    bv_tensor *targets;                  /* BV_GPT_LOSS; >= vocab_size: no target          */
    bv_tensor *output_rows;              /* BV_GPT_LOGITS */
    bv_tensor *losses;                   /* [rows, 1]     */
    bv_tensor *logits;                   /* [outputs, head rows], before soft cap and prior */
} bv_gpt;

/* config must have passed bv_gpt_config_check. dropout: as configured, or none (not training). */
bv_status bv_gpt_create(const bv_gpt_config *config, bv_gpt_head head, bool training, bv_gpt *out);
void bv_gpt_destroy(bv_gpt *gpt);

/* Floating-point operations of the forward pass for one token of a sequence of the full context,
 * causal attention counted as it is computed (half); training takes three times as many. */
double bv_gpt_forward_flops(const bv_gpt_config *config);

#endif

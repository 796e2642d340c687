/*
 * What a plan of a GPT reads beside its tokens, by row: positions, rows of the n-gram tables, and
 * what an n-gram model expects. Owned by whoever runs the plan; one thread at a time.
 */
#ifndef BV_MODEL_GPT_INPUTS_H
#define BV_MODEL_GPT_INPUTS_H

#include "base/pool.h"
#include "kernel/kernel.h"
#include "model/gpt.h"
#include "model/kneser_ney.h"

typedef struct bv_gpt_inputs {
    const bv_gpt *gpt;               /* borrowed */
    const bv_kneser_ney *kneser_ney; /* borrowed; NULL: it expects all tokens alike */
    const bv_kernels *kernels;
    bv_pool *pool;
    size_t rows_max;
    uint32_t *positions;
    uint32_t *ngrams;   /* [config.ngram - 1, rows_max] */
    uint32_t *expected; /* rows of the table kneser_ney.weight */
    void *prior;        /* [rows_max, vocab_size] real: log-probabilities of what comes next */
} bv_gpt_inputs;

bv_status bv_gpt_inputs_create(const bv_gpt *gpt, const bv_kneser_ney *kneser_ney,
                               const bv_kernels *kernels, bv_pool *pool, size_t rows_max,
                               bv_gpt_inputs *out);
void bv_gpt_inputs_destroy(bv_gpt_inputs *inputs);

/* The row of the token *last at a position of its sequence; `known` tokens before it may be read.
 * target: left out of the counts, or BV_NO_TARGET. */
#define BV_NO_TARGET UINT32_MAX
void bv_gpt_inputs_place(bv_gpt_inputs *inputs, size_t row, const uint32_t *last, size_t position,
                         size_t known, uint32_t target);
/* All rows of whole sequences, tokens [sequences, length]. targets: [sequences, length], left out
 * of the counts: in training; else NULL. first_visible: by row, or NULL: 0. */
void bv_gpt_inputs_lay_out(bv_gpt_inputs *inputs, const uint32_t *tokens, const uint32_t *targets,
                           size_t sequences, size_t length, const uint32_t *first_visible);

void bv_gpt_inputs_bind(const bv_gpt_inputs *inputs, bv_plan *plan);

#endif

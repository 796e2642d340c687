/*
 * Scoring: -log p of every token of given sequences, by the same graph and kernels as training, so
 * that the bits are the same. The weights are borrowed. One thread at a time.
 */
#ifndef BV_MODEL_GPT_SCORE_H
#define BV_MODEL_GPT_SCORE_H

#include "model/gpt.h"
#include "model/kneser_ney.h"
#include "tensor/plan.h"

typedef struct bv_gpt_scorer_options {
    bv_gpt_config config; /* checked */
    bv_numerics numerics;
    const bv_kernels *kernels;
    bv_pool *pool;
    bv_weights *weights;             /* of this configuration */
    const bv_kneser_ney *kneser_ney; /* borrowed; NULL: none  */
    size_t sequences_max;            /* of one run            */
    size_t context;                  /* longest sequence      */
    bool unfused;
} bv_gpt_scorer_options;

typedef struct bv_gpt_scorer bv_gpt_scorer;

bv_status bv_gpt_scorer_create(const bv_gpt_scorer_options *options, bv_gpt_scorer **out);
void bv_gpt_scorer_destroy(bv_gpt_scorer **scorer);

/* inputs, targets: [sequences, length], length <= context; a target >= vocab_size has no loss.
 * losses: [sequences, length] real. Any number of sequences: they are cut into runs. */
void bv_gpt_scorer_losses(bv_gpt_scorer *scorer, const uint32_t *inputs, const uint32_t *targets,
                          const uint32_t *first_visible, size_t sequences, size_t length,
                          void *losses);
size_t bv_gpt_scorer_bytes(const bv_gpt_scorer *scorer);

/* Weights for a configuration, zero, with no plan yet: for loading a checkpoint into. */
bv_status bv_gpt_weights_create(const bv_gpt_config *config, const bv_kernels *kernels,
                                bv_pool *pool, bv_weights **out);
/* The same for weights that lie elsewhere: bv_weights_create_borrowed. */
bv_status bv_gpt_weights_create_borrowed(const bv_gpt_config *config, const bv_kernels *kernels,
                                         bv_pool *pool, bv_weights **out);

#endif

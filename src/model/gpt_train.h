/*
 * A GPT with what a training step needs: weights, plans for training and scoring, gradients,
 * optimizer. It knows nothing of files, schedules or loops (src/train does). One thread at a time.
 *
 * A step: step_begin; for each grain: grain_begin, micro-batches in order, grain_end; gradient;
 * apply (or not: a skipped step leaves weights and optimizer as they were).
 */
#ifndef BV_MODEL_GPT_TRAIN_H
#define BV_MODEL_GPT_TRAIN_H

#include "model/gpt_score.h"
#include "model/named_tensor.h"
#include "nn/optimizer.h"
#include "tensor/autograd.h"
#include "tensor/plan.h"

typedef struct bv_gpt_trainer_options {
    bv_gpt_config config; /* checked */
    bv_numerics numerics;
    const bv_kernels *kernels;
    bv_pool *pool;
    size_t batch_max;   /* sequences of a global batch  */
    size_t micro_batch; /* sequences of a micro-batch   */
    size_t grains;
    bv_recompute recompute;
    bool unfused;
    bool scratch; /* begins with weights of any values: for measuring */
    uint64_t seed;
    bv_optimizer_kind optimizer;
    const bv_kneser_ney *kneser_ney; /* counted of the text that is learnt; NULL: none */
    bv_trace *trace;                 /* of the pool; outlives the trainer. NULL: none */
} bv_gpt_trainer_options;

typedef struct bv_gpt_trainer bv_gpt_trainer;

bv_status bv_gpt_trainer_create(const bv_gpt_trainer_options *options, bv_gpt_trainer **out);
void bv_gpt_trainer_destroy(bv_gpt_trainer **trainer);

/* Master weights and optimizer state, sorted as made. After writing into them: changed. */
const bv_named_tensor *bv_gpt_trainer_parameters(bv_gpt_trainer *trainer, size_t *count);
const bv_named_tensor *bv_gpt_trainer_optimizer_state(bv_gpt_trainer *trainer, size_t *count);
void bv_gpt_trainer_changed(bv_gpt_trainer *trainer);

/* Back to the beginning: fresh weights of the seed, optimizer state zero. */
void bv_gpt_trainer_reset(bv_gpt_trainer *trainer);

/* step: of the run, keys dropout. targets: number of real targets in the whole global batch. */
void bv_gpt_trainer_step_begin(bv_gpt_trainer *trainer, uint32_t step, uint64_t targets);
void bv_gpt_trainer_grain_begin(bv_gpt_trainer *trainer);
/* inputs, targets: [sequences, config.context]; sequences <= micro_batch; first_visible: [rows] or
 * NULL; first_sample: index of the first sequence in the global batch, ascending over the step. */
void bv_gpt_trainer_micro(bv_gpt_trainer *trainer, const uint32_t *inputs, const uint32_t *targets,
                          const uint32_t *first_visible, size_t sequences, size_t first_sample);
void bv_gpt_trainer_grain_end(bv_gpt_trainer *trainer);
/* Mean loss over the targets, and the gradient's norm. */
void bv_gpt_trainer_gradient(bv_gpt_trainer *trainer, double *loss, double *norm);
void bv_gpt_trainer_apply(bv_gpt_trainer *trainer, const bv_optimizer_step *step);

bv_weights *bv_gpt_trainer_weights(bv_gpt_trainer *trainer);
/* What scores without learning, with the same weights; sequences_max is micro_batch. */
bv_gpt_scorer *bv_gpt_trainer_scorer(bv_gpt_trainer *trainer);
/* -log p of each target of the last step's batch, [sequences, config.context] real. */
const void *bv_gpt_trainer_row_losses(const bv_gpt_trainer *trainer);

/* The first parameter, in the order of the model, whose gradient is not finite; NULL: none. */
const char *bv_gpt_trainer_first_nonfinite(bv_gpt_trainer *trainer);

/* Gradient of parameter i, real, after gradient(). */
const void *bv_gpt_trainer_parameter_gradient(bv_gpt_trainer *trainer, size_t index);

typedef struct bv_gpt_trainer_memory {
    size_t weights, gradients, optimizer, activations; /* bytes */
} bv_gpt_trainer_memory;
bv_gpt_trainer_memory bv_gpt_trainer_memory_used(const bv_gpt_trainer *trainer);

#endif

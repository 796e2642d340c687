/*
 * Optimizers over all parameters of a model: AdamW (Loshchilov & Hutter 2019), or Muon (Jordan et
 * al. 2024) for hidden matrices with AdamW for the rest. Weight decay on matrices and tables only.
 */
#ifndef BV_NN_OPTIMIZER_H
#define BV_NN_OPTIMIZER_H

#include "nn/gradients.h"
#include "tensor/op.h"
#include "tensor/weights.h"

typedef enum bv_optimizer_kind { BV_OPTIMIZER_ADAMW, BV_OPTIMIZER_MUON } bv_optimizer_kind;

typedef struct bv_optimizer bv_optimizer;

/* numerics: at bf16 Muon's products take operands rounded to bf16, as its authors' do. */
bv_status bv_optimizer_create(const bv_kernels *kernels, bv_pool *pool, bv_weights *weights,
                              bv_optimizer_kind kind, bv_numerics numerics, bv_optimizer **out);
void bv_optimizer_destroy(bv_optimizer **optimizer);

typedef struct bv_optimizer_step {
    double lr, beta1, beta2, eps, weight_decay; /* AdamW */
    double muon_lr, muon_momentum;              /* Muon: update scaled by sqrt(max(1, rows/cols)) */
    double gradient_scale;                      /* clip factor, usually 1 */
    uint64_t step;                              /* 1 for the first: bias correction */
} bv_optimizer_step;

/* Changes the weights (and their version) and the state. Allocates nothing. */
void bv_optimizer_apply(bv_optimizer *optimizer, bv_gradients *gradients,
                        const bv_optimizer_step *step);

/* What one step must do at least. */
bv_cost bv_optimizer_cost(const bv_optimizer *optimizer);

/* State tensors, shaped as their parameters: name "m.NAME", "v.NAME" or "momentum.NAME". */
size_t bv_optimizer_state_count(const bv_optimizer *optimizer);
void *bv_optimizer_state(bv_optimizer *optimizer, size_t index, const char **name,
                         const bv_parameter **parameter);
size_t bv_optimizer_bytes(const bv_optimizer *optimizer); /* that it has taken */
/* Bytes of state and workspace that it would take, before anything is made. */
size_t bv_optimizer_need(const bv_kernels *kernels, bv_pool *pool, const bv_graph *graph,
                         bv_optimizer_kind kind, bv_numerics numerics);

#endif

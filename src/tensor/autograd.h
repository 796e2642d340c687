/*
 * Automatic differentiation: emits the gradient of a loss as further tensors of the same graph
 * (reverse mode, each op's own rule). Gradients of parameters are effects of the emitted tensors:
 * they add to bv_run.gradients. The gradient of a tensor has the role of the tensor.
 */
#ifndef BV_TENSOR_AUTOGRAD_H
#define BV_TENSOR_AUTOGRAD_H

#include "tensor/graph.h"

/* What a layer made that is computed again before its gradient, instead of being remembered (Chen
 * et al. 2016); the bits are the same. */
typedef enum bv_recompute {
    BV_RECOMPUTE_NONE,
    BV_RECOMPUTE_CHEAP, /* outputs of cheap ops whose inputs are remembered anyway */
    BV_RECOMPUTE_ALL,   /* all but what it marked `keep`                           */
} bv_recompute;

/* loss: the tensor of a head_loss. *losses becomes the tensor that holds the same row losses in the
 * differentiated graph. */
bv_status bv_graph_differentiate(bv_graph *g, bv_tensor *loss, bv_recompute recompute,
                                 bv_tensor **losses);

#endif

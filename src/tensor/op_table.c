/* The list of all ops. Adding an op: one op_*.c file, its declaration in op.h, one line here. */
#include "tensor/op.h"

static const bv_op *const ops[] = {
    &bv_op_parameter,
    &bv_op_embed,
    &bv_op_embed_gradient,
    &bv_op_add,
    &bv_op_cast,
    &bv_op_select,
    &bv_op_dropout,
    &bv_op_norm,
    &bv_op_norm_gradient,
    &bv_op_norm_parameters,
    &bv_op_linear,
    &bv_op_linear_input,
    &bv_op_linear_weight,
    &bv_op_bias_gradient,
    &bv_op_activate,
    &bv_op_activate_gradient,
    &bv_op_heads,
    &bv_op_heads_gradient,
    &bv_op_attention,
    &bv_op_attention_gradient,
    &bv_op_logits,
    &bv_op_head_loss,
    &bv_op_head_loss_gradient,
};

const bv_op *const *bv_ops(size_t *count) {
    *count = sizeof ops / sizeof *ops;
    return ops;
}

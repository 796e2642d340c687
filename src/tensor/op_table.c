/* The list of all ops. Adding an op: one op_*.c file, its declaration in op.h, one line here. */
#include "tensor/op.h"
#include "tensor/weights.h"

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

static double tensor_bytes(const bv_tensor *t, const bv_run *run) {
    if (!t) return 0;
    return (double)(bv_rows(run, t) * t->cols * bv_dtype_size(bv_type(run, t)));
}

unsigned bv_kept_forms(const bv_tensor *t, const bv_run *run) {
    return t->op->packs_many && bv_rows(run, t) >= BV_MANY_ROWS ? 0 : t->op->forms;
}

/* An effect reads and writes the gradient of the first parameter among its inputs; others read the
 * parameter: packed, or as it is. */
static double parameter_bytes(const bv_tensor *t, const bv_tensor *parameter, const bv_run *run) {
    const bv_parameter *p = parameter->parameter;
    const double count = (double)(p->rows * p->cols);
    const double real = (double)bv_dtype_size(run->kernels->real);
    double bytes = 0;
    const bv_dtype packed = bv_numerics_type(run->numerics, BV_ROLE_OPERAND);
    const double form = bv_kept_forms(t, run) ? (double)bv_dtype_size(packed) : real;
    for (int k = 0; k < BV_FORM_COUNT; k++)
        if (t->op->forms & 1u << k) bytes += form * count;
    if (t->op->effect)
        bytes += 2 * real * count;
    else if (!t->op->forms)
        bytes += real * count;
    return bytes;
}

double bv_operand_bytes(const bv_tensor *t, const bv_run *run) {
    double bytes = tensor_bytes(t, run);
    for (int i = 0; i < BV_EXTRAS_MAX; i++) bytes += tensor_bytes(t->extras[i], run);
    for (int i = 0; i < t->input_count; i++) {
        const bv_tensor *x = t->inputs[i];
        if (x) bytes += x->parameter ? parameter_bytes(t, x, run) : tensor_bytes(x, run);
    }
    return bytes;
}

bv_cost bv_cost_by_elements(const bv_tensor *t, const bv_run *run, const bv_tensor *x,
                            double flops) {
    return (bv_cost){.flops = flops * (double)(bv_rows(run, x) * x->cols),
                     .bytes = bv_operand_bytes(t, run)};
}

const bv_op *const *bv_ops(size_t *count) {
    *count = sizeof ops / sizeof *ops;
    return ops;
}

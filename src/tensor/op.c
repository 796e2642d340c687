/* What several ops share: shapes, checks, and the bytes that they move. */
#include "tensor/op.h"

#include "tensor/weights.h"

bv_status bv_shape_of_input(bv_graph *g, bv_tensor *t) {
    (void)g;
    bv_shape_like(t, t->inputs[0], t->inputs[0]->role);
    return BV_OK;
}

bv_status bv_shape_of_effect(bv_graph *g, bv_tensor *t) {
    (void)g;
    t->rows = (bv_dim){0, BV_FREE_NONE};
    t->cols = t->inputs[1]->cols;
    t->role = BV_ROLE_STREAM;
    return BV_OK;
}

bv_status bv_check_ids(const bv_tensor *t, const bv_tensor *ids) {
    if (ids->role == BV_ROLE_INDEX && ids->cols == 1) return BV_OK;
    return bv_shape_error(t, "ids \"%s\" must be [rows, 1] indices", ids->name);
}

bv_status bv_check_product(const bv_tensor *t) {
    const bv_tensor *x = t->inputs[0], *w = t->inputs[1];
    if (!w->parameter) return bv_shape_error(t, "\"%s\" is not a parameter", w->name);
    if (w->cols != x->cols)
        return bv_shape_error(t, "\"%s\" is [%zu, %zu], the rows of \"%s\" have %zu elements",
                              w->name, w->rows.factor, w->cols, x->name, x->cols);
    return BV_OK;
}

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
    const double count = (double)bv_parameter_elements(p);
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

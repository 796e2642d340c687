/* Activations: GELU, squared ReLU, SiLU, SwiGLU. */
#include "tensor/op.h"

static bv_status activate_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    const bv_activation kind = *(const bv_activation *)t->attributes;
    const bv_tensor *x = t->inputs[0];
    if (kind == BV_SWIGLU && x->cols % 2)
        return bv_shape_error(t, "gate and up need an even number of columns, not %zu", x->cols);
    bv_shape_like(t, x, x->role);
    if (kind == BV_SWIGLU) t->cols /= 2;
    return BV_OK;
}

static bv_activation_args activation_args(const bv_tensor *t, const bv_run *run, size_t cols) {
    return (bv_activation_args){.kind = *(const bv_activation *)t->attributes,
                                .cols = cols,
                                .x = bv_memory(run, t->inputs[0]),
                                .x_type = bv_type(run, t->inputs[0])};
}

static void activate_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    bv_activation_args args = activation_args(t, run, t->cols);
    args.y = bv_memory(run, t);
    args.y_type = bv_type(run, t);
    run->kernels->activation->forward(&args, begin, end);
}

static bv_status activate_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    bv_tensor *inputs[] = {y->inputs[0], dy};
    dx[0] = bv_tensor_make(g, &bv_op_activate_gradient, inputs, 2, y->attributes,
                           sizeof(bv_activation), y->file, y->line);
    return BV_OK;
}

static bv_cost activate_cost(const bv_tensor *t, const bv_run *run) {
    return bv_cost_by_elements(t, run, t, 20);
}

const bv_op bv_op_activate = {.name = "activate",
                              .shape = activate_shape,
                              .gradient = activate_gradient,
                              .cost = activate_cost,
                              .run_rows = activate_run,
                              .cheap = true};

static void gradient_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    bv_activation_args args = activation_args(t, run, t->inputs[1]->cols);
    args.dy = bv_memory(run, t->inputs[1]);
    args.y_type = bv_type(run, t->inputs[1]);
    args.dx = bv_memory(run, t);
    run->kernels->activation->backward(&args, begin, end);
}

const bv_op bv_op_activate_gradient = {.name = "activate_gradient",
                                       .shape = bv_shape_of_input,
                                       .cost = activate_cost,
                                       .run_rows = gradient_run,
                                       .in_place = 1u << 1};

bv_tensor *bv_activate_at(bv_graph *g, bv_tensor *x, bv_activation kind, const char *file,
                          int line) {
    return bv_tensor_make(g, &bv_op_activate, &x, 1, &kind, sizeof kind, file, line);
}

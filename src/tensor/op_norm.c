/* Layer norm and RMS norm. */
#include "tensor/op.h"
#include "tensor/weights.h"

typedef struct norm_attributes {
    bool rms;
    double eps;
} norm_attributes;

/* inputs: x, gain, bias; extras: rstd, mean */
static bv_status norm_shape(bv_graph *g, bv_tensor *t) {
    const norm_attributes *a = t->attributes;
    const bv_tensor *x = t->inputs[0];
    for (int i = 1; i < 3; i++)
        if (t->inputs[i] && t->inputs[i]->cols != x->cols)
            return bv_shape_error(t, "\"%s\" has %zu elements, the rows have %zu",
                                  t->inputs[i]->name, t->inputs[i]->cols, x->cols);
    bv_shape_like(t, x, BV_ROLE_OPERAND);
    bv_tensor_extra(g, t, 0, BV_ROLE_STREAM, t->rows, 1);
    if (!a->rms) bv_tensor_extra(g, t, 1, BV_ROLE_STREAM, t->rows, 1);
    return BV_OK;
}

static const void *vector(const bv_run *run, const bv_tensor *t) {
    return t ? bv_weights_data(run->weights, t->parameter) : NULL;
}

static bv_norm_args norm_args(const bv_tensor *y, const bv_run *run) {
    const norm_attributes *a = y->attributes;
    return (bv_norm_args){.cols = y->cols,
                          .rms = a->rms,
                          .eps = a->eps,
                          .x = bv_memory(run, y->inputs[0]),
                          .x_type = bv_type(run, y->inputs[0]),
                          .gain = vector(run, y->inputs[1]),
                          .bias = vector(run, y->inputs[2]),
                          .y = bv_memory(run, y),
                          .y_type = bv_numerics_type(run->numerics, BV_ROLE_OPERAND),
                          .rstd = bv_memory(run, y->extras[0]),
                          .mean = bv_memory(run, y->extras[1])};
}

static void norm_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    const bv_norm_args args = norm_args(t, run);
    run->kernels->norm->forward(&args, begin, end);
}

#define ADDEND 6

/* Emitted tensors: inputs x, gain, dy, rstd, mean, bias, and, of dx, what else the gradient of x
 * is a sum of; an extra of dx: the same as an operand, where somebody asks for it. */
static bv_status norm_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    bv_tensor *inputs[] = {y->inputs[0], y->inputs[1], dy,  y->extras[0],
                           y->extras[1], y->inputs[2], NULL};
    dx[0] = bv_tensor_make(g, &bv_op_norm_gradient, inputs, 7, y->attributes,
                           sizeof(norm_attributes), y->file, y->line);
    if (y->inputs[1])
        bv_tensor_make(g, &bv_op_norm_parameters, inputs, 6, y->attributes, sizeof(norm_attributes),
                       y->file, y->line);
    return BV_OK;
}

static bv_cost norm_cost(const bv_tensor *t, const bv_run *run) {
    return bv_cost_by_elements(t, run, t->inputs[0], 8);
}

const bv_op bv_op_norm = {.name = "norm",
                          .shape = norm_shape,
                          .gradient = norm_gradient,
                          .cost = norm_cost,
                          .run_rows = norm_run,
                          .cheap = true};

static bv_norm_args gradient_args(const bv_tensor *t, const bv_run *run) {
    const norm_attributes *a = t->attributes;
    return (bv_norm_args){.cols = t->inputs[0]->cols,
                          .rms = a->rms,
                          .eps = a->eps,
                          .x = bv_memory(run, t->inputs[0]),
                          .x_type = bv_type(run, t->inputs[0]),
                          .gain = vector(run, t->inputs[1]),
                          .dy = bv_memory(run, t->inputs[2]),
                          .y_type = bv_type(run, t->inputs[2]),
                          .rstd = bv_memory(run, t->inputs[3]),
                          .mean = bv_memory(run, t->inputs[4])};
}

static void norm_gradient_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    bv_norm_args args = gradient_args(t, run);
    args.addend = bv_memory(run, t->inputs[ADDEND]);
    args.dx = bv_memory(run, t);
    args.dx_rounded = bv_memory(run, t->extras[0]);
    run->kernels->norm->backward_input(&args, begin, end);
}

const bv_op bv_op_norm_gradient = {.name = "norm_gradient",
                                   .shape = bv_shape_of_input,
                                   .cost = norm_cost,
                                   .run_rows = norm_gradient_run,
                                   .in_place = 1u << ADDEND,
                                   .addend = ADDEND,
                                   .rounds = true};

typedef struct norm_task {
    const bv_kernels *kernels;
    bv_norm_args args;
    size_t rows;
} norm_task;

static void norm_columns(void *context, size_t begin, size_t end) {
    const norm_task *task = context;
    task->kernels->norm->backward_params(&task->args, task->rows, begin, end);
}

static void norm_parameters_run(const bv_tensor *t, const bv_run *run) {
    norm_task task = {run->kernels, gradient_args(t, run), bv_rows(run, t->inputs[0])};
    task.args.dgain = bv_gradient_memory(run, t->inputs[1], 0);
    task.args.dbias = t->inputs[5] ? bv_gradient_memory(run, t->inputs[5], 0) : NULL;
    bv_pool_run_ranges(run->pool, task.args.cols, 16, norm_columns, &task);
}

const bv_op bv_op_norm_parameters = {.name = "norm_parameters",
                                     .shape = bv_shape_of_effect,
                                     .cost = norm_cost,
                                     .run = norm_parameters_run,
                                     .effect = true};

bv_tensor *bv_norm_at(bv_graph *g, bv_tensor *x, bv_tensor *gain, bv_tensor *bias, bool rms,
                      double eps, const char *file, int line) {
    bv_tensor *inputs[] = {x, gain, bias};
    const norm_attributes a = {rms, eps};
    return bv_tensor_make(g, &bv_op_norm, inputs, 3, &a, sizeof a, file, line);
}

/* Linear layers: y = x W^T + b with W [out, in], or that added to a residual stream. */
#include "tensor/op.h"
#include "tensor/weights.h"

/* ---- forward: inputs x, W, b, residual ---- */

#define RESIDUAL 3

static bv_status check_residual(bv_tensor *t) {
    const bv_tensor *r = t->inputs[RESIDUAL];
    if (r->role != BV_ROLE_STREAM || r->cols != t->cols || !bv_same_rows(r, t))
        return bv_shape_error(t, "\"%s\" is not a stream of %zu columns and the same rows", r->name,
                              t->cols);
    t->role = BV_ROLE_STREAM;
    return BV_OK;
}

static bv_status linear_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    const bv_tensor *x = t->inputs[0], *w = t->inputs[1], *b = t->inputs[2];
    BV_TRY(bv_check_product(t));
    if (b && b->cols != w->rows.factor)
        return bv_shape_error(t, "bias \"%s\" has %zu elements, \"%s\" has %zu outputs", b->name,
                              b->cols, w->name, w->rows.factor);
    t->rows = x->rows;
    t->cols = w->rows.factor;
    t->role = BV_ROLE_OPERAND;
    return t->inputs[RESIDUAL] ? check_residual(t) : BV_OK;
}

static bv_matmul_args product(const bv_run *run, size_t m, size_t n, size_t k) {
    return (bv_matmul_args){
        .m = m, .n = n, .k = k, .type = bv_numerics_type(run->numerics, BV_ROLE_OPERAND)};
}

static bv_matmul_args linear_args(const bv_tensor *t, const bv_run *run) {
    bv_matmul_args a = product(run, bv_rows(run, t), t->cols, t->inputs[0]->cols);
    a.lda = a.k;
    a.ldc = a.n;
    a.c_type = bv_type(run, t);
    return a;
}

static size_t linear_scratch(const bv_tensor *t, const bv_run *run) {
    const bv_matmul_args a = linear_args(t, run);
    return bv_matmul_scratch_bytes(run->kernels, bv_pool_threads(run->pool), &a);
}

static void linear_run(const bv_tensor *t, const bv_run *run) {
    bv_matmul_args a = linear_args(t, run);
    a.a = bv_memory(run, t->inputs[0]);
    bv_weights_factor(run->weights, t->inputs[1]->parameter, run->numerics, BV_FORM_FORWARD, &a);
    a.c = bv_memory(run, t);
    if (t->inputs[2]) a.bias = bv_weights_data(run->weights, t->inputs[2]->parameter);
    a.addend = bv_memory(run, t->inputs[RESIDUAL]);
    bv_matmul_run(run->kernels, run->pool, &a, run->scratch);
}

static bv_status linear_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    bv_tensor *x = y->inputs[0], *w = y->inputs[1], *b = y->inputs[2];
    if (y->inputs[RESIDUAL]) {
        dx[RESIDUAL] = dy;
        dy = bv_cast_at(g, dy, BV_ROLE_OPERAND, y->file, y->line);
    }
    bv_tensor *input[] = {dy, w, x}, *weight[] = {dy, w, x}, *bias[] = {dy, b};
    bv_tensor *t = bv_tensor_make(g, &bv_op_linear_weight, weight, 3, NULL, 0, y->file, y->line);
    t->use = y->use;
    if (b) bv_tensor_make(g, &bv_op_bias_gradient, bias, 2, NULL, 0, y->file, y->line);
    dx[0] = bv_tensor_make(g, &bv_op_linear_input, input, 2, NULL, 0, y->file, y->line);
    return BV_OK;
}

/* Of y = x W^T, of dx and of dW: their first input has the rows of the run. */
static bv_cost linear_cost(const bv_tensor *t, const bv_run *run) {
    const bv_parameter *w = t->inputs[1]->parameter;
    const double rows = (double)bv_rows(run, t->inputs[0]);
    return (bv_cost){.products = 2 * rows * (double)w->rows * (double)w->cols,
                     .bytes = bv_operand_bytes(t, run)};
}

const bv_op bv_op_linear = {.name = "linear",
                            .shape = linear_shape,
                            .gradient = linear_gradient,
                            .cost = linear_cost,
                            .scratch = linear_scratch,
                            .run = linear_run,
                            .forms = 1u << BV_FORM_FORWARD,
                            .packs_many = true,
                            .in_place = 1u << RESIDUAL};

bv_tensor *bv_linear_onto_at(bv_graph *g, bv_tensor *residual, bv_tensor *x, bv_tensor *weight,
                             bv_tensor *bias, const char *file, int line) {
    bv_tensor *inputs[] = {x, weight, bias, residual};
    return bv_tensor_make(g, &bv_op_linear, inputs, 4, NULL, 0, file, line);
}

bv_tensor *bv_linear_at(bv_graph *g, bv_tensor *x, bv_tensor *weight, bv_tensor *bias,
                        const char *file, int line) {
    return bv_linear_onto_at(g, NULL, x, weight, bias, file, line);
}

/* ---- dx = dy W: inputs dy, W ---- */

static bv_status input_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    t->rows = t->inputs[0]->rows;
    t->cols = t->inputs[1]->cols;
    t->role = BV_ROLE_OPERAND;
    return BV_OK;
}

static void input_run(const bv_tensor *t, const bv_run *run) {
    bv_matmul_args a = linear_args(t, run);
    a.a = bv_memory(run, t->inputs[0]);
    bv_weights_factor(run->weights, t->inputs[1]->parameter, run->numerics, BV_FORM_BACKWARD, &a);
    a.c = bv_memory(run, t);
    bv_matmul_run(run->kernels, run->pool, &a, run->scratch);
}

const bv_op bv_op_linear_input = {.name = "linear_input",
                                  .shape = input_shape,
                                  .cost = linear_cost,
                                  .scratch = linear_scratch,
                                  .run = input_run,
                                  .forms = 1u << BV_FORM_BACKWARD,
                                  .packs_many = true};

/* ---- dW += dy^T x: inputs dy, W, x ---- */

static bv_matmul_args weight_args(const bv_tensor *t, const bv_run *run) {
    const bv_tensor *dy = t->inputs[0], *x = t->inputs[2];
    bv_matmul_args a = product(run, dy->cols, x->cols, bv_rows(run, dy));
    a.a_transposed = true;
    a.lda = dy->cols;
    a.b_source = (bv_matmul_source){NULL, a.type, x->cols, 1, a.k, a.n};
    a.ldc = a.n;
    a.c_type = run->kernels->real;
    return a;
}

static size_t weight_scratch(const bv_tensor *t, const bv_run *run) {
    const bv_matmul_args a = weight_args(t, run);
    return bv_matmul_scratch_bytes(run->kernels, bv_pool_threads(run->pool), &a);
}

static void weight_run(const bv_tensor *t, const bv_run *run) {
    bv_matmul_args a = weight_args(t, run);
    a.a = bv_memory(run, t->inputs[0]);
    a.b_source.data = bv_memory(run, t->inputs[2]);
    a.c = bv_gradient_begin(run, t->inputs[1], t->use, &a.accumulate);
    bv_matmul_run(run->kernels, run->pool, &a, run->scratch);
}

const bv_op bv_op_linear_weight = {.name = "linear_weight",
                                   .shape = bv_shape_of_effect,
                                   .cost = linear_cost,
                                   .scratch = weight_scratch,
                                   .run = weight_run,
                                   .effect = true};

/* ---- db += columns of dy: inputs dy, b ---- */

typedef struct bias_task {
    const bv_kernels *kernels;
    bv_bias_gradient_args args;
    size_t rows;
} bias_task;

static void bias_columns(void *context, size_t begin, size_t end) {
    const bias_task *task = context;
    task->kernels->elementwise->bias_gradient(&task->args, task->rows, begin, end);
}

static void bias_run(const bv_tensor *t, const bv_run *run) {
    const bv_tensor *dy = t->inputs[0];
    bias_task task = {.kernels = run->kernels,
                      .rows = bv_rows(run, dy),
                      .args = {.cols = dy->cols,
                               .dy = bv_memory(run, dy),
                               .dy_type = bv_type(run, dy),
                               .dbias = bv_gradient_memory(run, t->inputs[1], 0)}};
    bv_pool_run_ranges(run->pool, dy->cols, 16, bias_columns, &task);
}

static bv_cost bias_cost(const bv_tensor *t, const bv_run *run) {
    return bv_cost_by_elements(t, run, t->inputs[0], 1);
}

const bv_op bv_op_bias_gradient = {.name = "bias_gradient",
                                   .shape = bv_shape_of_effect,
                                   .cost = bias_cost,
                                   .run = bias_run,
                                   .effect = true};

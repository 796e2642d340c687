/* Sums, casts between roles, selection of rows, dropout. */
#include "tensor/op.h"

/* ---- add: a + b -> stream ---- */

static bv_status add_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    const bv_tensor *a = t->inputs[0], *b = t->inputs[1];
    if (a->cols != b->cols)
        return bv_shape_error(t, "\"%s\" has %zu columns, \"%s\" has %zu", a->name, a->cols,
                              b->name, b->cols);
    if (!bv_same_rows(a, b))
        return bv_shape_error(t, "\"%s\" and \"%s\" do not have the same rows", a->name, b->name);
    bv_shape_like(t, a, BV_ROLE_STREAM);
    return BV_OK;
}

/* dy as the gradient of x: itself, or rounded to x's role. */
static bv_tensor *in_role_of(bv_graph *g, bv_tensor *dy, const bv_tensor *x) {
    return dy->role == x->role ? dy : bv_cast_at(g, dy, x->role, x->file, x->line);
}

static bv_status add_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    for (int i = 0; i < 2; i++) dx[i] = in_role_of(g, dy, y->inputs[i]);
    return BV_OK;
}

static bv_cost add_cost(const bv_tensor *t, const bv_run *run) {
    return bv_cost_by_elements(t, run, t, 1);
}

static void add_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    const bv_tensor *a = t->inputs[0], *b = t->input_count > 1 ? t->inputs[1] : NULL;
    const bv_add_args args = {.a = bv_memory(run, a),
                              .b = b ? bv_memory(run, b) : NULL,
                              .y = bv_memory(run, t),
                              .a_type = bv_type(run, a),
                              .b_type = b ? bv_type(run, b) : BV_F32,
                              .y_type = bv_type(run, t),
                              .scale = 1};
    run->kernels->elementwise->add(&args, begin * t->cols, end * t->cols);
}

const bv_op bv_op_add = {.name = "add",
                         .shape = add_shape,
                         .gradient = add_gradient,
                         .cost = add_cost,
                         .run_rows = add_run,
                         .in_place = 1u << 0 | 1u << 1};

bv_tensor *bv_add_at(bv_graph *g, bv_tensor *a, bv_tensor *b, const char *file, int line) {
    bv_tensor *inputs[] = {a, b};
    return bv_tensor_make(g, &bv_op_add, inputs, 2, NULL, 0, file, line);
}

/* ---- cast: the same values in another role ---- */

static bv_status cast_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    bv_shape_like(t, t->inputs[0], *(const bv_role *)t->attributes);
    return BV_OK;
}

static bv_status cast_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    dx[0] = in_role_of(g, dy, y->inputs[0]);
    return BV_OK;
}

const bv_op bv_op_cast = {.name = "cast",
                          .shape = cast_shape,
                          .gradient = cast_gradient,
                          .cost = add_cost,
                          .run_rows = add_run};

bv_tensor *bv_cast_at(bv_graph *g, bv_tensor *x, bv_role role, const char *file, int line) {
    if (x->op && x->op->rounds && role == BV_ROLE_OPERAND)
        return x->extras[0] ? x->extras[0] : bv_tensor_extra(g, x, 0, role, x->rows, x->cols);
    return bv_tensor_make(g, &bv_op_cast, &x, 1, &role, sizeof role, file, line);
}

/* ---- select: the rows that ids names ---- */

static bv_status select_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    const bv_tensor *x = t->inputs[0], *ids = t->inputs[1];
    BV_TRY(bv_check_ids(t, ids));
    t->rows = ids->rows;
    t->cols = x->cols;
    t->role = x->role;
    return BV_OK;
}

static void select_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    const bv_embed_args args = {.cols = t->cols,
                                .ids = bv_memory(run, t->inputs[1]),
                                .table = bv_memory(run, t->inputs[0]),
                                .table_type = bv_type(run, t),
                                .y = bv_memory(run, t),
                                .y_type = bv_type(run, t)};
    run->kernels->embedding->forward(&args, begin, end);
}

/* Of x only the rows that are named. */
static bv_cost select_cost(const bv_tensor *t, const bv_run *run) {
    const size_t count = bv_rows(run, t) * t->cols;
    return (bv_cost){.bytes = 2.0 * (double)(count * bv_dtype_size(bv_type(run, t)))};
}

const bv_op bv_op_select = {
    .name = "select", .shape = select_shape, .cost = select_cost, .run_rows = select_run};

bv_tensor *bv_select_at(bv_graph *g, bv_tensor *x, bv_tensor *ids, const char *file, int line) {
    bv_tensor *inputs[] = {x, ids};
    return bv_tensor_make(g, &bv_op_select, inputs, 2, NULL, 0, file, line);
}

/* ---- dropout: its own gradient ---- */

typedef struct dropout_attributes {
    double p;
    uint32_t site;
} dropout_attributes;

static bv_status dropout_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    const dropout_attributes *a = t->attributes;
    if (!(a->p >= 0 && a->p < 1)) return bv_shape_error(t, "p is %g, not in [0, 1)", a->p);
    bv_shape_like(t, t->inputs[0], t->inputs[0]->role);
    return BV_OK;
}

static bv_status dropout_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    bv_tensor *inputs[] = {dy, y->inputs[1]};
    dx[0] = bv_tensor_make(g, &bv_op_dropout, inputs, 2, y->attributes, sizeof(dropout_attributes),
                           y->file, y->line);
    return BV_OK;
}

static void dropout_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    const dropout_attributes *a = t->attributes;
    const bv_dropout_args args = {.cols = t->cols,
                                  .x = bv_memory(run, t->inputs[0]),
                                  .y = bv_memory(run, t),
                                  .x_type = bv_type(run, t->inputs[0]),
                                  .y_type = bv_type(run, t),
                                  .p = a->p,
                                  .seed = run->seed,
                                  .site = a->site,
                                  .step = run->step,
                                  .row_ids = bv_memory(run, t->inputs[1])};
    run->kernels->elementwise->dropout(&args, begin, end);
}

const bv_op bv_op_dropout = {.name = "dropout",
                             .shape = dropout_shape,
                             .gradient = dropout_gradient,
                             .cost = add_cost,
                             .run_rows = dropout_run};

bv_tensor *bv_dropout_at(bv_graph *g, bv_tensor *x, bv_tensor *row_ids, double p, const char *file,
                         int line) {
    if (p == 0) return x;
    bv_tensor *inputs[] = {x, row_ids};
    const dropout_attributes a = {p, g->sites++};
    return bv_tensor_make(g, &bv_op_dropout, inputs, 2, &a, sizeof a, file, line);
}

/* ---- parameter: no step of its own ---- */

static bv_status parameter_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    (void)t;
    return BV_OK;
}

const bv_op bv_op_parameter = {.name = "parameter", .shape = parameter_shape};

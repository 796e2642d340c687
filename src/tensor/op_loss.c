/* The head: logits for sampling, and head + cross-entropy in one for training, by blocks of rows,
 * so that the logits of a whole batch never exist. A block is a range of rows in ascending order,
 * so the chains of dW continue from one block to the next. */
#include "base/order.h"
#include "tensor/op.h"
#include "tensor/weights.h"

#define BLOCK_ROWS 256                 /* at least */
#define BLOCK_LOGITS ((size_t)1 << 18) /* of more rows, where there are few classes */

typedef struct head_attributes {
    double soft_cap;
} head_attributes;

/* prior: or NULL. */
static bv_status check_prior(const bv_tensor *t, const bv_tensor *prior) {
    const size_t rows = t->inputs[1]->rows.factor;
    if (!prior || prior->cols + 1 == rows) return BV_OK;
    return bv_shape_error(t, "the prior has %zu classes, \"%s\" %zu rows instead of one more",
                          prior->cols, t->inputs[1]->name, rows);
}

/* ---- the parts that all three ops share ---- */

/* The block's place in scratch. */
typedef struct head_block {
    size_t classes, stride, block_rows; /* classes: rows of W */
    bv_dtype type, real;
    char *logits, *dlogits, *matmul;
    size_t logits_bytes, dlogits_bytes;
} head_block;

static head_block block_of(const bv_tensor *t, const bv_run *run, bool gradient) {
    head_block b = {.classes = t->inputs[1]->rows.factor,
                    .type = bv_numerics_type(run->numerics, BV_ROLE_OPERAND),
                    .real = run->kernels->real};
    const size_t rows = bv_rows(run, t->inputs[0]);
    b.stride = (b.classes + 15) / 16 * 16;
    b.block_rows = bv_larger(BLOCK_ROWS, BLOCK_LOGITS / b.stride);
    if (b.block_rows > rows) b.block_rows = rows;
    b.logits_bytes = bv_align64(b.block_rows * b.stride * bv_dtype_size(b.real));
    if (gradient && b.type != b.real)
        b.dlogits_bytes = bv_align64(b.block_rows * b.stride * bv_dtype_size(b.type));
    b.logits = run->scratch;
    b.dlogits = b.dlogits_bytes ? b.logits + b.logits_bytes : b.logits;
    b.matmul = b.logits + b.logits_bytes + b.dlogits_bytes;
    return b;
}

static bv_matmul_args logits_args(const bv_tensor *t, const head_block *b, size_t rows) {
    const size_t width = t->inputs[0]->cols;
    return (bv_matmul_args){.m = rows,
                            .n = b->classes,
                            .k = width,
                            .type = b->type,
                            .lda = width,
                            .ldc = b->stride,
                            .c_type = b->real};
}

static bv_matmul_args input_args(const bv_tensor *t, const head_block *b, size_t rows) {
    const size_t width = t->inputs[0]->cols;
    return (bv_matmul_args){.m = rows,
                            .n = width,
                            .k = b->classes,
                            .type = b->type,
                            .lda = b->stride,
                            .ldc = width,
                            .c_type = b->type};
}

static bv_matmul_args weight_args(const bv_tensor *t, const head_block *b, size_t rows) {
    const size_t width = t->inputs[0]->cols;
    return (bv_matmul_args){.m = b->classes,
                            .n = width,
                            .k = rows,
                            .type = b->type,
                            .lda = b->stride,
                            .a_transposed = true,
                            .b_source = {NULL, b->type, width, 1, rows, width},
                            .ldc = width,
                            .c_type = b->real};
}

static size_t head_scratch(const bv_tensor *t, const bv_run *run, bool gradient) {
    const head_block b = block_of(t, run, gradient);
    const int threads = bv_pool_threads(run->pool);
    bv_matmul_args y = logits_args(t, &b, b.block_rows);
    /* Who learns packs before: no room for panels as wide as the vocabulary. */
    y.b = gradient ? t->inputs[1] : NULL;
    size_t bytes = bv_matmul_scratch_bytes(run->kernels, threads, &y);
    if (gradient) {
        bv_matmul_args dx = input_args(t, &b, b.block_rows);
        dx.b = y.b;
        const bv_matmul_args dw = weight_args(t, &b, b.block_rows);
        bytes = bv_larger(bytes, bv_matmul_scratch_bytes(run->kernels, threads, &dx));
        bytes = bv_larger(bytes, bv_matmul_scratch_bytes(run->kernels, threads, &dw));
    }
    return b.logits_bytes + b.dlogits_bytes + bytes;
}

/* Logits of rows row .. row + rows into `out`, stride columns apart. */
static void make_logits(const bv_tensor *t, const bv_run *run, const head_block *b, size_t row,
                        size_t rows, void *out, size_t stride) {
    bv_matmul_args a = logits_args(t, b, rows);
    a.a = bv_row_at(run, t->inputs[0], row);
    bv_weights_factor(run->weights, t->inputs[1]->parameter, run->numerics, BV_FORM_FORWARD, &a);
    a.c = out;
    a.ldc = stride;
    bv_matmul_run(run->kernels, run->pool, &a, b->matmul);
}

typedef struct loss_task {
    const bv_kernels *kernels;
    bv_loss_args args;
} loss_task;

static void loss_part(void *context, size_t begin, size_t end) {
    const loss_task *task = context;
    task->kernels->loss->cross_entropy(&task->args, begin, end);
}

static void cross_entropy(const bv_tensor *t, const bv_run *run, const head_block *b, size_t row,
                          size_t rows, void *losses, bool gradient) {
    const size_t real = bv_dtype_size(b->real);
    const bv_tensor *prior = t->inputs[3];
    loss_task task = {.kernels = run->kernels,
                      .args = {.classes = prior ? prior->cols : b->classes,
                               .stride = b->stride,
                               .logits = b->logits,
                               .prior = prior ? bv_row_at(run, prior, row) : NULL,
                               .soft_cap = ((const head_attributes *)t->attributes)->soft_cap,
                               .targets = (const uint32_t *)bv_memory(run, t->inputs[2]) + row,
                               .losses = (char *)losses + row * real,
                               .scale = run->loss_scale,
                               .dlogits = gradient ? b->dlogits : NULL,
                               .dlogits_type = b->type}};
    bv_pool_run_ranges(run->pool, rows, 1, loss_part, &task);
}

/* Softmax and loss are about 20 FLOPs a logit. */
static bv_cost head_cost(const bv_tensor *t, const bv_run *run) {
    const bv_parameter *w = t->inputs[1]->parameter;
    const double logits = (double)bv_rows(run, t->inputs[0]) * (double)w->rows;
    return (bv_cost){.products = 2 * logits * (double)w->cols,
                     .flops = 20 * logits,
                     .bytes = bv_operand_bytes(t, run)};
}

/* ---- logits: inputs x, W ---- */

static bv_status logits_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    BV_TRY(bv_check_product(t));
    t->rows = t->inputs[0]->rows;
    t->cols = t->inputs[1]->rows.factor;
    t->role = BV_ROLE_STREAM;
    return BV_OK;
}

static size_t logits_scratch(const bv_tensor *t, const bv_run *run) {
    return head_scratch(t, run, false);
}

static void logits_run(const bv_tensor *t, const bv_run *run) {
    head_block b = block_of(t, run, false);
    b.matmul = run->scratch;
    make_logits(t, run, &b, 0, bv_rows(run, t), bv_memory(run, t), t->cols);
}

const bv_op bv_op_logits = {.name = "logits",
                            .shape = logits_shape,
                            .cost = head_cost,
                            .scratch = logits_scratch,
                            .run = logits_run,
                            .forms = 1u << BV_FORM_FORWARD};

bv_tensor *bv_logits_at(bv_graph *g, bv_tensor *x, bv_tensor *weight, const char *file, int line) {
    bv_tensor *inputs[] = {x, weight};
    return bv_tensor_make(g, &bv_op_logits, inputs, 2, NULL, 0, file, line);
}

/* ---- head_loss: inputs x, W, targets, prior -> losses ---- */

static bv_status loss_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    BV_TRY(bv_check_product(t));
    BV_TRY(check_prior(t, t->inputs[3]));
    t->rows = t->inputs[0]->rows;
    t->cols = 1;
    t->role = BV_ROLE_STREAM;
    return BV_OK;
}

static void loss_run(const bv_tensor *t, const bv_run *run) {
    const head_block b = block_of(t, run, false);
    const size_t rows = bv_rows(run, t);
    for (size_t row = 0; row < rows; row += b.block_rows) {
        const size_t n = rows - row < b.block_rows ? rows - row : b.block_rows;
        make_logits(t, run, &b, row, n, b.logits, b.stride);
        cross_entropy(t, run, &b, row, n, bv_memory(run, t), false);
    }
}

/* The gradient computes the losses, too: it takes the place of the forward tensor, which then is
 * not needed and is dropped by the plan. dy is 1: the loss is the root. */
static bv_status loss_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    (void)dy;
    bv_tensor *inputs[] = {y->inputs[0], y->inputs[1], y->inputs[2], y->inputs[3]};
    bv_tensor *t = bv_tensor_make(g, &bv_op_head_loss_gradient, inputs, 4, y->attributes,
                                  sizeof(head_attributes), y->file, y->line);
    t->use = y->use;
    dx[0] = t;
    return BV_OK;
}

const bv_op bv_op_head_loss = {.name = "head_loss",
                               .shape = loss_shape,
                               .gradient = loss_gradient,
                               .cost = head_cost,
                               .scratch = logits_scratch,
                               .run = loss_run,
                               .forms = 1u << BV_FORM_FORWARD};

/* ---- head_loss_gradient: inputs x, W, targets, prior -> dx; extra: losses ---- */

static bv_status gradient_shape(bv_graph *g, bv_tensor *t) {
    BV_TRY(bv_check_product(t));
    bv_shape_like(t, t->inputs[0], t->inputs[0]->role);
    bv_tensor_extra(g, t, 0, BV_ROLE_STREAM, t->rows, 1);
    return BV_OK;
}

static size_t gradient_scratch(const bv_tensor *t, const bv_run *run) {
    return head_scratch(t, run, true);
}

static void gradient_run(const bv_tensor *t, const bv_run *run) {
    const head_block b = block_of(t, run, true);
    const size_t rows = bv_rows(run, t);
    const bv_parameter *w = t->inputs[1]->parameter;
    for (size_t row = 0; row < rows; row += b.block_rows) {
        const size_t n = rows - row < b.block_rows ? rows - row : b.block_rows;
        make_logits(t, run, &b, row, n, b.logits, b.stride);
        cross_entropy(t, run, &b, row, n, bv_memory(run, t->extras[0]), true);
        bv_matmul_args dx = input_args(t, &b, n);
        dx.a = b.dlogits;
        bv_weights_factor(run->weights, w, run->numerics, BV_FORM_BACKWARD, &dx);
        dx.c = bv_row_at(run, t, row);
        bv_matmul_run(run->kernels, run->pool, &dx, b.matmul);
        bv_matmul_args dw = weight_args(t, &b, n);
        dw.a = b.dlogits;
        dw.b_source.data = bv_row_at(run, t->inputs[0], row);
        dw.c = bv_gradient_begin(run, t->inputs[1], t->use, &dw.accumulate);
        bv_matmul_run(run->kernels, run->pool, &dw, b.matmul);
    }
}

/* The logits, dx and dW. */
static bv_cost gradient_cost(const bv_tensor *t, const bv_run *run) {
    const bv_cost one = head_cost(t, run);
    return (bv_cost){3 * one.products, one.flops, one.bytes};
}

const bv_op bv_op_head_loss_gradient = {.name = "head_loss_gradient",
                                        .shape = gradient_shape,
                                        .cost = gradient_cost,
                                        .scratch = gradient_scratch,
                                        .run = gradient_run,
                                        .forms = 1u << BV_FORM_FORWARD | 1u << BV_FORM_BACKWARD,
                                        .effect = true};

bv_tensor *bv_head_loss_at(bv_graph *g, bv_tensor *x, bv_tensor *weight, bv_tensor *targets,
                           bv_tensor *prior, double soft_cap, const char *file, int line) {
    bv_tensor *inputs[] = {x, weight, targets, prior};
    const head_attributes a = {soft_cap};
    return bv_tensor_make(g, &bv_op_head_loss, inputs, 4, &a, sizeof a, file, line);
}

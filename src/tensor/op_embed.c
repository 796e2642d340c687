/* Embedding: rows of a table by index. The gradient adds rows in ascending order (law of section
 * "Sums": one chain an element), a thread taking columns. */
#include "tensor/op.h"
#include "tensor/weights.h"

static bv_status embed_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    const bv_tensor *ids = t->inputs[0], *table = t->inputs[1];
    BV_TRY(bv_check_ids(t, ids));
    if (!table->parameter) return bv_shape_error(t, "\"%s\" is not a parameter", table->name);
    t->rows = ids->rows;
    t->cols = table->cols;
    t->role = BV_ROLE_STREAM;
    return BV_OK;
}

#define PIECE 256 /* elements of a row that are rounded at once */

/* Rows in class bf16/1: the table's reals, rounded on the way as a product's weights are. */
static void embed_rounded(const bv_kernels *kernels, const float *row, void *y, bv_dtype y_type,
                          size_t cols) {
    uint16_t rounded[PIECE];
    for (size_t i = 0; i < cols; i += PIECE) {
        const size_t n = cols - i < PIECE ? cols - i : PIECE;
        const bv_add_args there = {
            .a = row + i, .y = rounded, .a_type = BV_F32, .y_type = BV_BF16, .scale = 1};
        const bv_add_args back = {.a = rounded,
                                  .y = (char *)y + i * bv_dtype_size(y_type),
                                  .a_type = BV_BF16,
                                  .y_type = y_type,
                                  .scale = 1};
        kernels->elementwise->add(&there, 0, n);
        kernels->elementwise->add(&back, 0, n);
    }
}

static void embed_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    const bv_kernels *kernels = run->kernels;
    bv_embed_args a = {.cols = t->cols,
                       .ids = bv_memory(run, t->inputs[0]),
                       .table = bv_weights_data(run->weights, t->inputs[1]->parameter),
                       .table_type = kernels->real,
                       .y = bv_memory(run, t),
                       .y_type = bv_type(run, t)};
    if (bv_numerics_type(run->numerics, BV_ROLE_OPERAND) == kernels->real) {
        kernels->embedding->forward(&a, begin, end);
        return;
    }
    for (size_t r = begin; r < end; r++)
        embed_rounded(kernels, (const float *)a.table + a.ids[r] * a.cols,
                      (char *)a.y + r * a.cols * bv_dtype_size(a.y_type), a.y_type, a.cols);
}

static bv_status embed_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    (void)dx;
    bv_tensor *inputs[] = {y->inputs[0], dy, y->inputs[1]};
    bv_tensor *t = bv_tensor_make(g, &bv_op_embed_gradient, inputs, 3, NULL, 0, y->file, y->line);
    t->use = y->use;
    return BV_OK;
}

/* Of the table only the rows that are named. */
static bv_cost embed_cost(const bv_tensor *t, const bv_run *run) {
    const size_t table = bv_dtype_size(run->kernels->real);
    const double count = (double)(bv_rows(run, t) * t->cols);
    return (bv_cost){.bytes = count * (double)(table + bv_dtype_size(bv_type(run, t)))};
}

const bv_op bv_op_embed = {.name = "embed",
                           .shape = embed_shape,
                           .gradient = embed_gradient,
                           .cost = embed_cost,
                           .run_rows = embed_run,
                           .names_rows = true};

typedef struct embed_task {
    const bv_kernels *kernels;
    bv_embed_args args;
    size_t rows;
} embed_task;

static void embed_columns(void *context, size_t begin, size_t end) {
    const embed_task *task = context;
    task->kernels->embedding->backward(&task->args, task->rows, begin, end);
}

static size_t embed_gradient_scratch(const bv_tensor *t, const bv_run *run) {
    return bv_rows(run, t->inputs[0]) * sizeof(uint32_t);
}

/* inputs: ids, dy, table */
static void embed_gradient_run(const bv_tensor *t, const bv_run *run) {
    embed_task task = {.kernels = run->kernels,
                       .rows = bv_rows(run, t->inputs[1]),
                       .args = {.cols = t->cols,
                                .dy = bv_memory(run, t->inputs[1]),
                                .y_type = bv_type(run, t->inputs[1])}};
    task.args.dtable = bv_gradient_rows(run, t->inputs[2], t->use, bv_memory(run, t->inputs[0]),
                                        task.rows, run->scratch, &task.args.ids);
    bv_pool_run_ranges(run->pool, t->cols, 16, embed_columns, &task);
}

static bv_cost embed_gradient_cost(const bv_tensor *t, const bv_run *run) {
    const bv_tensor *dy = t->inputs[1];
    const double count = (double)(bv_rows(run, dy) * dy->cols);
    const size_t moved = bv_dtype_size(bv_type(run, dy)) + 2 * bv_dtype_size(run->kernels->real);
    return (bv_cost){.flops = count, .bytes = count * (double)moved};
}

const bv_op bv_op_embed_gradient = {.name = "embed_gradient",
                                    .shape = bv_shape_of_effect,
                                    .cost = embed_gradient_cost,
                                    .scratch = embed_gradient_scratch,
                                    .run = embed_gradient_run,
                                    .effect = true};

bv_tensor *bv_embed_at(bv_graph *g, bv_tensor *ids, bv_tensor *table, const char *file, int line) {
    bv_tensor *inputs[] = {ids, table};
    return bv_tensor_make(g, &bv_op_embed, inputs, 2, NULL, 0, file, line);
}

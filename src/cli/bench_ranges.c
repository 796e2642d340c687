/* Kernels that a pool divides by ranges of rows, columns or elements. */
#include "cli/bench_job.h"

#define BY_RANGES(NAME, CALL)                                                                      \
    static void NAME##_part(void *context, int part, int parts) {                                  \
        const bv_bench_job *j = context;                                                           \
        const bv_kernels *kernels = j->use->kernels;                                               \
        size_t begin, end;                                                                         \
        bv_pool_range(j->rows, j->unit, part, parts, &begin, &end);                                \
        if (begin < end) CALL;                                                                     \
    }                                                                                              \
    static void NAME(bv_bench_job *j) {                                                            \
        bv_pool_run(j->use->pool, NAME##_part, j);                                                 \
    }
BY_RANGES(run_norm, kernels->norm->forward(&j->args.norm, begin, end))
BY_RANGES(run_norm_backward, kernels->norm->backward_input(&j->args.norm, begin, end))
BY_RANGES(run_gelu, kernels->activation->forward(&j->args.activation, begin, end))
BY_RANGES(run_gelu_backward, kernels->activation->backward(&j->args.activation, begin, end))
BY_RANGES(run_add, kernels->elementwise->add(&j->args.add, begin, end))
BY_RANGES(run_embed, kernels->embedding->forward(&j->args.embed, begin, end))
BY_RANGES(run_loss, kernels->loss->cross_entropy(&j->args.loss, begin, end))
BY_RANGES(run_logs, kernels->loss->logs(j->args.elements.sums + begin,
                                        (float *)j->args.elements.update + begin, end - begin))
BY_RANGES(run_adamw, kernels->optimizer->adamw(&j->args.adamw, begin, end))
BY_RANGES(run_dropout, kernels->elementwise->dropout(&j->args.dropout, begin, end))
BY_RANGES(run_heads, kernels->heads->forward(&j->args.heads, begin, end))
BY_RANGES(run_heads_backward, kernels->heads->backward(&j->args.heads, begin, end))
/* These divide columns; all rows are one chain. */
BY_RANGES(run_norm_params, kernels->norm->backward_params(&j->args.norm, j->shape[0], begin, end))
BY_RANGES(run_bias, kernels->elementwise->bias_gradient(&j->args.bias, j->shape[0], begin, end))
BY_RANGES(run_embed_backward, kernels->embedding->backward(&j->args.embed, j->shape[0], begin, end))
/* Sums divide chunks. */
BY_RANGES(run_square_sums, kernels->optimizer->square_sums(j->args.elements.gradient, j->shape[1],
                                                           j->args.elements.sums, begin, end))
BY_RANGES(run_sums, kernels->optimizer->sums(j->args.elements.gradient, j->shape[1],
                                             j->args.elements.sums, begin, end))
BY_RANGES(run_momentum, kernels->optimizer->momentum(j->args.elements.m, j->args.elements.gradient,
                                                     j->args.elements.update, 0.95, 1, begin, end))
BY_RANGES(run_descend, kernels->optimizer->descend(j->args.elements.parameter,
                                                   j->args.elements.update, 1e-6, 0.1, begin, end))

/* Rows x cols, and how many bytes an element costs. */
static void cost_rows(bv_bench_job *j, size_t rows, size_t cols, size_t element_bytes) {
    bv_bench_set_shape(j, 2, (size_t[4]){rows, cols});
    j->rows = rows;
    j->bytes = (double)(rows * cols * element_bytes);
}

static bv_status bench_norm(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type,
                            bool backward) {
    bv_bench_job j = bv_bench_start(s, model, backward ? "norm backward" : "norm", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, (backward ? 8 : 4) + bv_dtype_size(type));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.args.norm = (bv_norm_args){.cols = cols,
                                 .eps = 1e-5,
                                 .x = bv_bench_filled(&j, BV_F32, rows * cols),
                                 .gain = bv_bench_filled(&j, BV_F32, cols),
                                 .y = bv_bench_take(&j, rows * cols * bv_dtype_size(type)),
                                 .y_type = type,
                                 .mean = bv_bench_take(&j, rows * sizeof(float)),
                                 .rstd = bv_bench_filled(&j, BV_F32, rows)};
    if (backward) {
        j.args.norm.dy = bv_bench_filled(&j, type, rows * cols);
        j.args.norm.dx = bv_bench_take(&j, rows * cols * sizeof(float));
    }
    return bv_bench_finish(s, &j, backward ? run_norm_backward : run_norm);
}

static bv_status bench_gelu(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type,
                            bool backward) {
    bv_bench_job j = bv_bench_start(s, model, backward ? "gelu backward" : "gelu", type);
    const size_t rows = model->sequences * model->context, cols = 4 * model->width;
    const size_t size = bv_dtype_size(type);
    cost_rows(&j, rows, cols, (backward ? 3 : 2) * size);
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.args.activation = (bv_activation_args){.kind = BV_GELU_TANH,
                                             .cols = cols,
                                             .x = bv_bench_filled(&j, type, rows * cols),
                                             .y = bv_bench_take(&j, rows * cols * size),
                                             .x_type = type,
                                             .y_type = type};
    if (backward) {
        j.args.activation.dy = bv_bench_filled(&j, type, rows * cols);
        j.args.activation.dx = bv_bench_take(&j, rows * cols * size);
    }
    return bv_bench_finish(s, &j, backward ? run_gelu_backward : run_gelu);
}

static bv_status bench_embed(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    bv_bench_job j = bv_bench_start(s, model, "embed", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, 4 + bv_dtype_size(type));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.args.embed = (bv_embed_args){.cols = cols,
                                   .ids = bv_bench_indices(&j, rows, model->vocab),
                                   .table = bv_bench_filled(&j, type, model->vocab * cols),
                                   .table_type = type,
                                   .y = bv_bench_take(&j, rows * cols * sizeof(float))};
    return bv_bench_finish(s, &j, run_embed);
}

static bv_status bench_loss(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    bv_bench_job j = bv_bench_start(s, model, "cross-entropy", type);
    const size_t rows = 256, cols = (model->vocab + 15) / 16 * 16;
    cost_rows(&j, rows, model->vocab, 8 + bv_dtype_size(type));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    void *logits = bv_bench_filled(&j, BV_F32, rows * cols);
    j.args.loss = (bv_loss_args){
        .classes = model->vocab,
        .stride = cols,
        .logits = logits,
        .targets = bv_bench_indices(&j, rows, model->vocab),
        .losses = bv_bench_take(&j, rows * sizeof(float)),
        .scale = 1.0 / (double)rows,
        .dlogits = type == BV_BF16 ? bv_bench_take(&j, rows * cols * sizeof(uint16_t)) : logits,
        .dlogits_type = type};
    return bv_bench_finish(s, &j, run_loss);
}

/* Of as many probabilities as a model of characters expects in as many rows. */
static bv_status bench_logs(bv_bench_suite *s, const bv_bench_shapes *model) {
    bv_bench_job j = bv_bench_start(s, model, "logarithms", BV_F32);
    const size_t rows = model->sequences * model->context, cols = 65;
    cost_rows(&j, rows, cols, sizeof(double) + sizeof(float));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.rows = rows * cols;
    j.unit = 64;
    j.args.elements.sums = bv_bench_take(&j, rows * cols * sizeof(double));
    for (size_t i = 0; !j.failed && i < rows * cols; i++)
        j.args.elements.sums[i] = 1 / (double)(2 + i);
    j.args.elements.update = bv_bench_take(&j, rows * cols * sizeof(float));
    return bv_bench_finish(s, &j, run_logs);
}

static bv_status bench_add(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    bv_bench_job j = bv_bench_start(s, model, "add", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, 8 + bv_dtype_size(type));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.rows = rows * cols;
    j.unit = 64;
    j.args.add = (bv_add_args){.a = bv_bench_filled(&j, BV_F32, rows * cols),
                               .b = bv_bench_filled(&j, type, rows * cols),
                               .y = bv_bench_take(&j, rows * cols * sizeof(float)),
                               .b_type = type,
                               .scale = 1};
    return bv_bench_finish(s, &j, run_add);
}

static bv_status bench_adamw(bv_bench_suite *s, const bv_bench_shapes *model) {
    bv_bench_job j = bv_bench_start(s, model, "adamw", BV_F32);
    const size_t count = 12 * model->width * model->width; /* the matrices of a layer */
    cost_rows(&j, 1, count, 28);
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.rows = count;
    j.unit = 64;
    j.args.adamw = (bv_adamw_args){.parameter = bv_bench_filled(&j, BV_F32, count),
                                   .m = bv_bench_take(&j, count * sizeof(float)),
                                   .v = bv_bench_take(&j, count * sizeof(float)),
                                   .gradient = bv_bench_filled(&j, BV_F32, count),
                                   .gradient_scale = 1,
                                   .lr = 1e-6,
                                   .beta1 = 0.9,
                                   .beta2 = 0.95,
                                   .eps = 1e-8,
                                   .correction1 = 0.1,
                                   .correction2 = 0.05};
    return bv_bench_finish(s, &j, run_adamw);
}

static bv_status bench_dropout(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    bv_bench_job j = bv_bench_start(s, model, "dropout", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    const size_t size = bv_dtype_size(type);
    cost_rows(&j, rows, cols, 2 * size);
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.args.dropout = (bv_dropout_args){.cols = cols,
                                       .x = bv_bench_filled(&j, type, rows * cols),
                                       .y = bv_bench_take(&j, rows * cols * size),
                                       .x_type = type,
                                       .y_type = type,
                                       .p = 0.1,
                                       .row_ids = bv_bench_indices(&j, rows, rows)};
    return bv_bench_finish(s, &j, run_dropout);
}

/* QK-norm and rotary embedding. */
static bv_status bench_heads(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type,
                             bool backward) {
    bv_bench_job j = bv_bench_start(s, model, backward ? "heads backward" : "heads", type);
    const size_t rows = model->sequences * model->context, cols = 3 * model->width;
    const size_t size = bv_dtype_size(type), d = model->width / model->heads;
    cost_rows(&j, rows, cols, (backward ? 3 : 2) * size);
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.args.heads = (bv_heads_args){.heads = model->heads,
                                   .kv_heads = model->heads,
                                   .d_head = d,
                                   .qk_norm = true,
                                   .eps = 1e-5,
                                   .cos = bv_bench_filled(&j, BV_F32, model->context * d / 2),
                                   .sin = bv_bench_filled(&j, BV_F32, model->context * d / 2),
                                   .positions = bv_bench_indices(&j, rows, model->context),
                                   .x = bv_bench_filled(&j, type, rows * cols),
                                   .y = bv_bench_take(&j, rows * cols * size),
                                   .dy = bv_bench_filled(&j, type, rows * cols),
                                   .dx = bv_bench_take(&j, rows * cols * size),
                                   .type = type};
    return bv_bench_finish(s, &j, backward ? run_heads_backward : run_heads);
}

/* Gradients of gains, biases and tables: a thread takes columns. */
static bv_status bench_norm_params(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    bv_bench_job j = bv_bench_start(s, model, "norm parameters", type);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, 4 + bv_dtype_size(type));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.rows = cols;
    j.unit = 16;
    j.args.norm = (bv_norm_args){.cols = cols,
                                 .eps = 1e-5,
                                 .x = bv_bench_filled(&j, BV_F32, rows * cols),
                                 .y_type = type,
                                 .mean = bv_bench_take(&j, rows * sizeof(float)),
                                 .rstd = bv_bench_filled(&j, BV_F32, rows),
                                 .dy = bv_bench_filled(&j, type, rows * cols),
                                 .dgain = bv_bench_take(&j, cols * sizeof(float)),
                                 .dbias = bv_bench_take(&j, cols * sizeof(float))};
    return bv_bench_finish(s, &j, run_norm_params);
}

static bv_status bench_bias(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    bv_bench_job j = bv_bench_start(s, model, "bias gradient", type);
    const size_t rows = model->sequences * model->context, cols = 3 * model->width;
    cost_rows(&j, rows, cols, bv_dtype_size(type));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.rows = cols;
    j.unit = 16;
    j.args.bias = (bv_bias_gradient_args){.cols = cols,
                                          .dy = bv_bench_filled(&j, type, rows * cols),
                                          .dy_type = type,
                                          .dbias = bv_bench_take(&j, cols * sizeof(float))};
    return bv_bench_finish(s, &j, run_bias);
}

static bv_status bench_embed_backward(bv_bench_suite *s, const bv_bench_shapes *model) {
    bv_bench_job j = bv_bench_start(s, model, "embed backward", BV_F32);
    const size_t rows = model->sequences * model->context, cols = model->width;
    cost_rows(&j, rows, cols, 12);
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.rows = cols;
    j.unit = 16;
    j.args.embed =
        (bv_embed_args){.cols = cols,
                        .ids = bv_bench_indices(&j, rows, model->vocab),
                        .dy = bv_bench_filled(&j, BV_F32, rows * cols),
                        .dtable = bv_bench_take(&j, model->vocab * cols * sizeof(float))};
    return bv_bench_finish(s, &j, run_embed_backward);
}

/* Sums over gradients, and Muon's elementwise steps. */
static bv_status bench_elements(bv_bench_suite *s, const bv_bench_shapes *model, const char *kernel,
                                size_t element_bytes, void (*run)(bv_bench_job *), bool chunks) {
    bv_bench_job j = bv_bench_start(s, model, kernel, BV_F32);
    const size_t count = 12 * model->width * model->width; /* the matrices of a layer */
    cost_rows(&j, 1, count, element_bytes);
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    j.rows = chunks ? (count + BV_SUM_CHUNK - 1) / BV_SUM_CHUNK : count;
    j.unit = chunks ? 1 : 64;
    j.args.elements.gradient = bv_bench_filled(&j, BV_F32, count);
    j.args.elements.parameter = bv_bench_filled(&j, BV_F32, count);
    j.args.elements.update = bv_bench_take(&j, count * sizeof(float));
    j.args.elements.m = bv_bench_take(&j, count * sizeof(float));
    j.args.elements.sums = bv_bench_take(&j, (count / BV_SUM_CHUNK + 1) * sizeof(double));
    return bv_bench_finish(s, &j, run);
}

static bv_status bench_optimizers(bv_bench_suite *s, const bv_bench_shapes *model) {
    BV_TRY(bench_adamw(s, model));
    BV_TRY(bench_elements(s, model, "square sums", 4, run_square_sums, true));
    BV_TRY(bench_elements(s, model, "sums", 4, run_sums, true));
    BV_TRY(bench_elements(s, model, "momentum", 16, run_momentum, false));
    return bench_elements(s, model, "descend", 12, run_descend, false);
}

bv_status bv_bench_ranges(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    BV_TRY(bench_norm(s, model, type, false));
    BV_TRY(bench_norm(s, model, type, true));
    BV_TRY(bench_gelu(s, model, type, false));
    BV_TRY(bench_gelu(s, model, type, true));
    BV_TRY(bench_add(s, model, type));
    BV_TRY(bench_embed(s, model, type));
    BV_TRY(bench_loss(s, model, type));
    BV_TRY(bench_dropout(s, model, type));
    BV_TRY(bench_heads(s, model, type, false));
    BV_TRY(bench_heads(s, model, type, true));
    BV_TRY(bench_norm_params(s, model, type));
    BV_TRY(bench_bias(s, model, type));
    if (type == BV_BF16) return BV_OK;
    BV_TRY(bench_logs(s, model));
    BV_TRY(bench_embed_backward(s, model));
    return bench_optimizers(s, model);
}

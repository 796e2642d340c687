/* Attention, forward and backward over whole sequences, and of tokens that are written. */
#include "cli/bench_job.h"

static void attention_part(void *context, int part, int parts) {
    (void)parts;
    const bv_bench_job *j = context;
    const bv_attention_kernels *kernels = j->use->kernels->attention;
    const bv_attention_args *args = &j->args.attention;
    void *scratch = j->scratch + (size_t)part * j->scratch_bytes;
    for (size_t item; bv_pool_take(j->use->pool, part, &item);)
        if (args->dq)
            kernels->backward(args, item, scratch);
        else
            kernels->forward(args, item, scratch);
}

static void run_attention(bv_bench_job *j) {
    bv_pool_share(j->use->pool, j->rows);
    bv_pool_run(j->use->pool, attention_part, j);
}

static void lay_out_attention(bv_bench_job *j, const char *qkv, size_t stride) {
    const bv_bench_shapes *m = j->model;
    const size_t size = bv_dtype_size(j->type);
    for (size_t i = 0; i < m->sequences; i++) {
        for (size_t t = 0; t < (m->context + 63) / 64; t++)
            for (size_t v = 0; v < 2; v++)
                j->tiles[i][v][t] =
                    qkv + ((i * m->context + 64 * t) * stride + (1 + v) * m->width) * size;
        j->sequences[i] = (bv_attention_sequence){.row = i * m->context,
                                                  .rows = m->context,
                                                  .k_tiles = j->tiles[i][0],
                                                  .v_tiles = j->tiles[i][1],
                                                  .sample = (uint32_t)i};
    }
}

static void make_attention(bv_bench_job *j) {
    const bv_bench_shapes *m = j->model;
    const size_t rows = m->sequences * m->context, stride = 3 * m->width;
    const char *qkv = bv_bench_filled(j, j->type, rows * stride);
    lay_out_attention(j, qkv, stride);
    j->args.attention =
        (bv_attention_args){.heads = m->heads,
                            .kv_heads = m->heads,
                            .d_head = m->width / m->heads,
                            .scale = 0.125,
                            .type = j->type,
                            .sequences = j->sequences,
                            .sequence_count = m->sequences,
                            .q = qkv,
                            .q_stride = stride,
                            .kv_stride = stride,
                            .out = bv_bench_filled(j, j->type, rows * m->width),
                            .out_stride = m->width,
                            .lse = bv_bench_take(j, rows * m->heads * sizeof(float))};
}

static void take_attention_scratch(bv_bench_job *j, bool backward) {
    const bv_attention_kernels *kernels = j->use->kernels->attention;
    const size_t bytes = kernels->scratch_bytes(&j->args.attention, backward);
    j->scratch_bytes = (bytes + 63) / 64 * 64;
    j->scratch = bv_bench_take(j, j->scratch_bytes * (size_t)bv_pool_threads(j->use->pool));
    j->rows = backward ? kernels->backward_items(&j->args.attention)
                       : kernels->forward_items(&j->args.attention);
}

static bv_status bench_attention(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type,
                                 bool backward) {
    bv_bench_job j = bv_bench_start(s, model, backward ? "attention backward" : "attention", type);
    const size_t rows = model->sequences * model->context, size = bv_dtype_size(type);
    bv_bench_set_shape(
        &j, 4,
        (size_t[4]){model->sequences, model->context, model->heads, model->width / model->heads});
    /* Half of context x context, two products forward and five backward. */
    j.flops = (backward ? 5.0 : 2.0) * (double)(rows * model->context * model->width);
    j.bytes = (double)(rows * model->width * size * (backward ? 8 : 4));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    make_attention(&j);
    take_attention_scratch(&j, false);
    if (!j.failed && backward) {
        run_attention(&j); /* backward reads what forward wrote */
        char *gradient = bv_bench_take(&j, rows * 3 * model->width * size);
        j.args.attention.dout = bv_bench_filled(&j, type, rows * model->width);
        j.args.attention.dq = gradient;
        j.args.attention.dk = gradient + model->width * size;
        j.args.attention.dv = gradient + 2 * model->width * size;
        take_attention_scratch(&j, true);
    }
    return bv_bench_finish(s, &j, run_attention);
}

#define ROWS 16
#define ROW_POSITIONS 4096

/* One token each of ROWS sequences, whose keys and values no cache holds. */
static void make_rows(bv_bench_job *j) {
    const bv_bench_shapes *m = j->model;
    const size_t d_head = m->width / m->heads, tiles = ROW_POSITIONS / BV_ATTENTION_TILE;
    const size_t keys = bv_attention_key_bytes(j->type, m->heads, d_head);
    const size_t tile = keys + bv_attention_value_bytes(j->type, m->heads, d_head);
    char *cache = bv_bench_filled(j, j->type, ROWS * tiles * tile / bv_dtype_size(j->type));
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t t = 0; t < tiles; t++) {
            j->tiles[i][0][t] = cache + (i * tiles + t) * tile;
            j->tiles[i][1][t] = cache + (i * tiles + t) * tile + keys;
        }
        j->sequences[i] = (bv_attention_sequence){.row = i,
                                                  .rows = 1,
                                                  .position = ROW_POSITIONS - 1,
                                                  .k_tiles = j->tiles[i][0],
                                                  .v_tiles = j->tiles[i][1]};
    }
    j->args.attention = (bv_attention_args){.heads = m->heads,
                                            .kv_heads = m->heads,
                                            .kv_heads_together = m->heads,
                                            .d_head = d_head,
                                            .scale = 0.125,
                                            .type = j->type,
                                            .sequences = j->sequences,
                                            .sequence_count = ROWS,
                                            .paged = true,
                                            .q = bv_bench_filled(j, j->type, ROWS * m->width),
                                            .q_stride = m->width,
                                            .out = bv_bench_filled(j, j->type, ROWS * m->width),
                                            .out_stride = m->width};
}

static bv_status bench_rows(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    bv_bench_job j = bv_bench_start(s, model, "attention decode", type);
    const size_t d_head = model->width / model->heads;
    bv_bench_set_shape(&j, 4, (size_t[4]){ROWS, ROW_POSITIONS, model->heads, d_head});
    j.flops = 4.0 * (double)(ROWS * ROW_POSITIONS * model->width);
    j.bytes = (double)(2 * ROWS * ROW_POSITIONS * model->width * bv_dtype_size(type));
    if (!bv_bench_wanted(s, &j)) return BV_OK;
    make_rows(&j);
    take_attention_scratch(&j, false);
    return bv_bench_finish(s, &j, run_attention);
}

bv_status bv_bench_attention(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    BV_TRY(bench_attention(s, model, type, false));
    BV_TRY(bench_attention(s, model, type, true));
    return model->width > 512 ? bench_rows(s, model, type) : BV_OK;
}

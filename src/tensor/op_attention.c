/* Queries and keys before attention (QK-norm, RoPE), and attention itself over the run's layout:
 * contiguous sequences while training, pages of a KV cache while generating. Both give equal bits,
 * because the kernel walks keys by absolute position either way. */
#include "tensor/op.h"

#include "kernel/real_host.h"
#include <math.h>

/* ---- heads: qkv -> qkv ---- */

typedef struct heads_attributes {
    bv_heads_shape shape;
    bool qk_norm;
    double eps;
    const bv_rope_table *rope; /* NULL: none */
} heads_attributes;

static size_t qkv_cols(const bv_heads_shape *s) {
    return (s->heads + 2 * s->kv_heads) * s->d_head;
}

static bv_status check_qkv(const bv_tensor *t, const bv_tensor *qkv, const bv_heads_shape *s) {
    if (qkv->cols != qkv_cols(s))
        return bv_shape_error(t, "%zu heads and %zu KV heads of %zu need %zu columns, not %zu",
                              s->heads, s->kv_heads, s->d_head, qkv_cols(s), qkv->cols);
    return BV_OK;
}

static bv_status heads_shape(bv_graph *g, bv_tensor *t) {
    (void)g;
    const heads_attributes *a = t->attributes;
    BV_TRY(check_qkv(t, t->inputs[0], &a->shape));
    bv_shape_like(t, t->inputs[0], BV_ROLE_OPERAND);
    return BV_OK;
}

static bv_heads_args heads_args(const bv_tensor *t, const bv_run *run) {
    const heads_attributes *a = t->attributes;
    bv_heads_args args = {.heads = a->shape.heads,
                          .kv_heads = a->shape.kv_heads,
                          .d_head = a->shape.d_head,
                          .qk_norm = a->qk_norm,
                          .eps = a->eps,
                          .positions = bv_memory(run, t->inputs[1]),
                          .x = bv_memory(run, t->inputs[0]),
                          .type = bv_type(run, t)};
    if (a->rope) {
        const bool f64 = run->kernels->real == BV_F64;
        args.cos = f64 ? (const void *)a->rope->cos64 : a->rope->cos32;
        args.sin = f64 ? (const void *)a->rope->sin64 : a->rope->sin32;
    }
    return args;
}

static void heads_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    bv_heads_args args = heads_args(t, run);
    args.y = bv_memory(run, t);
    run->kernels->heads->forward(&args, begin, end);
}

static bv_status heads_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    bv_tensor *inputs[] = {y->inputs[0], y->inputs[1], dy};
    dx[0] = bv_tensor_make(g, &bv_op_heads_gradient, inputs, 3, y->attributes,
                           sizeof(heads_attributes), y->file, y->line);
    return BV_OK;
}

static bv_cost heads_cost(const bv_tensor *t, const bv_run *run) {
    return bv_cost_by_elements(t, run, t, 6);
}

const bv_op bv_op_heads = {.name = "heads",
                           .shape = heads_shape,
                           .gradient = heads_gradient,
                           .cost = heads_cost,
                           .run_rows = heads_run,
                           .cheap = true};

static void heads_gradient_run(const bv_tensor *t, const bv_run *run, size_t begin, size_t end) {
    bv_heads_args args = heads_args(t, run);
    args.dy = bv_memory(run, t->inputs[2]);
    args.dx = bv_memory(run, t);
    run->kernels->heads->backward(&args, begin, end);
}

const bv_op bv_op_heads_gradient = {.name = "heads_gradient",
                                    .shape = heads_shape,
                                    .cost = heads_cost,
                                    .run_rows = heads_gradient_run};

/* The table of angles, made once a graph: all layers share it. NULL without memory. */
static const bv_rope_table *rope_table(bv_graph *g, double base, size_t context, size_t d_head) {
    if (g->rope) {
        BV_ASSERT(g->rope->base == base && g->rope->context == context);
        return g->rope;
    }
    const size_t half = d_head / 2, count = context * half;
    bv_rope_table *r = bv_arena_alloc(g->arena, sizeof *r);
    double *wide = bv_arena_alloc(g->arena, 2 * count * sizeof *wide);
    float *narrow = bv_arena_alloc(g->arena, 2 * count * sizeof *narrow);
    if (!r || !wide || !narrow) return NULL;
    *r = (bv_rope_table){base, context, d_head, wide, wide + count, narrow, narrow + count};
    for (size_t i = 0; i < half; i++) {
        const double frequency = bv_pow(base, -2.0 * (double)i / (double)d_head);
        for (size_t p = 0; p < context; p++) {
            const double angle = (double)p * frequency;
            r->cos32[p * half + i] = (float)(r->cos64[p * half + i] = bv_cos(angle));
            r->sin32[p * half + i] = (float)(r->sin64[p * half + i] = bv_sin(angle));
        }
    }
    return g->rope = r;
}

bv_tensor *bv_heads_at(bv_graph *g, bv_tensor *qkv, bv_tensor *positions, bv_heads_shape shape,
                       bool qk_norm, double eps, double rope_base, size_t context, const char *file,
                       int line) {
    if (!qk_norm && rope_base == 0) return qkv;
    heads_attributes a = {shape, qk_norm, eps, NULL};
    if (rope_base > 0) {
        a.rope = rope_table(g, rope_base, context, shape.d_head);
        if (!a.rope && !g->error) g->error = bv_fail_memory("a table of angles");
    }
    bv_tensor *inputs[] = {qkv, positions};
    return bv_tensor_make(g, &bv_op_heads, inputs, 2, &a, sizeof a, file, line);
}

/* ---- attention ---- */

typedef struct attention_attributes {
    bv_heads_shape shape;
    size_t band;
    double dropout;
    uint32_t site;
    int layer; /* of the KV cache */
} attention_attributes;

/* inputs: qkv; extra: log-sum-exp of each row and head */
static bv_status attention_shape(bv_graph *g, bv_tensor *t) {
    const attention_attributes *a = t->attributes;
    BV_TRY(check_qkv(t, t->inputs[0], &a->shape));
    t->rows = t->inputs[0]->rows;
    t->cols = a->shape.heads * a->shape.d_head;
    t->role = BV_ROLE_OPERAND;
    bv_tensor_extra(g, t, 0, BV_ROLE_STREAM, t->rows, a->shape.heads);
    return BV_OK;
}

static bv_attention_args attention_args(const bv_tensor *t, const bv_run *run) {
    const attention_attributes *a = t->attributes;
    const bv_heads_shape *s = &a->shape;
    const size_t stride = qkv_cols(s);
    return (bv_attention_args){.heads = s->heads,
                               .kv_heads = s->kv_heads,
                               .d_head = s->d_head,
                               .scale = 1.0 / sqrt((double)s->d_head),
                               .band = a->band,
                               .first_visible = run->layout ? run->layout->first_visible : NULL,
                               .type = bv_numerics_type(run->numerics, BV_ROLE_OPERAND),
                               .q = bv_memory(run, t->inputs[0]),
                               .q_stride = stride,
                               .kv_stride = stride,
                               .out_stride = s->heads * s->d_head,
                               .dropout = run->gradients ? a->dropout : 0,
                               .seed = run->seed,
                               .site = a->site,
                               .step = run->step};
}

static size_t tiles_max(const bv_run *run) {
    const size_t one = run->context_max / BV_ATTENTION_TILE + 1;
    return run->sequences_max * one;
}

/* Scratch: the kernel's sequences, their tile pointers (K then V), the threads' own. */
static size_t attention_scratch_bytes(const bv_tensor *t, const bv_run *run, bool backward) {
    bv_attention_args args = attention_args(t, run);
    args.dropout = ((const attention_attributes *)t->attributes)->dropout; /* the largest case */
    const bv_attention_sequence longest = {.rows = run->context_max};
    args.sequences = &longest;
    args.sequence_count = 1;
    const size_t lists = bv_align64(run->sequences_max * sizeof(bv_attention_sequence)) +
                         bv_align64(2 * tiles_max(run) * sizeof(void *));
    return lists + (size_t)bv_pool_threads(run->pool) *
                       bv_align64(run->kernels->attention->scratch_bytes(&args, backward));
}

static size_t attention_scratch(const bv_tensor *t, const bv_run *run) {
    return attention_scratch_bytes(t, run, false);
}

typedef struct attention_task {
    const bv_kernels *kernels;
    bv_pool *pool;
    bv_attention_args args;
    size_t items, scratch_bytes;
    char *scratch;
    bool backward;
} attention_task;

static void attention_part(void *context, int part, int parts) {
    (void)parts;
    const attention_task *task = context;
    void *scratch = task->scratch + (size_t)part * task->scratch_bytes;
    for (size_t item; bv_pool_take(task->pool, part, &item);) {
        if (task->backward)
            task->kernels->attention->backward(&task->args, item, scratch);
        else
            task->kernels->attention->forward(&task->args, item, scratch);
    }
}

/* Where a layer's keys and values begin in a page; layers follow each other. */
static char *page_keys(const bv_tensor *t, const bv_run *run, void *page) {
    const attention_attributes *a = t->attributes;
    const size_t one = bv_page_bytes(run->numerics, 1, a->shape.kv_heads, a->shape.d_head);
    return (char *)page + (size_t)a->layer * one;
}

static char *page_values(const bv_tensor *t, const bv_run *run, void *page) {
    const bv_heads_shape *s = &((const attention_attributes *)t->attributes)->shape;
    const bv_dtype type = bv_numerics_type(run->numerics, BV_ROLE_OPERAND);
    return page_keys(t, run, page) + bv_attention_key_bytes(type, s->kv_heads, s->d_head);
}

/* Lists the sequences for the kernel; tiles are rows of qkv, or pages of the cache. */
static void list_sequences(const bv_tensor *t, const bv_run *run, attention_task *task) {
    const attention_attributes *a = t->attributes;
    const bv_layout *layout = run->layout;
    const size_t element = bv_dtype_size(task->args.type);
    const size_t kv_cols = a->shape.kv_heads * a->shape.d_head;
    bv_attention_sequence *list = run->scratch;
    const void **tiles = (void *)((char *)list + bv_align64(run->sequences_max * sizeof *list));
    BV_ASSERT(layout->count <= run->sequences_max);
    for (size_t i = 0; i < layout->count; i++) {
        const bv_sequence *s = &layout->sequences[i];
        const size_t count = (s->position + s->rows + BV_ATTENTION_TILE - 1) / BV_ATTENTION_TILE;
        const void **k = tiles, **v = tiles + count;
        tiles += 2 * count;
        list[i] = (bv_attention_sequence){s->row, s->rows, s->position, k, v, s->sample};
        for (size_t j = 0; j < count; j++) {
            if (s->pages) {
                k[j] = page_keys(t, run, s->pages[j]);
                v[j] = page_values(t, run, s->pages[j]);
            } else {
                const char *row = (const char *)task->args.q +
                                  (s->row + j * BV_ATTENTION_TILE) * task->args.q_stride * element;
                k[j] = row + a->shape.heads * a->shape.d_head * element;
                v[j] = (const char *)k[j] + kv_cols * element;
            }
        }
        if (s->pages) task->args.paged = true;
    }
    task->args.sequences = list;
    task->args.sequence_count = layout->count;
    task->scratch = (char *)list + bv_align64(run->sequences_max * sizeof *list) +
                    bv_align64(2 * tiles_max(run) * sizeof(void *));
}

typedef struct append_task {
    const bv_tensor *tensor;
    const bv_run *run;
} append_task;

/* Keys and values of rows from `row` on, as many as the page takes, for one KV head. Returns how
 * many. */
static size_t append_page(const append_task *task, const bv_sequence *q, size_t row, size_t kv) {
    const bv_tensor *t = task->tensor;
    const bv_heads_shape *s = &((const attention_attributes *)t->attributes)->shape;
    const bv_dtype type = bv_numerics_type(task->run->numerics, BV_ROLE_OPERAND);
    const size_t element = bv_dtype_size(type), position = q->position + row;
    const size_t begin = position % BV_PAGE_POSITIONS, left = q->rows - row;
    const size_t room = BV_PAGE_POSITIONS - begin, count = left < room ? left : room;
    void *page = q->pages[position / BV_PAGE_POSITIONS];
    const char *k = (const char *)bv_memory(task->run, t->inputs[0]) +
                    ((q->row + row) * qkv_cols(s) + (s->heads + kv) * s->d_head) * element;
    bv_attention_store(&(bv_attention_store_args){.type = type,
                                                  .kv_heads = s->kv_heads,
                                                  .d_head = s->d_head,
                                                  .kv = kv,
                                                  .begin = begin,
                                                  .end = begin + count,
                                                  .stride = qkv_cols(s),
                                                  .k_rows = k,
                                                  .v_rows = k + s->kv_heads * s->d_head * element,
                                                  .k_tile = page_keys(t, task->run, page),
                                                  .v_tile = page_values(t, task->run, page)});
    return count;
}

static void append_part(void *context, int part, int parts) {
    const append_task *task = context;
    const attention_attributes *a = task->tensor->attributes;
    const size_t kv_heads = a->shape.kv_heads;
    size_t begin, end;
    bv_pool_range(task->run->layout->count * kv_heads, 1, part, parts, &begin, &end);
    for (size_t item = begin; item < end; item++) {
        const bv_sequence *q = &task->run->layout->sequences[item / kv_heads];
        for (size_t row = 0; q->pages && row < q->rows;)
            row += append_page(task, q, row, item % kv_heads);
    }
}

/* Writes this run's keys and values into the pages of their sequences. */
static void append_to_pages(const bv_tensor *t, const bv_run *run) {
    append_task task = {t, run};
    const bv_layout *layout = run->layout;
    if (layout->count == 0 || !layout->sequences[0].pages) return;
    const bool few = bv_rows(run, t) < 8; /* not worth waking a thread */
    bv_pool_run(few ? NULL : run->pool, append_part, &task);
}

/* KV heads of an item of one row. Its streams go on through all of them, so sequences are cut into
 * no more items than give all threads equal shares, or enough to share. */
static size_t heads_together(const bv_attention_args *args, size_t threads) {
    const size_t count = args->sequence_count;
    size_t items = 1;
    while (count * items % threads && count * items < 4 * threads) items++;
    return (args->kv_heads + items - 1) / items;
}

static void attention_run(const bv_tensor *t, const bv_run *run) {
    append_to_pages(t, run);
    attention_task task = {
        .kernels = run->kernels, .pool = run->pool, .args = attention_args(t, run)};
    list_sequences(t, run, &task);
    task.args.out = bv_memory(run, t);
    task.args.lse = run->gradients ? bv_memory(run, t->extras[0]) : NULL;
    task.scratch_bytes = bv_align64(run->kernels->attention->scratch_bytes(&task.args, false));
    task.args.kv_heads_together = heads_together(&task.args, (size_t)bv_pool_threads(run->pool));
    task.items = run->kernels->attention->forward_items(&task.args);
    bv_pool_share(run->pool, task.items);
    bv_pool_run(run->pool, attention_part, &task);
}

static bv_status attention_gradient(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx) {
    bv_tensor *inputs[] = {y->inputs[0], y, y->extras[0], dy};
    dx[0] = bv_tensor_make(g, &bv_op_attention_gradient, inputs, 4, y->attributes,
                           sizeof(attention_attributes), y->file, y->line);
    return BV_OK;
}

/* Pairs of a query and a key that it sees: all before it, or those of its band. */
static double visible_pairs(const bv_tensor *t, const bv_run *run) {
    const size_t band = ((const attention_attributes *)t->attributes)->band;
    double pairs = 0;
    for (size_t i = 0; run->layout && i < run->layout->count; i++) {
        const bv_sequence *s = &run->layout->sequences[i];
        for (size_t r = 0; r < s->rows; r++) {
            const size_t before = s->position + r + 1;
            pairs += (double)(band && band < before ? band : before);
        }
    }
    return pairs;
}

/* Two products; exp and its sum are about 20 FLOPs a pair and head. Document masks not counted. */
static bv_cost attention_cost(const bv_tensor *t, const bv_run *run) {
    const bv_heads_shape *s = &((const attention_attributes *)t->attributes)->shape;
    const double pairs = visible_pairs(t, run) * (double)s->heads;
    return (bv_cost){.products = 4 * pairs * (double)s->d_head,
                     .flops = 20 * pairs,
                     .bytes = bv_operand_bytes(t, run)};
}

const bv_op bv_op_attention = {.name = "attention",
                               .shape = attention_shape,
                               .gradient = attention_gradient,
                               .cost = attention_cost,
                               .scratch = attention_scratch,
                               .run = attention_run};

/* Five products: the scores again, and the gradients of scores, queries, keys, values. */
static bv_cost attention_gradient_cost(const bv_tensor *t, const bv_run *run) {
    const bv_cost forward = attention_cost(t, run);
    return (bv_cost){2.5 * forward.products, forward.flops, forward.bytes};
}

static size_t attention_gradient_scratch(const bv_tensor *t, const bv_run *run) {
    return attention_scratch_bytes(t, run, true);
}

static void attention_gradient_run(const bv_tensor *t, const bv_run *run) {
    attention_task task = {.kernels = run->kernels,
                           .pool = run->pool,
                           .args = attention_args(t, run),
                           .backward = true};
    const attention_attributes *a = t->attributes;
    const size_t element = bv_dtype_size(task.args.type);
    const size_t q_bytes = a->shape.heads * a->shape.d_head * element;
    list_sequences(t, run, &task);
    task.args.out = bv_memory(run, t->inputs[1]);
    task.args.lse = bv_memory(run, t->inputs[2]);
    task.args.dout = bv_memory(run, t->inputs[3]);
    task.args.dq = bv_memory(run, t);
    task.args.dk = (char *)task.args.dq + q_bytes;
    task.args.dv = (char *)task.args.dk + a->shape.kv_heads * a->shape.d_head * element;
    task.scratch_bytes = bv_align64(run->kernels->attention->scratch_bytes(&task.args, true));
    task.items = run->kernels->attention->backward_items(&task.args);
    bv_pool_share(run->pool, task.items);
    bv_pool_run(run->pool, attention_part, &task);
}

const bv_op bv_op_attention_gradient = {.name = "attention_gradient",
                                        .shape = bv_shape_of_input,
                                        .cost = attention_gradient_cost,
                                        .scratch = attention_gradient_scratch,
                                        .run = attention_gradient_run};

bv_tensor *bv_attention_at(bv_graph *g, bv_tensor *qkv, bv_heads_shape shape, size_t band,
                           double dropout, int layer_of_cache, const char *file, int line) {
    const attention_attributes a = {shape, band, dropout, g->sites++, layer_of_cache};
    return bv_tensor_make(g, &bv_op_attention, &qkv, 1, &a, sizeof a, file, line);
}

size_t bv_page_bytes(bv_numerics numerics, size_t layers, size_t kv_heads, size_t d_head) {
    const bv_dtype type = bv_numerics_type(numerics, BV_ROLE_OPERAND);
    return layers * (bv_attention_key_bytes(type, kv_heads, d_head) +
                     bv_attention_value_bytes(type, kv_heads, d_head));
}

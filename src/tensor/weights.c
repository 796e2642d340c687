#include "tensor/weights.h"

#include "base/slab.h"
#include "tensor/normal.h"

typedef struct packed_form {
    bool wanted;
    void *data; /* NULL: nobody wants it, or it is still read in place */
    uint64_t version;
} packed_form;

/* Of borrowed weights, packed before each run but the first: a sixteenth of GPT-2 124M, so that no
 * token waits long. */
#define PACKED_A_RUN ((size_t)32 << 20)

#define NUMERICS_COUNT 3

typedef struct weight {
    bv_parameter parameter;
    void *data;
    packed_form forms[NUMERICS_COUNT][BV_FORM_COUNT];
} weight;

struct bv_weights {
    const bv_kernels *kernels;
    bv_pool *pool;
    size_t count;
    weight *list;
    uint64_t version;
    bv_slab memory; /* canonical values, unless they are borrowed, and packed forms */
    bool borrowed;  /* canonical values belong to somebody else */
    size_t runs;
};

static bv_status create(const bv_kernels *kernels, bv_pool *pool, const bv_graph *graph,
                        bool borrowed, bv_weights **out) {
    bv_weights *w = bv_calloc(1, sizeof *w);
    if (!w) return bv_fail_memory("weights");
    w->kernels = kernels;
    w->pool = pool;
    w->version = 1;
    w->borrowed = borrowed;
    w->list = bv_calloc(graph->parameter_count, sizeof *w->list);
    if (!w->list) goto no_memory;
    w->count = graph->parameter_count;
    for (size_t i = 0; i < w->count; i++) {
        weight *entry = &w->list[i];
        entry->parameter = *graph->parameters[i];
        entry->parameter.name = bv_strdup(graph->parameters[i]->name);
        if (!entry->parameter.name) goto no_memory;
        if (borrowed) continue;
        const size_t bytes =
            bv_parameter_elements(&entry->parameter) * bv_dtype_size(kernels->real);
        entry->data = bv_slab_take(&w->memory, bytes);
        if (!entry->data) goto no_memory;
    }
    *out = w;
    return BV_OK;
no_memory:
    bv_weights_destroy(&w);
    return bv_try(bv_fail_memory("weights"), "a smaller model");
}

bv_status bv_weights_create(const bv_kernels *kernels, bv_pool *pool, const bv_graph *graph,
                            bv_weights **out) {
    return create(kernels, pool, graph, false, out);
}

bv_status bv_weights_create_borrowed(const bv_kernels *kernels, bv_pool *pool,
                                     const bv_graph *graph, bv_weights **out) {
    return create(kernels, pool, graph, true, out);
}

void bv_weights_borrow(bv_weights *weights, size_t index, const void *data) {
    BV_ASSERT(weights->borrowed && index < weights->count);
    weights->list[index].data = (void *)data; /* never written: see bv_weights_changed */
}

void bv_weights_destroy(bv_weights **weights) {
    bv_weights *w = *weights;
    if (!w) return;
    for (size_t i = 0; w->list && i < w->count; i++) bv_free((void *)w->list[i].parameter.name);
    bv_slab_free(&w->memory);
    bv_free(w->list);
    bv_free(w);
    *weights = NULL;
}

static void set_real(const bv_weights *w, void *data, size_t i, double value) {
    if (w->kernels->real == BV_F64)
        ((double *)data)[i] = value;
    else
        ((float *)data)[i] = (float)value;
}

/* Uniform, of variance 1: a counter, mixed. */
static double any(uint64_t i) {
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return 3.4641016151377544 * ((double)(x >> 40) * 0x1p-24 - 0.5);
}

typedef struct fill_task {
    const bv_weights *weights;
    const uint64_t *seed; /* NULL: any values */
    bv_normal_tables tables;
} fill_task;

#define BLOCK 512 /* numbers made at a time */

/* Rounded to f32 also for the f64 reference, so that both start from equal weights. */
static void fill_range(const fill_task *task, size_t k, size_t begin, size_t end) {
    const bv_weights *w = task->weights;
    const bv_parameter *p = &w->list[k].parameter;
    float block[BLOCK];
    for (size_t n; begin < end; begin += n) {
        n = end - begin < BLOCK ? end - begin : BLOCK;
        if (p->init != BV_INIT_NORMAL)
            for (size_t i = 0; i < n; i++) block[i] = p->init == BV_INIT_ONE ? 1 : 0;
        else if (task->seed)
            bv_normal_fill(&task->tables, *task->seed, (uint32_t)k, begin, n, p->init_std, block);
        else
            for (size_t i = 0; i < n; i++) block[i] = (float)(p->init_std * any(begin + i));
        for (size_t i = 0; i < n; i++) set_real(w, w->list[k].data, begin + i, (double)block[i]);
    }
}

static void fill_part(void *context, int part, int parts) {
    const fill_task *task = context;
    for (size_t k = 0; k < task->weights->count; k++) {
        const bv_parameter *p = &task->weights->list[k].parameter;
        size_t begin, end;
        bv_pool_range(bv_parameter_elements(p), 16, part, parts, &begin, &end);
        fill_range(task, k, begin, end);
    }
}

void bv_weights_initialize(bv_weights *weights, uint64_t seed) {
    fill_task task = {.weights = weights, .seed = &seed};
    bv_normal_tables_make(&task.tables);
    bv_pool_run(weights->pool, fill_part, &task);
    bv_weights_changed(weights);
}

void bv_weights_fill(bv_weights *weights) {
    fill_task task = {.weights = weights};
    bv_pool_run(weights->pool, fill_part, &task);
    bv_weights_changed(weights);
}

size_t bv_weights_count(const bv_weights *weights) {
    return weights->count;
}

const bv_parameter *bv_weights_parameter(const bv_weights *weights, size_t index) {
    BV_ASSERT(index < weights->count);
    return &weights->list[index].parameter;
}

void *bv_weights_data(bv_weights *weights, const bv_parameter *parameter) {
    return weights->list[parameter->index].data;
}

void bv_weights_changed(bv_weights *weights) {
    BV_ASSERT(!weights->borrowed);
    weights->version++;
}

/* ---- packed forms ---- */

/* The source of the packed B of a form: W is [rows = out, cols = in]. */
static bv_matmul_source form_source(const bv_weights *w, const weight *entry, bv_weight_form form) {
    const bv_parameter *p = &entry->parameter;
    if (form == BV_FORM_FORWARD)
        return (bv_matmul_source){entry->data, w->kernels->real, 1, p->cols, p->cols, p->rows};
    return (bv_matmul_source){entry->data, w->kernels->real, p->cols, 1, p->rows, p->cols};
}

/* A form of a weight, and what it is made of. */
typedef struct form_place {
    packed_form *packed;
    bv_matmul_source source;
    bv_dtype type;
    size_t bytes_moved; /* a parameter is read as real and written in the class's type */
} form_place;

static form_place form_at(const bv_weights *w, size_t i, bv_numerics numerics,
                          bv_weight_form form) {
    weight *entry = &w->list[i];
    const bv_dtype type = bv_numerics_type(numerics, BV_ROLE_OPERAND);
    return (form_place){.packed = &entry->forms[numerics][form],
                        .source = form_source(w, entry, form),
                        .type = type,
                        .bytes_moved = bv_parameter_elements(&entry->parameter) *
                                       (bv_dtype_size(w->kernels->real) + bv_dtype_size(type))};
}

/* All forms of all weights, one after another: the k-th is one of weight k / FORMS. */
#define FORMS ((size_t)NUMERICS_COUNT * BV_FORM_COUNT)

static packed_form *nth_packed(const bv_weights *w, size_t k) {
    return &w->list[k / FORMS].forms[k / BV_FORM_COUNT % NUMERICS_COUNT][k % BV_FORM_COUNT];
}

static form_place nth_form(const bv_weights *w, size_t k) {
    return form_at(w, k / FORMS, (bv_numerics)(k / BV_FORM_COUNT % NUMERICS_COUNT),
                   (bv_weight_form)(k % BV_FORM_COUNT));
}

static bool allocate_form(bv_weights *w, const form_place *f) {
    const size_t bytes = bv_matmul_packed_bytes(w->kernels, f->type, f->source.k, f->source.n);
    f->packed->data = bv_slab_take(&w->memory, bytes);
    return f->packed->data != NULL;
}

bv_status bv_weights_require(bv_weights *weights, const bv_parameter *parameter,
                             bv_numerics numerics, bv_weight_form form) {
    const form_place f = form_at(weights, parameter->index, numerics, form);
    BV_ASSERT(!weights->borrowed || form == BV_FORM_FORWARD);
    f.packed->wanted = true;
    if (f.packed->data || weights->borrowed) return BV_OK;
    f.packed->version = 0;
    return allocate_form(weights, &f) ? BV_OK : bv_fail_memory("packed weights");
}

/* Some of what is still read in place. Without memory for it that goes on so. */
static size_t pack_borrowed(bv_weights *w) {
    size_t bytes = 0;
    if (w->runs++ == 0) return 0;
    for (size_t k = 0; k < w->count * FORMS && bytes < PACKED_A_RUN; k++) {
        const packed_form *packed = nth_packed(w, k);
        if (!packed->wanted || packed->data) continue;
        const form_place f = nth_form(w, k);
        if (!allocate_form(w, &f)) break;
        bv_matmul_pack(w->kernels, w->pool, f.type, &f.source, f.packed->data);
        f.packed->version = w->version;
        bytes += f.bytes_moved;
    }
    return bytes;
}

static bool is_stale(const bv_weights *w, const packed_form *packed) {
    return packed->data && packed->version != w->version;
}

/* A share of every form: small ones are not worth a run of the pool each. */
static void refresh_part(void *context, int part, int parts) {
    const bv_weights *w = context;
    for (size_t k = 0; k < w->count * FORMS; k++) {
        if (!is_stale(w, nth_packed(w, k))) continue;
        const form_place f = nth_form(w, k);
        size_t begin, end;
        bv_pool_range(f.source.n, bv_matmul_pack_unit(w->kernels), part, parts, &begin, &end);
        bv_matmul_pack_range(w->kernels, f.type, &f.source, f.packed->data, 0, f.source.k, begin,
                             end);
    }
}

size_t bv_weights_refresh(bv_weights *weights) {
    if (weights->borrowed) return pack_borrowed(weights);
    size_t bytes = 0;
    for (size_t k = 0; k < weights->count * FORMS; k++)
        if (is_stale(weights, nth_packed(weights, k))) bytes += nth_form(weights, k).bytes_moved;
    if (bytes == 0) return 0;
    bv_pool_run(weights->pool, refresh_part, weights);
    for (size_t k = 0; k < weights->count * FORMS; k++)
        nth_packed(weights, k)->version = weights->version;
    return bytes;
}

void bv_weights_pack_rows(const bv_weights *w, size_t index, size_t begin, size_t end) {
    for (size_t k = index * FORMS; k < (index + 1) * FORMS; k++) {
        if (!nth_packed(w, k)->data) continue;
        const form_place f = nth_form(w, k);
        const bool forward = k % BV_FORM_COUNT == BV_FORM_FORWARD; /* rows are columns of B */
        bv_matmul_pack_range(w->kernels, f.type, &f.source, f.packed->data, forward ? 0 : begin,
                             forward ? f.source.k : end, forward ? begin : 0,
                             forward ? end : f.source.n);
    }
}

void bv_weights_packed(bv_weights *w, size_t index) {
    for (size_t k = index * FORMS; k < (index + 1) * FORMS; k++)
        nth_packed(w, k)->version = w->version;
}

size_t bv_weights_packed_bytes(const bv_weights *w, size_t index) {
    size_t bytes = 0;
    for (size_t k = index * FORMS; k < (index + 1) * FORMS; k++) {
        if (!nth_packed(w, k)->data) continue;
        const form_place f = nth_form(w, k);
        bytes += bv_matmul_packed_bytes(w->kernels, f.type, f.source.k, f.source.n);
    }
    return bytes;
}

void bv_weights_factor(const bv_weights *weights, const bv_parameter *parameter,
                       bv_numerics numerics, bv_weight_form form, bv_matmul_args *product) {
    const form_place f = form_at(weights, parameter->index, numerics, form);
    product->b = f.packed->version == weights->version ? f.packed->data : NULL;
    if (!product->b) product->b_source = f.source;
}

size_t bv_weights_bytes(const bv_weights *weights) {
    return weights->memory.taken;
}

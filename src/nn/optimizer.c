#include "nn/optimizer.h"

#include "base/order.h"
#include "nn/muon.h"
#include <stdio.h>
#include <string.h>

/* State of one parameter: AdamW keeps m and v, Muon its momentum in m. */
typedef struct state {
    bool muon;
    size_t unit, units; /* of rows that AdamW takes at once: the first of all, and how many */
    void *m, *v;
    char *m_name, *v_name;
} state;

struct bv_optimizer {
    const bv_kernels *kernels;
    bv_pool *pool;
    bv_weights *weights;
    size_t count;
    state *states;
    size_t units; /* of all parameters that AdamW takes */
    size_t bytes;
    bv_muon *muons; /* one a thread, or one that all threads share */
    size_t muon_count;
};

static char *state_name(const char *prefix, const char *name) {
    const size_t size = strlen(prefix) + strlen(name) + 2;
    char *text = bv_malloc(size);
    if (text) snprintf(text, size, "%s.%s", prefix, name);
    return text;
}

static bv_status create_state(bv_optimizer *o, size_t i, bool muon) {
    const bv_parameter *p = bv_weights_parameter(o->weights, i);
    state *s = &o->states[i];
    const size_t bytes = bv_parameter_elements(p) * bv_dtype_size(o->kernels->real);
    s->muon = muon;
    s->unit = o->units;
    s->units = muon ? 0 : (p->rows - 1) / bv_matmul_pack_unit(o->kernels) + 1;
    o->units += s->units;
    s->m = bv_malloc_aligned(bytes);
    s->m_name = state_name(muon ? "momentum" : "m", p->name);
    if (!muon) {
        s->v = bv_malloc_aligned(bytes);
        s->v_name = state_name("v", p->name);
    }
    if (!s->m || !s->m_name || (!muon && (!s->v || !s->v_name)))
        return bv_fail_memory("the optimizer");
    o->bytes += muon ? bytes : 2 * bytes;
    return BV_OK;
}

static bool takes_muon(bv_optimizer_kind kind, const bv_parameter *p) {
    return kind == BV_OPTIMIZER_MUON && p->kind == BV_PARAMETER_MATRIX;
}

static bv_dtype product_type(const bv_kernels *kernels, bv_numerics numerics) {
    return numerics == BV_NUMERICS_BF16 ? BV_BF16 : kernels->real;
}

/* ---- what Muon needs for all matrices ---- */

#define SMALL_MATRIX ((size_t)1 << 19) /* elements: a thread's share of the caches holds them */

/* Small matrices are taken whole, each by one thread, where there are enough of them; else all
 * threads take one after another. */
typedef struct muon_plan {
    bv_muon_sizes whole, divided;
    size_t count, largest; /* matrices, elements */
} muon_plan;

static void plan_matrix(muon_plan *plan, const bv_kernels *kernels, int threads, bv_dtype type,
                        const bv_parameter *p) {
    bv_muon_fit(&plan->whole, kernels, 1, type, p->rows, p->cols);
    bv_muon_fit(&plan->divided, kernels, threads, type, p->rows, p->cols);
    plan->largest = bv_larger(plan->largest, bv_parameter_elements(p));
    plan->count++;
}

static bool takes_whole(const muon_plan *plan, int threads) {
    return plan->count >= (size_t)threads && plan->largest <= SMALL_MATRIX;
}

static size_t muon_bytes(const muon_plan *plan, const bv_kernels *kernels, int threads) {
    return takes_whole(plan, threads) ? (size_t)threads * bv_muon_bytes(&plan->whole, kernels)
                                      : bv_muon_bytes(&plan->divided, kernels);
}

size_t bv_optimizer_need(const bv_kernels *kernels, bv_pool *pool, const bv_graph *graph,
                         bv_optimizer_kind kind, bv_numerics numerics) {
    const bv_dtype type = product_type(kernels, numerics);
    const int threads = bv_pool_threads(pool);
    muon_plan plan = {0};
    size_t elements = 0;
    for (size_t i = 0; i < graph->parameter_count; i++) {
        const bv_parameter *p = graph->parameters[i];
        const bool muon = takes_muon(kind, p);
        elements += (muon ? 1 : 2) * bv_parameter_elements(p);
        if (muon) plan_matrix(&plan, kernels, threads, type, p);
    }
    return elements * bv_dtype_size(kernels->real) + muon_bytes(&plan, kernels, threads);
}

static bv_status create_muons(bv_optimizer *o, bv_dtype type) {
    const int threads = bv_pool_threads(o->pool);
    muon_plan plan = {0};
    for (size_t i = 0; i < o->count; i++)
        if (o->states[i].muon)
            plan_matrix(&plan, o->kernels, threads, type, bv_weights_parameter(o->weights, i));
    if (plan.count == 0) return BV_OK;
    const bool whole = takes_whole(&plan, threads);
    const size_t count = whole ? (size_t)threads : 1;
    o->muons = bv_calloc(count, sizeof *o->muons);
    if (!o->muons) return bv_fail_memory("the optimizer");
    for (; o->muon_count < count; o->muon_count++) {
        bv_muon *muon = &o->muons[o->muon_count];
        *muon = (bv_muon){.kernels = o->kernels, .pool = whole ? NULL : o->pool, .type = type};
        if (!bv_muon_allocate(muon, whole ? &plan.whole : &plan.divided))
            return bv_fail_memory("the optimizer");
    }
    o->bytes += muon_bytes(&plan, o->kernels, threads);
    return BV_OK;
}

bv_status bv_optimizer_create(const bv_kernels *kernels, bv_pool *pool, bv_weights *weights,
                              bv_optimizer_kind kind, bv_numerics numerics, bv_optimizer **out) {
    *out = NULL;
    bv_optimizer *o = bv_calloc(1, sizeof *o);
    if (!o) return bv_fail_memory("the optimizer");
    o->kernels = kernels;
    o->pool = pool;
    o->weights = weights;
    o->count = bv_weights_count(weights);
    o->states = bv_calloc(o->count, sizeof *o->states);
    bv_error *error = o->states ? BV_OK : bv_fail_memory("the optimizer");
    for (size_t i = 0; !error && i < o->count; i++)
        error = create_state(o, i, takes_muon(kind, bv_weights_parameter(weights, i)));
    if (!error) error = create_muons(o, product_type(kernels, numerics));
    if (error) bv_optimizer_destroy(&o);
    *out = o;
    return error;
}

void bv_optimizer_destroy(bv_optimizer **optimizer) {
    bv_optimizer *o = *optimizer;
    if (!o) return;
    for (size_t i = 0; o->states && i < o->count; i++) {
        bv_free_aligned(o->states[i].m);
        bv_free_aligned(o->states[i].v);
        bv_free(o->states[i].m_name);
        bv_free(o->states[i].v_name);
    }
    bv_free(o->states);
    for (size_t i = 0; i < o->muon_count; i++) bv_muon_free(&o->muons[i]);
    bv_free(o->muons);
    bv_free(o);
    *optimizer = NULL;
}

static double power(double base, uint64_t exponent) {
    double result = 1; /* repeated multiplication: the same on every machine */
    for (double square = base; exponent; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return result;
}

/* ---- AdamW: units of rows of all parameters, which are packed while they are in cache ---- */

typedef struct adamw_task {
    const bv_optimizer *optimizer;
    bv_gradients *gradients;
    bv_adamw_args args; /* what all parameters share */
    double weight_decay;
} adamw_task;

static void adamw_rows(const adamw_task *task, size_t i, size_t begin, size_t end) {
    const bv_optimizer *o = task->optimizer;
    const bv_parameter *p = bv_weights_parameter(o->weights, i);
    bv_adamw_args args = task->args;
    args.parameter = bv_weights_data(o->weights, p);
    args.m = o->states[i].m;
    args.v = o->states[i].v;
    args.gradient = bv_gradients_values(task->gradients, i);
    args.weight_decay = p->kind == BV_PARAMETER_VECTOR ? 0 : task->weight_decay;
    o->kernels->optimizer->adamw(&args, begin * p->cols, end * p->cols);
    bv_weights_pack_rows(o->weights, i, begin, end);
}

/* Units begin .. end - 1 of all parameters, one after another. */
static void adamw_units(const adamw_task *task, size_t begin, size_t end) {
    const bv_optimizer *o = task->optimizer;
    const size_t unit = bv_matmul_pack_unit(o->kernels);
    for (size_t i = 0; i < o->count && begin < end; i++) {
        const state *s = &o->states[i];
        if (begin >= s->unit + s->units) continue;
        const size_t rows = bv_weights_parameter(o->weights, i)->rows;
        const size_t last = end < s->unit + s->units ? end : s->unit + s->units;
        const size_t row = (begin - s->unit) * unit, row_end = (last - s->unit) * unit;
        adamw_rows(task, i, row, row_end < rows ? row_end : rows);
        begin = last;
    }
}

/* Units are not equally large. */
static void adamw_part(void *context, int part, int parts) {
    const adamw_task *task = context;
    (void)parts;
    for (size_t begin, end; bv_pool_take_some(task->optimizer->pool, part, 8, &begin, &end);)
        adamw_units(task, begin, end);
}

static void apply_adamw(bv_optimizer *o, bv_gradients *gradients, const bv_optimizer_step *step) {
    adamw_task task = {.optimizer = o,
                       .gradients = gradients,
                       .weight_decay = step->weight_decay,
                       .args = {.gradient_scale = step->gradient_scale,
                                .lr = step->lr,
                                .beta1 = step->beta1,
                                .beta2 = step->beta2,
                                .eps = step->eps,
                                .correction1 = 1 - power(step->beta1, step->step),
                                .correction2 = 1 - power(step->beta2, step->step)}};
    if (!o->pool) {
        adamw_units(&task, 0, o->units);
        return;
    }
    bv_pool_share(o->pool, o->units);
    bv_pool_run(o->pool, adamw_part, &task);
}

/* ---- Muon ---- */

typedef struct muon_task {
    const bv_optimizer *optimizer;
    bv_gradients *gradients;
    const bv_optimizer_step *step;
} muon_task;

static void apply_matrix(const muon_task *task, const bv_muon *muon, size_t i) {
    const bv_optimizer *o = task->optimizer;
    const bv_parameter *p = bv_weights_parameter(o->weights, i);
    bv_muon_apply(muon, &(bv_muon_step){.rows = p->rows,
                                        .cols = p->cols,
                                        .parameter = bv_weights_data(o->weights, p),
                                        .momentum = o->states[i].m,
                                        .gradient = bv_gradients_values(task->gradients, i),
                                        .lr = task->step->muon_lr,
                                        .beta = task->step->muon_momentum,
                                        .weight_decay = task->step->weight_decay,
                                        .gradient_scale = task->step->gradient_scale});
}

static void muon_part(void *context, int part, int parts) {
    (void)parts;
    const muon_task *task = context;
    const bv_optimizer *o = task->optimizer;
    for (size_t i; bv_pool_take(o->pool, part, &i);)
        if (o->states[i].muon) apply_matrix(task, &o->muons[part], i);
}

static void apply_muon(bv_optimizer *o, bv_gradients *gradients, const bv_optimizer_step *step) {
    muon_task task = {o, gradients, step};
    if (o->muon_count > 1) {
        bv_pool_share(o->pool, o->count);
        bv_pool_run(o->pool, muon_part, &task);
        return;
    }
    for (size_t i = 0; i < o->count; i++)
        if (o->states[i].muon) apply_matrix(&task, o->muons, i);
}

void bv_optimizer_apply(bv_optimizer *o, bv_gradients *gradients, const bv_optimizer_step *step) {
    apply_adamw(o, gradients, step);
    apply_muon(o, gradients, step);
    bv_weights_changed(o->weights);
    for (size_t i = 0; i < o->count; i++)
        if (!o->states[i].muon) bv_weights_packed(o->weights, i);
}

/* AdamW reads parameter, gradient and moments once and writes all but the gradient, and packed
 * forms; Muon has one moment, and on the caches' side of it 5 times X X^T, its square, and their
 * product with X. */
bv_cost bv_optimizer_cost(const bv_optimizer *o) {
    const double real = (double)bv_dtype_size(o->kernels->real);
    bv_cost cost = {0};
    for (size_t i = 0; i < o->count; i++) {
        const bv_parameter *p = bv_weights_parameter(o->weights, i);
        const double n = (double)bv_parameter_elements(p);
        const double r = (double)(p->rows < p->cols ? p->rows : p->cols);
        const bool muon = o->states[i].muon;
        cost.bytes += (muon ? 5 : 7) * real * n;
        cost.flops += (muon ? 10 : 15) * n;
        if (!muon) cost.bytes += (double)bv_weights_packed_bytes(o->weights, i);
        if (muon) cost.products += 5 * 2 * (2 * r * n + r * r * r);
    }
    return cost;
}

size_t bv_optimizer_state_count(const bv_optimizer *o) {
    size_t n = 0;
    for (size_t i = 0; i < o->count; i++) n += o->states[i].muon ? 1 : 2;
    return n;
}

void *bv_optimizer_state(bv_optimizer *o, size_t index, const char **name,
                         const bv_parameter **parameter) {
    for (size_t i = 0; i < o->count; i++) {
        const state *s = &o->states[i];
        *parameter = bv_weights_parameter(o->weights, i);
        *name = s->m_name;
        if (index-- == 0) return s->m;
        *name = s->v_name;
        if (!s->muon && index-- == 0) return s->v;
    }
    BV_ASSERT(index == 0);
    return NULL;
}

size_t bv_optimizer_bytes(const bv_optimizer *o) {
    return o->bytes;
}

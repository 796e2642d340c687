#include "nn/optimizer.h"

#include "base/order.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* State of one parameter: AdamW keeps m and v, Muon its momentum in m. */
typedef struct state {
    bool muon;
    void *m, *v;
    char *m_name, *v_name;
} state;

struct bv_optimizer {
    const bv_kernels *kernels;
    bv_pool *pool;
    bv_weights *weights;
    size_t count;
    state *states;
    size_t bytes;
    /* Muon: matrices of Newton-Schulz, a bf16 copy of a left operand, and the matmul's scratch */
    bv_dtype type; /* of Newton-Schulz' products */
    void *x, *gram, *poly, *next, *half, *scratch;
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

/* C [m, n] = A [m, k] B [k, n] over canonical matrices; B by strides. At bf16 `multiply` rounds A,
 * and packing rounds B. */
static bv_matmul_args product(const bv_optimizer *o, size_t m, size_t n, size_t k, const void *a,
                              const void *b, size_t b_row, size_t b_col, void *c) {
    const bv_dtype real = o->kernels->real;
    return (bv_matmul_args){.m = m,
                            .n = n,
                            .k = k,
                            .type = o->type,
                            .a = a,
                            .lda = k,
                            .b_source = {b, real, b_row, b_col, k, n},
                            .c = c,
                            .ldc = n,
                            .c_type = real};
}

/* Muon's workspace is as large as the largest matrix asks for. */
typedef struct workspace {
    size_t matrix, square; /* elements: [r, c] with r <= c, and [r, r] */
    size_t scratch;        /* bytes */
} workspace;

static void ask_for(workspace *w, const bv_kernels *kernels, int threads, bv_dtype type,
                    const bv_parameter *p) {
    const size_t r = p->rows < p->cols ? p->rows : p->cols, c = bv_parameter_elements(p) / r;
    const bv_matmul_args gram = {.m = r, .n = r, .k = c, .type = type};
    const bv_matmul_args next = {.m = r, .n = c, .k = r, .type = type};
    w->matrix = bv_larger(w->matrix, r * c);
    w->square = bv_larger(w->square, r * r);
    w->scratch = bv_larger(w->scratch, bv_matmul_scratch_bytes(kernels, threads, &gram));
    w->scratch = bv_larger(w->scratch, bv_matmul_scratch_bytes(kernels, threads, &next));
}

static size_t workspace_bytes(const workspace *w, const bv_kernels *kernels) {
    return 2 * (w->matrix + w->square) * bv_dtype_size(kernels->real) + 2 * w->matrix + w->scratch;
}

static bool takes_muon(bv_optimizer_kind kind, const bv_parameter *p) {
    return kind == BV_OPTIMIZER_MUON && p->kind == BV_PARAMETER_MATRIX;
}

static bv_dtype product_type(const bv_kernels *kernels, bv_numerics numerics) {
    return numerics == BV_NUMERICS_BF16 ? BV_BF16 : kernels->real;
}

size_t bv_optimizer_need(const bv_kernels *kernels, bv_pool *pool, const bv_graph *graph,
                         bv_optimizer_kind kind, bv_numerics numerics) {
    workspace w = {0};
    size_t elements = 0;
    for (size_t i = 0; i < graph->parameter_count; i++) {
        const bv_parameter *p = graph->parameters[i];
        const bool muon = takes_muon(kind, p);
        elements += (muon ? 1 : 2) * bv_parameter_elements(p);
        if (muon) ask_for(&w, kernels, bv_pool_threads(pool), product_type(kernels, numerics), p);
    }
    return elements * bv_dtype_size(kernels->real) + workspace_bytes(&w, kernels);
}

static bv_status create_muon(bv_optimizer *o) {
    workspace w = {0};
    for (size_t i = 0; i < o->count; i++)
        if (o->states[i].muon)
            ask_for(&w, o->kernels, bv_pool_threads(o->pool), o->type,
                    bv_weights_parameter(o->weights, i));
    if (!w.matrix) return BV_OK;
    const size_t element = bv_dtype_size(o->kernels->real);
    o->x = bv_malloc_aligned(w.matrix * element);
    o->next = bv_malloc_aligned(w.matrix * element);
    o->gram = bv_malloc_aligned(w.square * element);
    o->poly = bv_malloc_aligned(w.square * element);
    o->half = bv_malloc_aligned(w.matrix * 2);
    o->scratch = bv_malloc_aligned(w.scratch);
    if (!o->x || !o->next || !o->gram || !o->poly || !o->half || !o->scratch)
        return bv_fail_memory("the optimizer");
    o->bytes += workspace_bytes(&w, o->kernels);
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
    o->type = product_type(kernels, numerics);
    o->count = bv_weights_count(weights);
    o->states = bv_calloc(o->count, sizeof *o->states);
    bv_error *error = o->states ? BV_OK : bv_fail_memory("the optimizer");
    for (size_t i = 0; !error && i < o->count; i++)
        error = create_state(o, i, takes_muon(kind, bv_weights_parameter(weights, i)));
    if (!error) error = create_muon(o);
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
    bv_free_aligned(o->x);
    bv_free_aligned(o->next);
    bv_free_aligned(o->half);
    bv_free_aligned(o->gram);
    bv_free_aligned(o->poly);
    bv_free_aligned(o->scratch);
    bv_free(o);
    *optimizer = NULL;
}

/* ---- ranges of elements over the pool ---- */

typedef struct range_task {
    const bv_kernels *kernels;
    bv_adamw_args adamw;
    const bv_optimizer_step *step;
    void *m, *out, *parameter;
    const void *gradient;
    double lr, weight_decay; /* of Muon */
} range_task;

static void adamw_part(void *context, size_t begin, size_t end) {
    const range_task *task = context;
    task->kernels->optimizer->adamw(&task->adamw, begin, end);
}

static void momentum_part(void *context, size_t begin, size_t end) {
    const range_task *task = context;
    task->kernels->optimizer->momentum(task->m, task->gradient, task->out,
                                       task->step->muon_momentum, task->step->gradient_scale, begin,
                                       end);
}

static void descend_part(void *context, size_t begin, size_t end) {
    const range_task *task = context;
    task->kernels->optimizer->descend(task->parameter, task->out, task->lr, task->weight_decay,
                                      begin, end);
}

static double power(double base, uint64_t exponent) {
    double result = 1; /* repeated multiplication: the same on every machine */
    for (double square = base; exponent; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return result;
}

static void apply_adamw(bv_optimizer *o, size_t i, void *gradient, const bv_optimizer_step *step) {
    const bv_parameter *p = bv_weights_parameter(o->weights, i);
    range_task task = {.kernels = o->kernels};
    task.adamw = (bv_adamw_args){
        .parameter = bv_weights_data(o->weights, p),
        .m = o->states[i].m,
        .v = o->states[i].v,
        .gradient = gradient,
        .gradient_scale = step->gradient_scale,
        .lr = step->lr,
        .beta1 = step->beta1,
        .beta2 = step->beta2,
        .eps = step->eps,
        .weight_decay = p->kind == BV_PARAMETER_VECTOR ? 0 : step->weight_decay,
        .correction1 = 1 - power(step->beta1, step->step),
        .correction2 = 1 - power(step->beta2, step->step),
    };
    bv_pool_run_ranges(o->pool, bv_parameter_elements(p), 64, adamw_part, &task);
}

/* ---- Muon: the momentum, made orthogonal by five steps of a quintic Newton-Schulz iteration ----
 */

static double square_sum(bv_optimizer *o, const void *x, size_t count) {
    /* One thread: the matrices are small beside the products that follow. */
    double total = 0, sum;
    for (size_t c = 0; c * BV_SUM_CHUNK < count; c++) {
        const size_t begin = c * BV_SUM_CHUNK;
        const char *at = (const char *)x + begin * bv_dtype_size(o->kernels->real);
        o->kernels->optimizer->square_sums(
            at, count - begin < BV_SUM_CHUNK ? count - begin : BV_SUM_CHUNK, &sum, 0, 1);
        total += sum;
    }
    return total;
}

typedef struct add_task {
    const bv_kernels *kernels;
    bv_add_args args;
} add_task;

static void add_part(void *context, size_t begin, size_t end) {
    const add_task *task = context;
    task->kernels->elementwise->add(&task->args, begin, end);
}

/* y = (a + b) * scale over n elements of real; b may be NULL. */
static void add(bv_optimizer *o, const void *a, const void *b, double scale, void *y,
                bv_dtype y_type, size_t n) {
    const bv_dtype real = o->kernels->real;
    add_task task = {
        o->kernels,
        {.a = a, .b = b, .y = y, .a_type = real, .b_type = real, .y_type = y_type, .scale = scale}};
    bv_pool_run_ranges(o->pool, n, 64, add_part, &task);
}

/* y = (a * (s / t) + b) * t, rounded after each operation as written; y may be a, not b. */
static void combine(bv_optimizer *o, const void *a, double s, const void *b, double t, void *y,
                    size_t n) {
    add(o, a, NULL, s / t, y, o->kernels->real, n);
    add(o, y, b, t, y, o->kernels->real, n);
}

static void multiply(bv_optimizer *o, bv_matmul_args args) {
    if (o->type == BV_BF16) {
        add(o, args.a, NULL, 1, o->half, BV_BF16, args.m * args.k);
        args.a = o->half;
    }
    bv_matmul_run(o->kernels, o->pool, &args, o->scratch);
}

/* x: [r, c] with r <= c, in place (Jordan et al. 2024: a 3.4445, b -4.7750, c 2.0315). */
static void orthogonalize(bv_optimizer *o, size_t r, size_t c) {
    const double norm = sqrt(square_sum(o, o->x, r * c));
    add(o, o->x, NULL, 1 / (norm + 1e-7), o->x, o->kernels->real, r * c);
    for (int i = 0; i < 5; i++) {
        multiply(o, product(o, r, r, c, o->x, o->x, 1, c, o->gram)); /* A = X X^T */
        multiply(o, product(o, r, r, r, o->gram, o->gram, r, 1, o->poly));
        combine(o, o->poly, 2.0315, o->gram, -4.7750, o->poly, r * r); /* B = bA + cA^2 */
        multiply(o, product(o, r, c, r, o->poly, o->x, c, 1, o->next));
        combine(o, o->x, 3.4445, o->next, 1, o->x, r * c); /* X = aX + BX */
    }
}

/* Copies [rows, cols] into [cols, rows]. */
static void transpose(const bv_optimizer *o, const void *from, void *to, size_t rows, size_t cols) {
    const size_t element = bv_dtype_size(o->kernels->real);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            memcpy((char *)to + (j * rows + i) * element,
                   (const char *)from + (i * cols + j) * element, element);
}

static void apply_muon(bv_optimizer *o, size_t i, const void *gradient,
                       const bv_optimizer_step *step) {
    const bv_parameter *p = bv_weights_parameter(o->weights, i);
    const bool tall = p->rows > p->cols;
    range_task task = {.kernels = o->kernels,
                       .step = step,
                       .m = o->states[i].m,
                       .gradient = gradient,
                       .out = tall ? o->next : o->x,
                       .parameter = bv_weights_data(o->weights, p)};
    bv_pool_run_ranges(o->pool, bv_parameter_elements(p), 64, momentum_part, &task);
    if (tall) transpose(o, o->next, o->x, p->rows, p->cols);
    orthogonalize(o, tall ? p->cols : p->rows, tall ? p->rows : p->cols);
    if (tall) transpose(o, o->x, o->next, p->cols, p->rows);
    const double aspect = (double)p->rows / (double)p->cols;
    const double scale = aspect > 1 ? sqrt(aspect) : 1;
    task.lr = step->muon_lr * scale;
    task.weight_decay = step->weight_decay / scale; /* only the update is scaled, not the decay */
    bv_pool_run_ranges(o->pool, bv_parameter_elements(p), 64, descend_part, &task);
}

void bv_optimizer_apply(bv_optimizer *o, bv_gradients *gradients, const bv_optimizer_step *step) {
    for (size_t i = 0; i < o->count; i++) {
        void *gradient = bv_gradients_values(gradients, i);
        if (o->states[i].muon)
            apply_muon(o, i, gradient, step);
        else
            apply_adamw(o, i, gradient, step);
    }
    bv_weights_changed(o->weights);
}

/* AdamW reads parameter, gradient and moments once and writes all but the gradient; Muon has one
 * moment, and on the caches' side of it 5 times X X^T, its square, and their product with X. */
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

#include "report/estimate.h"

#include "base/memory.h"
#include "model/gpt.h"
#include "tensor/autograd.h"
#include "tensor/op.h"
#include "tensor/weights.h"
#include <string.h>

/* One plan that is not made: its steps in order, each with the group that it would run in. */
typedef struct outline {
    const bv_settings *settings;
    bv_graph *graph;
    const bv_tensor *output;
    bool gradients;
    bv_run run;
    bool *needed;
    size_t *group;         /* by tensor index */
    size_t *last;          /* by tensor index: the last group that reads it */
    size_t *begins, *ends; /* by group: bytes that come to life in it, and that die after it */
    size_t group_count;
} outline;

static bool is_step(const bv_tensor *t) {
    return t->op && !t->parameter;
}

static void mark_needed(outline *o) {
    o->needed[o->output->index] = true;
    for (size_t i = o->graph->tensor_count; i-- > 0;) {
        const bv_tensor *t = o->graph->tensors[i];
        if (t->op && t->op->effect && o->gradients) o->needed[i] = true;
        if (!o->needed[i]) continue;
        if (t->owner) o->needed[t->owner->index] = true;
        for (int k = 0; k < t->input_count; k++)
            if (t->inputs[k]) o->needed[t->inputs[k]->index] = true;
    }
}

/* Steps that stand alone by rows and have the same rows run as one group. */
static void group_steps(outline *o) {
    const bv_tensor *before = NULL;
    for (size_t i = 0; i < o->graph->tensor_count; i++) {
        const bv_tensor *t = o->graph->tensors[i];
        if (!o->needed[i] || !is_step(t)) continue;
        const bool joins = before && o->settings->fuse && before->op->run_rows && t->op->run_rows &&
                           before->rows.free == t->rows.free &&
                           before->rows.factor == t->rows.factor;
        if (!joins) o->group_count++;
        o->group[i] = o->last[i] = o->group_count - 1;
        for (int k = 0; k < t->input_count; k++)
            if (t->inputs[k]) o->last[t->inputs[k]->index] = o->group_count - 1;
        before = t;
    }
    o->last[o->output->index] = o->group_count - 1;
}

/* With the gap that plans leave between tensors. */
static size_t tensor_bytes(const outline *o, const bv_tensor *t) {
    const size_t bytes = bv_rows(&o->run, t) * t->cols * bv_dtype_size(bv_type(&o->run, t));
    return (bytes + 127) / 64 * 64;
}

static void count_tensor(outline *o, const bv_tensor *t, size_t from) {
    const size_t bytes = tensor_bytes(o, t), last = o->last[t->index];
    o->begins[from] += bytes;
    o->ends[last > from ? last : from] += bytes;
}

static size_t peak_bytes(outline *o) {
    size_t scratch = 0, alive = 0, most = 0;
    for (size_t i = 0; i < o->graph->tensor_count; i++) {
        const bv_tensor *t = o->graph->tensors[i];
        if (!o->needed[i] || !is_step(t)) continue;
        count_tensor(o, t, o->group[i]);
        for (int e = 0; e < BV_EXTRAS_MAX; e++)
            if (t->extras[e]) count_tensor(o, t->extras[e], o->group[i]);
        const size_t bytes = t->op->scratch ? t->op->scratch(t, &o->run) : 0;
        if (bytes > scratch) scratch = bytes;
    }
    for (size_t g = 0; g < o->group_count; g++) {
        alive += o->begins[g];
        if (alive > most) most = alive;
        alive -= o->ends[g];
    }
    return most + scratch;
}

/* forms: bits of bv_weight_form, by parameter index. */
static void note_forms(const outline *o, unsigned *forms) {
    for (size_t i = 0; i < o->graph->tensor_count; i++) {
        const bv_tensor *t = o->graph->tensors[i];
        if (o->needed[i] && is_step(t) && t->op->forms)
            forms[t->inputs[1]->parameter->index] |= t->op->forms;
    }
}

static bv_status outline_bytes(outline *o, size_t *bytes, unsigned *forms) {
    const size_t count = o->graph->tensor_count;
    o->needed = bv_calloc(count, sizeof *o->needed);
    o->group = bv_calloc(count, sizeof *o->group);
    o->last = bv_calloc(count, sizeof *o->last);
    o->begins = bv_calloc(count, sizeof *o->begins);
    o->ends = bv_calloc(count, sizeof *o->ends);
    o->run.memory = bv_calloc(count, sizeof *o->run.memory);
    const bool fine = o->needed && o->group && o->last && o->begins && o->ends && o->run.memory;
    if (fine) {
        mark_needed(o);
        group_steps(o);
        *bytes += peak_bytes(o);
        note_forms(o, forms);
    }
    bv_free(o->needed);
    bv_free(o->group);
    bv_free(o->last);
    bv_free(o->begins);
    bv_free(o->ends);
    bv_free(o->run.memory);
    return fine ? BV_OK : bv_fail_memory("an estimate");
}

/* ---- what belongs to parameters ---- */

static size_t weight_bytes(const bv_parameter *p, unsigned forms, const bv_kernels *kernels,
                           bv_dtype type) {
    const size_t elements = p->rows * p->cols;
    size_t bytes = elements * bv_dtype_size(kernels->real);
    if (forms & 1u << BV_FORM_FORWARD)
        bytes += bv_matmul_packed_bytes(kernels, type, p->cols, p->rows);
    if (forms & 1u << BV_FORM_BACKWARD)
        bytes += bv_matmul_packed_bytes(kernels, type, p->rows, p->cols);
    if (forms & 1u << BV_FORM_TABLE && type != kernels->real)
        bytes += elements * bv_dtype_size(type);
    return bytes;
}

static size_t gradient_bytes(const bv_parameter *p, size_t real, size_t levels) {
    const size_t elements = p->rows * p->cols, uses = p->uses ? p->uses : 1;
    const size_t one = (elements * real + 63) / 64 * 64;
    return (elements * uses * real + 63) / 64 * 64 + levels * one;
}

/* Workspace of Muon for the largest matrices: two of their size, two squares, products. */
static size_t muon_bytes(const bv_graph *g, const bv_kernels *kernels, int threads) {
    size_t largest = 0, square = 0, scratch = 0;
    for (size_t i = 0; i < g->parameter_count; i++) {
        const bv_parameter *p = g->parameters[i];
        if (p->kind != BV_PARAMETER_MATRIX) continue;
        const size_t r = p->rows < p->cols ? p->rows : p->cols, c = p->rows * p->cols / r;
        bv_matmul_args gram = {
            .m = r, .n = r, .k = c, .type = kernels->real, .c_type = kernels->real, .ldc = r};
        bv_matmul_args next = {
            .m = r, .n = c, .k = r, .type = kernels->real, .c_type = kernels->real, .ldc = c};
        const size_t a = bv_matmul_scratch_bytes(kernels, threads, &gram);
        const size_t b = bv_matmul_scratch_bytes(kernels, threads, &next);
        if (p->rows * p->cols > largest) largest = p->rows * p->cols;
        if (r * r > square) square = r * r;
        if (a > scratch) scratch = a;
        if (b > scratch) scratch = b;
    }
    return 2 * (largest + square) * bv_dtype_size(kernels->real) + scratch;
}

static void count_parameters(const bv_settings *s, const bv_kernels *kernels, bv_pool *pool,
                             const bv_graph *g, const unsigned *forms, bv_estimate *out) {
    const bv_dtype type = bv_numerics_type(s->numerics, BV_ROLE_OPERAND);
    const size_t real = bv_dtype_size(kernels->real);
    const bool muon = s->optimizer == BV_OPTIMIZER_MUON;
    size_t levels = 0;
    for (size_t n = s->grains; n > 1; n = (n + 1) / 2) levels++;
    for (size_t i = 0; i < g->parameter_count; i++) {
        const bv_parameter *p = g->parameters[i];
        const bool momentum_only = muon && p->kind == BV_PARAMETER_MATRIX;
        out->weights += weight_bytes(p, forms[i], kernels, type);
        out->gradients += gradient_bytes(p, real, levels);
        out->optimizer += (momentum_only ? 1 : 2) * p->rows * p->cols * real;
    }
    if (muon) out->optimizer += muon_bytes(g, kernels, bv_pool_threads(pool));
}

/* ---- both plans of a trainer ---- */

static outline outline_of(const bv_settings *s, const bv_kernels *kernels, bv_pool *pool,
                          const bv_gpt *gpt, const bv_tensor *output, bool gradients) {
    return (outline){.settings = s,
                     .graph = gpt->graph,
                     .output = output,
                     .gradients = gradients,
                     .run = {.kernels = kernels,
                             .pool = pool,
                             .numerics = s->numerics,
                             .sizes = {[BV_FREE_ROWS] = s->micro_batch * s->model.context},
                             .sequences_max = s->micro_batch,
                             .context_max = s->model.context}};
}

bv_status bv_estimate_memory(const bv_settings *s, const bv_kernels *kernels, bv_pool *pool,
                             bv_estimate *out) {
    *out = (bv_estimate){0};
    bv_gpt learn = {0}, score = {0};
    bv_tensor *losses = NULL;
    unsigned *forms = NULL;
    bv_error *error = bv_gpt_create(&s->model, BV_GPT_LOSS, true, &learn);
    if (!error) error = bv_gpt_create(&s->model, BV_GPT_LOSS, false, &score);
    if (!error) error = bv_graph_differentiate(learn.graph, learn.losses, s->recompute, &losses);
    if (!error && !(forms = bv_calloc(learn.graph->parameter_count, sizeof *forms)))
        error = bv_fail_memory("an estimate");
    if (!error) {
        outline o = outline_of(s, kernels, pool, &learn, losses, true);
        error = outline_bytes(&o, &out->activations, forms);
    }
    if (!error) {
        outline o = outline_of(s, kernels, pool, &score, score.losses, false);
        error = outline_bytes(&o, &out->activations, forms);
    }
    if (!error) count_parameters(s, kernels, pool, learn.graph, forms, out);
    out->total = out->weights + out->gradients + out->optimizer + out->activations;
    bv_free(forms);
    bv_gpt_destroy(&learn);
    bv_gpt_destroy(&score);
    return error;
}

#include "report/estimate.h"

#include "base/memory.h"
#include "model/gpt.h"
#include "model/kneser_ney.h"
#include "report/machine.h"
#include "report/units.h"
#include "tensor/autograd.h"
#include "tensor/plan.h"

typedef struct estimator {
    const bv_settings *settings;
    const bv_kernels *kernels;
    bv_pool *pool;
    unsigned *forms; /* by parameter: bits of bv_weight_form that weights keep for some step */
} estimator;

/* Makes a plan that is only measured. */
static bv_status measure_plan(const estimator *e, const bv_gpt *gpt, bv_tensor *losses,
                              bool gradients, size_t *bytes) {
    const bv_settings *s = e->settings;
    const bv_plan_options options = {.kernels = e->kernels,
                                     .pool = e->pool,
                                     .numerics = s->numerics,
                                     .rows_max = s->micro_batch * s->model.context,
                                     .sequences_max = s->micro_batch,
                                     .context_max = s->model.context,
                                     .gradients = gradients,
                                     .unfused = !s->fuse,
                                     .apart = gradients && s->recompute == BV_RECOMPUTE_NONE,
                                     .outputs = &losses,
                                     .output_count = 1};
    bv_plan *plan;
    BV_TRY(bv_plan_create(gpt->graph, &options, &plan));
    *bytes += bv_plan_bytes(plan);
    for (size_t i = 0; i < bv_plan_steps(plan); i++) {
        const unsigned forms = bv_plan_kept_forms(plan, i);
        if (forms) e->forms[bv_plan_step(plan, i)->inputs[1]->parameter->index] |= forms;
    }
    bv_plan_destroy(&plan);
    return BV_OK;
}

static size_t weight_bytes(const estimator *e, const bv_parameter *p) {
    const bv_dtype type = bv_numerics_type(e->settings->numerics, BV_ROLE_OPERAND);
    const unsigned forms = e->forms[p->index];
    size_t bytes = bv_parameter_elements(p) * bv_dtype_size(e->kernels->real);
    if (forms & 1u << BV_FORM_FORWARD)
        bytes += bv_matmul_packed_bytes(e->kernels, type, p->cols, p->rows);
    if (forms & 1u << BV_FORM_BACKWARD)
        bytes += bv_matmul_packed_bytes(e->kernels, type, p->rows, p->cols);
    return bytes;
}

static void count_parameters(const estimator *e, const bv_graph *g, bv_estimate *out) {
    const bv_settings *s = e->settings;
    for (size_t i = 0; i < g->parameter_count; i++)
        out->weights += weight_bytes(e, g->parameters[i]);
    out->gradients =
        bv_gradients_need(e->kernels, g, s->grains, s->batch / s->grains * s->model.context);
    out->optimizer = bv_optimizer_need(e->kernels, e->pool, g, s->optimizer, s->numerics);
    out->total = out->weights + out->gradients + out->optimizer + out->activations + out->counts;
}

static bv_status measure(estimator *e, bv_gpt *learn, bv_gpt *score, bv_estimate *out) {
    const bv_settings *s = e->settings;
    bv_tensor *losses;
    BV_TRY(bv_gpt_create(&s->model, BV_GPT_LOSS, true, learn));
    BV_TRY(bv_gpt_create(&s->model, BV_GPT_LOSS, false, score));
    BV_TRY(bv_graph_differentiate(learn->graph, learn->losses, s->recompute, &losses));
    e->forms = bv_calloc(learn->graph->parameter_count, sizeof *e->forms);
    if (!e->forms) return bv_fail_memory("an estimate");
    BV_TRY(measure_plan(e, learn, losses, true, &out->activations));
    BV_TRY(measure_plan(e, score, score->losses, false, &out->activations));
    count_parameters(e, learn->graph, out);
    return BV_OK;
}

bv_status bv_estimate_memory(const bv_settings *settings, uint64_t text_tokens,
                             const bv_kernels *kernels, bv_pool *pool, bv_estimate *out) {
    *out = (bv_estimate){0};
    if (settings->model.kneser_ney) out->counts = bv_kneser_ney_counting_bytes(text_tokens);
    estimator e = {.settings = settings, .kernels = kernels, .pool = pool};
    bv_gpt learn = {0}, score = {0};
    bv_error *error = measure(&e, &learn, &score, out);
    bv_free(e.forms);
    bv_gpt_destroy(&learn);
    bv_gpt_destroy(&score);
    return error;
}

bv_status bv_memory_fits(double bytes, const char *what) {
    bv_machine machine;
    bv_machine_read(&machine);
    const double available = (double)machine.memory_available;
    if (available == 0 || bytes <= available) return BV_OK;
    return bv_fail(BV_CODE_MEMORY, "%s needs %s of memory, %s are available", what,
                   bv_human_bytes(bytes).text, bv_human_bytes(available).text);
}

bv_status bv_estimate_fits(const bv_estimate *estimate, const char *what) {
    return bv_try(bv_memory_fits((double)estimate->total, what),
                  "a smaller --set micro_batch=N, --set recompute=all, or a smaller model");
}

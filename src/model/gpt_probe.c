#include "model/gpt_probe.h"

#include "base/memory.h"
#include "model/gpt_inputs.h"
#include <math.h>

typedef struct probe {
    const bv_gpt_scorer_options *options;
    bv_gpt gpt;
    bv_plan *plan;
    bv_tensor **outputs; /* what leaves each block, then the losses */
    size_t output_count;
    bv_gpt_inputs inputs;
    bv_sequence sequence;
} probe;

static bv_status prepare(probe *p) {
    const bv_gpt_scorer_options *o = p->options;
    BV_TRY(bv_gpt_create(&o->config, BV_GPT_LOSS, false, &p->gpt));
    p->outputs = bv_calloc(o->config.layers + 1, sizeof *p->outputs);
    if (!p->outputs) return bv_fail_memory("looking at a bad step");
    BV_TRY(
        bv_gpt_inputs_create(&p->gpt, o->kneser_ney, o->kernels, o->pool, o->context, &p->inputs));
    for (size_t i = 0; i < p->gpt.graph->tensor_count; i++) {
        bv_tensor *t = p->gpt.graph->tensors[i];
        if (t->op && !t->parameter && t->keep && t->layer >= 0) p->outputs[p->output_count++] = t;
    }
    BV_ASSERT(p->output_count == o->config.layers);
    p->outputs[p->output_count++] = p->gpt.losses;
    const bv_plan_options plan = {.kernels = o->kernels,
                                  .pool = o->pool,
                                  .weights = o->weights,
                                  .numerics = o->numerics,
                                  .rows_max = o->context,
                                  .sequences_max = 1,
                                  .context_max = o->context,
                                  .outputs = p->outputs,
                                  .output_count = p->output_count};
    return bv_plan_create(p->gpt.graph, &plan, &p->plan);
}

/* Streams are f32 in every class that trains. */
static double largest_of(const float *x, size_t count) {
    double largest = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(x[i])) return HUGE_VAL;
        if (fabs((double)x[i]) > largest) largest = fabs((double)x[i]);
    }
    return largest;
}

static void look(probe *p, const uint32_t *inputs, const uint32_t *targets,
                 const uint32_t *first_visible, int *layer, double *largest) {
    const size_t rows = p->options->context;
    p->sequence = (bv_sequence){.rows = rows};
    const bv_layout layout = {&p->sequence, 1, first_visible};
    bv_plan_bind(p->plan, p->gpt.tokens, inputs);
    bv_plan_bind(p->plan, p->gpt.targets, targets);
    bv_gpt_inputs_lay_out(&p->inputs, inputs, targets, 1, rows, first_visible);
    bv_gpt_inputs_bind(&p->inputs, p->plan);
    bv_plan_run(p->plan, &(bv_run_options){.rows = rows, .layout = &layout});
    for (size_t i = 0; i < p->output_count; i++) {
        const double here =
            largest_of(bv_plan_values(p->plan, p->outputs[i]), rows * p->outputs[i]->cols);
        if (!isfinite(here)) {
            if (*layer == BV_PROBE_NONE || (int)i < *layer) *layer = (int)i;
            return;
        }
        if (here > *largest) *largest = here;
    }
}

bv_status bv_gpt_probe(const bv_gpt_scorer_options *options, const uint32_t *inputs,
                       const uint32_t *targets, const uint32_t *first_visible, size_t sequences,
                       int *layer, double *largest) {
    BV_ASSERT(options->kernels->real == BV_F32);
    probe p = {.options = options};
    bv_error *error = prepare(&p);
    *layer = BV_PROBE_NONE;
    *largest = 0;
    for (size_t i = 0; !error && i < sequences; i++) {
        const size_t at = i * options->context;
        look(&p, inputs + at, targets + at, first_visible ? first_visible + at : NULL, layer,
             largest);
    }
    bv_plan_destroy(&p.plan);
    bv_gpt_inputs_destroy(&p.inputs);
    bv_gpt_destroy(&p.gpt);
    bv_free(p.outputs);
    return error;
}

#include "model/gpt_train.h"

#include "model/gpt_inputs.h"

#include "tensor/autograd.h"
#include <math.h>
#include <string.h>

struct bv_gpt_trainer {
    bv_gpt_trainer_options options;
    bv_gpt learn;
    bv_tensor *learn_losses;
    bv_plan *learn_plan;
    bv_gpt_scorer *scorer;
    bv_weights *weights;
    bv_gradients *gradients;
    bv_optimizer *optimizer;
    bv_named_tensor *parameters, *state;
    size_t parameter_count, state_count;
    /* of one micro-batch */
    bv_gpt_inputs inputs;
    uint32_t *row_ids;
    bv_sequence *sequences;
    /* of the step */
    char *losses; /* [batch_max * context] real */
    double *sums;
    size_t rows;
    uint32_t step;
    uint64_t targets;
    struct {
        size_t sum, norm, apply; /* spans of the trace */
    } spans;
};

static bv_status create_plans(bv_gpt_trainer *t) {
    const bv_gpt_trainer_options *o = &t->options;
    BV_TRY(bv_gpt_create(&o->config, BV_GPT_LOSS, true, &t->learn));
    BV_TRY(bv_graph_differentiate(t->learn.graph, t->learn.losses, o->recompute, &t->learn_losses));
    BV_TRY(bv_weights_create(o->kernels, o->pool, t->learn.graph, &t->weights));
    BV_TRY(bv_gradients_create(o->kernels, o->pool, t->learn.graph, o->grains,
                               o->batch_max / o->grains * o->config.context, &t->gradients));
    BV_TRY(bv_optimizer_create(o->kernels, o->pool, t->weights, o->optimizer, o->numerics,
                               &t->optimizer));
    const bv_plan_options plan = {.kernels = o->kernels,
                                  .pool = o->pool,
                                  .weights = t->weights,
                                  .numerics = o->numerics,
                                  .rows_max = o->micro_batch * o->config.context,
                                  .sequences_max = o->micro_batch,
                                  .context_max = o->config.context,
                                  .gradients = true,
                                  .unfused = o->unfused,
                                  .apart = o->recompute == BV_RECOMPUTE_NONE,
                                  .outputs = &t->learn_losses,
                                  .output_count = 1,
                                  .trace = o->trace};
    BV_TRY(bv_plan_create(t->learn.graph, &plan, &t->learn_plan));
    const bv_gpt_scorer_options score = {.config = o->config,
                                         .numerics = o->numerics,
                                         .kernels = o->kernels,
                                         .pool = o->pool,
                                         .weights = t->weights,
                                         .kneser_ney = o->kneser_ney,
                                         .sequences_max = o->micro_batch,
                                         .context = o->config.context,
                                         .unfused = o->unfused};
    return bv_gpt_scorer_create(&score, &t->scorer);
}

static bv_status list_tensors(bv_gpt_trainer *t) {
    const bv_dtype real = t->options.kernels->real;
    t->parameters = bv_name_weights(t->weights, real, &t->parameter_count);
    t->state_count = bv_optimizer_state_count(t->optimizer);
    t->state = bv_calloc(t->state_count, sizeof *t->state);
    if (!t->parameters || !t->state) return bv_fail_memory("a trainer");
    for (size_t i = 0; i < t->state_count; i++) {
        const char *name;
        const bv_parameter *p;
        void *data = bv_optimizer_state(t->optimizer, i, &name, &p);
        t->state[i] = bv_name_tensor(name, p, real, data);
    }
    return BV_OK;
}

static bv_status create_rows(bv_gpt_trainer *t) {
    const bv_gpt_trainer_options *o = &t->options;
    const size_t rows = o->micro_batch * o->config.context,
                 batch_rows = o->batch_max * o->config.context;
    t->row_ids = bv_calloc(rows, sizeof *t->row_ids);
    t->sequences = bv_calloc(o->micro_batch, sizeof *t->sequences);
    t->losses = bv_calloc(batch_rows, bv_dtype_size(o->kernels->real));
    t->sums = bv_calloc(batch_rows / BV_SUM_CHUNK + 1, sizeof *t->sums);
    if (!t->row_ids || !t->sequences || !t->losses || !t->sums) return bv_fail_memory("a trainer");
    return bv_gpt_inputs_create(&t->learn, o->kneser_ney, o->kernels, o->pool, rows, &t->inputs);
}

static bv_status define_spans(bv_gpt_trainer *t) {
    bv_trace *trace = t->options.trace;
    if (!trace) return BV_OK;
    BV_TRY(bv_trace_define_phase(trace, "sum gradients", &t->spans.sum));
    BV_TRY(bv_trace_define_phase(trace, "gradient norm", &t->spans.norm));
    return bv_trace_define_phase(trace, "optimizer", &t->spans.apply);
}

bv_status bv_gpt_trainer_create(const bv_gpt_trainer_options *options, bv_gpt_trainer **out) {
    *out = NULL;
    if (options->numerics == BV_NUMERICS_BF16 && options->config.context % 2)
        return bv_fail(BV_CODE_USAGE, "bf16 sums rows in pairs: context %zu is odd",
                       options->config.context);
    bv_gpt_trainer *t = bv_calloc(1, sizeof *t);
    if (!t) return bv_fail_memory("a trainer");
    t->options = *options;
    bv_error *error = create_plans(t);
    if (!error) error = list_tensors(t);
    if (!error) error = create_rows(t);
    if (!error) error = define_spans(t);
    if (error)
        bv_gpt_trainer_destroy(&t);
    else if (options->scratch)
        bv_weights_fill(t->weights);
    else
        bv_weights_initialize(t->weights, options->seed);
    *out = t;
    return error;
}

void bv_gpt_trainer_destroy(bv_gpt_trainer **trainer) {
    bv_gpt_trainer *t = *trainer;
    if (!t) return;
    bv_plan_destroy(&t->learn_plan);
    bv_gpt_scorer_destroy(&t->scorer);
    bv_optimizer_destroy(&t->optimizer);
    bv_gradients_destroy(&t->gradients);
    bv_weights_destroy(&t->weights);
    bv_gpt_destroy(&t->learn);
    bv_free(t->parameters);
    bv_free(t->state);
    bv_gpt_inputs_destroy(&t->inputs);
    bv_free(t->row_ids);
    bv_free(t->sequences);
    bv_free(t->losses);
    bv_free(t->sums);
    bv_free(t);
    *trainer = NULL;
}

const bv_named_tensor *bv_gpt_trainer_parameters(bv_gpt_trainer *t, size_t *count) {
    *count = t->parameter_count;
    return t->parameters;
}

const bv_named_tensor *bv_gpt_trainer_optimizer_state(bv_gpt_trainer *t, size_t *count) {
    *count = t->state_count;
    return t->state;
}

void bv_gpt_trainer_changed(bv_gpt_trainer *t) {
    bv_weights_changed(t->weights);
}

void bv_gpt_trainer_reset(bv_gpt_trainer *t) {
    const size_t element = bv_dtype_size(t->options.kernels->real);
    for (size_t i = 0; i < t->state_count; i++) {
        const bv_named_tensor *s = &t->state[i];
        memset(s->data, 0, bv_named_tensor_elements(s) * element);
    }
    bv_weights_initialize(t->weights, t->options.seed);
}

void bv_gpt_trainer_step_begin(bv_gpt_trainer *t, uint32_t step, uint64_t targets) {
    t->step = step;
    t->targets = targets ? targets : 1;
    t->rows = 0;
    bv_trace_step_begin(t->options.trace, step);
    bv_gradients_begin(t->gradients);
}

static void leave_gradients(bv_gpt_trainer *t) {
    const double bytes = (double)bv_gradients_moved(t->gradients);
    bv_trace_leave(t->options.trace, (bv_cost){.bytes = bytes});
}

void bv_gpt_trainer_grain_begin(bv_gpt_trainer *t) {
    bv_gradients_begin_grain(t->gradients);
}

void bv_gpt_trainer_grain_end(bv_gpt_trainer *t) {
    bv_trace_enter(t->options.trace, t->spans.sum);
    bv_gradients_end_grain(t->gradients);
    leave_gradients(t);
}

/* Lays `sequences` sequences out, one after another from position 0. */
static bv_layout lay_out(bv_gpt_trainer *t, size_t sequences, size_t first_sample,
                         const uint32_t *first_visible) {
    const size_t context = t->options.config.context;
    BV_ASSERT(sequences <= t->options.micro_batch);
    for (size_t i = 0; i < sequences; i++) {
        t->sequences[i] = (bv_sequence){
            .row = i * context, .rows = context, .sample = (uint32_t)(first_sample + i)};
        for (size_t p = 0; p < context; p++)
            t->row_ids[i * context + p] = (uint32_t)((first_sample + i) * context + p);
    }
    return (bv_layout){t->sequences, sequences, first_visible};
}

void bv_gpt_trainer_micro(bv_gpt_trainer *t, const uint32_t *inputs, const uint32_t *targets,
                          const uint32_t *first_visible, size_t sequences, size_t first_sample) {
    const bv_layout layout = lay_out(t, sequences, first_sample, first_visible);
    const size_t rows = sequences * t->options.config.context;
    const size_t element = bv_dtype_size(t->options.kernels->real);
    BV_ASSERT(t->rows + rows <= t->options.batch_max * t->options.config.context);
    bv_plan_bind(t->learn_plan, t->learn.tokens, inputs);
    bv_plan_bind(t->learn_plan, t->learn.targets, targets);
    bv_plan_bind(t->learn_plan, t->learn.row_ids, t->row_ids);
    bv_gpt_inputs_lay_out(&t->inputs, inputs, targets, sequences, t->options.config.context,
                          first_visible);
    bv_gpt_inputs_bind(&t->inputs, t->learn_plan);
    const bv_run_options run = {.rows = rows,
                                .layout = &layout,
                                .gradients = bv_gradients_accumulators(t->gradients),
                                .loss_scale = 1.0 / (double)t->targets,
                                .seed = t->options.seed,
                                .step = t->step};
    bv_plan_run(t->learn_plan, &run);
    memcpy(t->losses + t->rows * element, bv_plan_values(t->learn_plan, t->learn_losses),
           rows * element);
    t->rows += rows;
}

void bv_gpt_trainer_gradient(bv_gpt_trainer *t, double *loss, double *norm) {
    bv_trace *trace = t->options.trace;
    bv_trace_enter(trace, t->spans.sum);
    bv_gradients_end(t->gradients);
    leave_gradients(t);
    const size_t chunks = (t->rows + BV_SUM_CHUNK - 1) / BV_SUM_CHUNK;
    t->options.kernels->optimizer->sums(t->losses, t->rows, t->sums, 0, chunks);
    *loss = bv_tree_sum(t->sums, chunks) / (double)t->targets;
    const double elements = (double)bv_gpt_parameter_count(&t->options.config);
    const double element = (double)bv_dtype_size(t->options.kernels->real);
    bv_trace_enter(trace, t->spans.norm);
    *norm = bv_gradients_norm(t->gradients);
    bv_trace_leave(trace, (bv_cost){.flops = 2 * elements, .bytes = element * elements});
}

void bv_gpt_trainer_apply(bv_gpt_trainer *t, const bv_optimizer_step *step) {
    const unsigned saved = bv_float_enter();
    bv_trace_enter(t->options.trace, t->spans.apply);
    bv_optimizer_apply(t->optimizer, t->gradients, step);
    bv_trace_leave(t->options.trace, bv_optimizer_cost(t->optimizer));
    bv_trace_step_end(t->options.trace);
    bv_float_leave(saved);
}

bv_weights *bv_gpt_trainer_weights(bv_gpt_trainer *t) {
    return t->weights;
}

bv_gpt_scorer *bv_gpt_trainer_scorer(bv_gpt_trainer *t) {
    return t->scorer;
}

const void *bv_gpt_trainer_row_losses(const bv_gpt_trainer *t) {
    return t->losses;
}

const char *bv_gpt_trainer_first_nonfinite(bv_gpt_trainer *t) {
    for (size_t i = 0; i < bv_weights_count(t->weights); i++)
        if (!isfinite(bv_gradients_square_sum(t->gradients, i)))
            return bv_weights_parameter(t->weights, i)->name;
    return NULL;
}

const void *bv_gpt_trainer_parameter_gradient(bv_gpt_trainer *t, size_t index) {
    return bv_gradients_values(t->gradients, index);
}

bv_gpt_trainer_memory bv_gpt_trainer_memory_used(const bv_gpt_trainer *t) {
    return (bv_gpt_trainer_memory){.weights = bv_weights_bytes(t->weights),
                                   .gradients = bv_gradients_bytes(t->gradients),
                                   .optimizer = bv_optimizer_bytes(t->optimizer),
                                   .activations = bv_plan_bytes(t->learn_plan) +
                                                  bv_gpt_scorer_bytes(t->scorer)};
}

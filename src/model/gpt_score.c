#include "model/gpt_score.h"

#include "model/gpt_inputs.h"

#include <string.h>

struct bv_gpt_scorer {
    bv_gpt_scorer_options options;
    bv_gpt gpt;
    bv_plan *plan;
    bv_gpt_inputs inputs;
    bv_sequence *sequences;
};

bv_status bv_gpt_scorer_create(const bv_gpt_scorer_options *options, bv_gpt_scorer **out) {
    *out = NULL;
    bv_gpt_scorer *s = bv_calloc(1, sizeof *s);
    if (!s) return bv_fail_memory("scoring");
    s->options = *options;
    const size_t rows = options->sequences_max * options->context;
    s->sequences = bv_calloc(options->sequences_max, sizeof *s->sequences);
    bv_error *error = s->sequences ? BV_OK : bv_fail_memory("scoring");
    if (!error) error = bv_gpt_create(&options->config, BV_GPT_LOSS, false, &s->gpt);
    if (!error)
        error = bv_gpt_inputs_create(&s->gpt, options->kneser_ney, options->kernels, options->pool,
                                     rows, &s->inputs);
    const bv_plan_options plan = {.kernels = options->kernels,
                                  .pool = options->pool,
                                  .weights = options->weights,
                                  .numerics = options->numerics,
                                  .rows_max = rows,
                                  .sequences_max = options->sequences_max,
                                  .context_max = options->context,
                                  .unfused = options->unfused,
                                  .outputs = &s->gpt.losses,
                                  .output_count = 1};
    if (!error) error = bv_plan_create(s->gpt.graph, &plan, &s->plan);
    if (error) bv_gpt_scorer_destroy(&s);
    *out = s;
    return error;
}

void bv_gpt_scorer_destroy(bv_gpt_scorer **scorer) {
    bv_gpt_scorer *s = *scorer;
    if (!s) return;
    bv_plan_destroy(&s->plan);
    bv_gpt_destroy(&s->gpt);
    bv_gpt_inputs_destroy(&s->inputs);
    bv_free(s->sequences);
    bv_free(s);
    *scorer = NULL;
}

void bv_gpt_scorer_losses(bv_gpt_scorer *s, const uint32_t *inputs, const uint32_t *targets,
                          const uint32_t *first_visible, size_t sequences, size_t length,
                          void *losses) {
    BV_ASSERT(length <= s->options.context);
    const size_t element = bv_dtype_size(s->options.kernels->real);
    for (size_t i = 0; i < sequences; i += s->options.sequences_max) {
        const size_t left = sequences - i, row = i * length;
        const size_t n = left < s->options.sequences_max ? left : s->options.sequences_max;
        for (size_t k = 0; k < n; k++)
            s->sequences[k] = (bv_sequence){.row = k * length, .rows = length};
        const bv_layout layout = {s->sequences, n, first_visible ? first_visible + row : NULL};
        bv_plan_bind(s->plan, s->gpt.tokens, inputs + row);
        bv_plan_bind(s->plan, s->gpt.targets, targets + row);
        bv_gpt_inputs_lay_out(&s->inputs, inputs + row, NULL, n, length, layout.first_visible);
        bv_gpt_inputs_bind(&s->inputs, s->plan);
        bv_plan_run(s->plan, &(bv_run_options){.rows = n * length, .layout = &layout});
        memcpy((char *)losses + row * element, bv_plan_values(s->plan, s->gpt.losses),
               n * length * element);
    }
}

size_t bv_gpt_scorer_bytes(const bv_gpt_scorer *s) {
    return bv_plan_bytes(s->plan);
}

typedef bv_status weights_maker(const bv_kernels *kernels, bv_pool *pool, const bv_graph *graph,
                                bv_weights **out);

static bv_status make_weights(const bv_gpt_config *config, const bv_kernels *kernels, bv_pool *pool,
                              weights_maker *make, bv_weights **out) {
    bv_gpt gpt;
    BV_TRY(bv_gpt_create(config, BV_GPT_LOSS, false, &gpt));
    bv_error *error = make(kernels, pool, gpt.graph, out);
    bv_gpt_destroy(&gpt);
    return error;
}

bv_status bv_gpt_weights_create(const bv_gpt_config *config, const bv_kernels *kernels,
                                bv_pool *pool, bv_weights **out) {
    return make_weights(config, kernels, pool, bv_weights_create, out);
}

bv_status bv_gpt_weights_create_borrowed(const bv_gpt_config *config, const bv_kernels *kernels,
                                         bv_pool *pool, bv_weights **out) {
    return make_weights(config, kernels, pool, bv_weights_create_borrowed, out);
}

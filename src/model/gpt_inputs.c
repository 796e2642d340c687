#include "model/gpt_inputs.h"

#include "base/memory.h"
#include "model/ngram.h"

bv_status bv_gpt_inputs_create(const bv_gpt *gpt, const bv_kneser_ney *kneser_ney,
                               const bv_kernels *kernels, bv_pool *pool, size_t rows_max,
                               bv_gpt_inputs *out) {
    const bv_gpt_config *c = &gpt->config;
    const size_t tables = c->ngram > 1 ? c->ngram - 1 : 0, priors = c->kneser_ney ? rows_max : 0;
    *out = (bv_gpt_inputs){.gpt = gpt,
                           .kneser_ney = kneser_ney,
                           .kernels = kernels,
                           .pool = pool,
                           .rows_max = rows_max};
    out->positions = bv_calloc(rows_max, sizeof *out->positions);
    out->ngrams = bv_calloc(tables * rows_max + 1, sizeof *out->ngrams);
    out->expected = bv_calloc(priors + 1, sizeof *out->expected);
    out->prior = bv_calloc(priors * c->vocab_size + 1, bv_dtype_size(kernels->real));
    if (out->positions && out->ngrams && out->expected && out->prior) return BV_OK;
    bv_gpt_inputs_destroy(out);
    return bv_fail_memory("what a model reads");
}

void bv_gpt_inputs_destroy(bv_gpt_inputs *in) {
    bv_free(in->positions);
    bv_free(in->ngrams);
    bv_free(in->expected);
    bv_free(in->prior);
    *in = (bv_gpt_inputs){0};
}

static void place_prior(bv_gpt_inputs *in, size_t row, const uint32_t *last, size_t known,
                        uint32_t target) {
    const size_t vocab = in->gpt->config.vocab_size;
    double p[BV_KNESER_NEY_VOCAB_MAX] = {0};
    if (in->kneser_ney)
        bv_kneser_ney_predict(in->kneser_ney, last, known, target, p);
    else
        for (size_t v = 0; v < vocab; v++) p[v] = 1 / (double)vocab;
    const size_t at = row * vocab * bv_dtype_size(in->kernels->real);
    in->kernels->loss->logs(p, (char *)in->prior + at, vocab);
    uint32_t likeliest = 0;
    for (uint32_t v = 1; v < vocab; v++)
        if (p[v] > p[likeliest]) likeliest = v;
    in->expected[row] = bv_gpt_expected_row(likeliest, p[likeliest]);
}

void bv_gpt_inputs_place(bv_gpt_inputs *in, size_t row, const uint32_t *last, size_t position,
                         size_t known, uint32_t target) {
    const bv_gpt_config *c = &in->gpt->config;
    in->positions[row] = (uint32_t)position;
    for (size_t n = 2; n <= c->ngram; n++)
        in->ngrams[(n - 2) * in->rows_max + row] = bv_ngram_row(c, n, last, known);
    if (c->kneser_ney) place_prior(in, row, last, known, target);
}

typedef struct layout_task {
    bv_gpt_inputs *inputs;
    const uint32_t *tokens, *targets, *first_visible;
    size_t length;
} layout_task;

static void lay_out_part(void *context, size_t begin, size_t end) {
    const layout_task *t = context;
    for (size_t r = begin; r < end; r++) {
        const size_t position = r % t->length, first = t->first_visible ? t->first_visible[r] : 0;
        bv_gpt_inputs_place(t->inputs, r, t->tokens + r, position, position - first,
                            t->targets ? t->targets[r] : BV_NO_TARGET);
    }
}

void bv_gpt_inputs_lay_out(bv_gpt_inputs *in, const uint32_t *tokens, const uint32_t *targets,
                           size_t sequences, size_t length, const uint32_t *first_visible) {
    layout_task task = {in, tokens, targets, first_visible, length};
    BV_ASSERT(sequences * length <= in->rows_max);
    bv_pool_run_ranges(in->pool, sequences * length, 1, lay_out_part, &task);
}

void bv_gpt_inputs_bind(const bv_gpt_inputs *in, bv_plan *plan) {
    const bv_gpt *gpt = in->gpt;
    bv_plan_bind(plan, gpt->positions, in->positions);
    for (size_t n = 2; n <= gpt->config.ngram; n++)
        bv_plan_bind(plan, gpt->ngrams[n - 2], in->ngrams + (n - 2) * in->rows_max);
    if (gpt->expected) bv_plan_bind(plan, gpt->expected, in->expected);
    if (gpt->prior) bv_plan_bind(plan, gpt->prior, in->prior);
}

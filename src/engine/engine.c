#include "engine/engine.h"

#include "base/slab.h"
#include "model/gpt_inputs.h"
#include <string.h>

typedef struct live {
    size_t position;
    void **pages;
    size_t page_count;
    uint32_t last[BV_NGRAM_MAX]; /* tokens, the newest at the end */
} live;

struct bv_engine {
    bv_engine_options options;
    bv_gpt gpt;
    bv_plan *plan;
    live *sequences;
    size_t pages_max, page_bytes;
    bv_slab pages; /* of all sequences: none gives one back */
    /* of one step */
    bv_gpt_inputs inputs;
    uint32_t *tokens, *output_rows;
    bv_sequence *layout;
    float *logits; /* [sequences_max, head rows] */
};

static bv_status allocate(bv_engine *e) {
    const bv_engine_options *o = &e->options;
    const size_t columns = bv_gpt_head_rows(&o->config);
    e->pages_max = (o->config.context + BV_PAGE_POSITIONS - 1) / BV_PAGE_POSITIONS;
    e->page_bytes =
        bv_page_bytes(o->numerics, o->config.layers, o->config.kv_heads, o->config.d_head);
    e->sequences = bv_calloc(o->sequences_max, sizeof *e->sequences);
    e->tokens = bv_calloc(o->rows_max, sizeof *e->tokens);
    e->output_rows = bv_calloc(o->sequences_max, sizeof *e->output_rows);
    e->layout = bv_calloc(o->sequences_max, sizeof *e->layout);
    e->logits = bv_malloc_aligned(o->sequences_max * columns * sizeof *e->logits);
    if (!e->sequences || !e->tokens || !e->output_rows || !e->layout || !e->logits)
        return bv_fail_memory("an engine");
    for (size_t i = 0; i < o->sequences_max; i++)
        if (!(e->sequences[i].pages = bv_calloc(e->pages_max, sizeof(void *))))
            return bv_fail_memory("an engine");
    return BV_OK;
}

bv_status bv_engine_create(const bv_engine_options *options, bv_engine **out) {
    *out = NULL;
    BV_ASSERT(options->rows_max >= options->sequences_max);
    bv_engine *e = bv_calloc(1, sizeof *e);
    if (!e) return bv_fail_memory("an engine");
    e->options = *options;
    bv_error *error = allocate(e);
    if (!error) error = bv_gpt_create(&options->config, BV_GPT_LOGITS, false, &e->gpt);
    if (!error)
        error = bv_gpt_inputs_create(&e->gpt, options->kneser_ney, options->kernels, options->pool,
                                     options->rows_max, &e->inputs);
    const bv_plan_options plan = {.kernels = options->kernels,
                                  .pool = options->pool,
                                  .weights = options->weights,
                                  .numerics = options->numerics,
                                  .rows_max = options->rows_max,
                                  .outputs_max = options->sequences_max,
                                  .sequences_max = options->sequences_max,
                                  .context_max = options->config.context,
                                  .outputs = &e->gpt.logits,
                                  .output_count = 1};
    if (!error) error = bv_plan_create(e->gpt.graph, &plan, &e->plan);
    if (error) bv_engine_destroy(&e);
    *out = e;
    return error;
}

void bv_engine_destroy(bv_engine **engine) {
    bv_engine *e = *engine;
    if (!e) return;
    for (size_t i = 0; e->sequences && i < e->options.sequences_max; i++)
        bv_free(e->sequences[i].pages);
    bv_slab_free(&e->pages);
    bv_plan_destroy(&e->plan);
    bv_gpt_destroy(&e->gpt);
    bv_free(e->sequences);
    bv_free(e->tokens);
    bv_gpt_inputs_destroy(&e->inputs);
    bv_free(e->output_rows);
    bv_free(e->layout);
    bv_free_aligned(e->logits);
    bv_free(e);
    *engine = NULL;
}

void bv_engine_reset(bv_engine *e, size_t sequence) {
    e->sequences[sequence].position = 0; /* its pages wait to be written again */
}

size_t bv_engine_position(const bv_engine *e, size_t sequence) {
    return e->sequences[sequence].position;
}

/* Pages for positions up to `end`. */
static bv_status reserve(bv_engine *e, size_t sequence, size_t end) {
    live *s = &e->sequences[sequence];
    if (end > e->options.config.context)
        return bv_try(bv_fail(BV_CODE_INPUT, "%zu tokens do not fit the model's context of %zu",
                              end, e->options.config.context),
                      "a shorter prompt");
    for (; s->page_count * BV_PAGE_POSITIONS < end; s->page_count++) {
        void *page = bv_slab_take(&e->pages, e->page_bytes); /* zeros, as absent values must be */
        if (!page) return bv_fail_memory("the KV cache");
        s->pages[s->page_count] = page;
    }
    return BV_OK;
}

bv_status bv_engine_copy(bv_engine *e, size_t from, size_t to) {
    const size_t end = e->sequences[from].position;
    BV_TRY(reserve(e, to, end));
    for (size_t p = 0; p * BV_PAGE_POSITIONS < end; p++)
        memcpy(e->sequences[to].pages[p], e->sequences[from].pages[p], e->page_bytes);
    memcpy(e->sequences[to].last, e->sequences[from].last, sizeof e->sequences[to].last);
    e->sequences[to].position = end;
    return BV_OK;
}

/* The loss of one row of logits, which come through the soft cap (0: none) and have the prior (or
 * NULL) added in place. */
static float cross_entropy(const bv_engine *e, size_t i, uint32_t target, double soft_cap,
                           const float *prior) {
    float loss = 0;
    const size_t columns = bv_gpt_head_rows(&e->options.config);
    const bv_loss_args args = {.classes = e->options.config.vocab_size,
                               .stride = columns,
                               .logits = e->logits + i * columns,
                               .soft_cap = soft_cap,
                               .prior = prior,
                               .targets = &target,
                               .losses = &loss};
    e->options.kernels->loss->cross_entropy(&args, 0, 1);
    return loss;
}

/* From what the head gives to what softmax is taken of. */
static void finish_logits(bv_engine *e, size_t outputs) {
    const bv_gpt_config *c = &e->options.config;
    const float *priors = e->inputs.prior;
    for (size_t i = 0; i < outputs; i++) {
        const float *prior = c->kneser_ney ? priors + e->output_rows[i] * c->vocab_size : NULL;
        if (prior || c->logit_soft_cap > 0)
            cross_entropy(e, i, UINT32_MAX, c->logit_soft_cap, prior);
    }
}

/* Runs what the layout lists. */
static void run(bv_engine *e, size_t sequences, size_t rows, size_t outputs) {
    const bv_layout layout = {e->layout, sequences, NULL};
    bv_plan_bind(e->plan, e->gpt.tokens, e->tokens);
    bv_gpt_inputs_bind(&e->inputs, e->plan);
    bv_plan_bind(e->plan, e->gpt.output_rows, e->output_rows);
    bv_plan_run(e->plan, &(bv_run_options){.rows = rows, .outputs = outputs, .layout = &layout});
    const size_t columns = bv_gpt_head_rows(&e->options.config);
    memcpy(e->logits, bv_plan_values(e->plan, e->gpt.logits), outputs * columns * sizeof(float));
    finish_logits(e, outputs);
}

/* Puts `count` tokens of a sequence at rows row .. of this step. */
static void place(bv_engine *e, size_t slot, size_t sequence, size_t row, const uint32_t *tokens,
                  size_t count) {
    live *s = &e->sequences[sequence];
    e->layout[slot] =
        (bv_sequence){.row = row, .rows = count, .position = s->position, .pages = s->pages};
    for (size_t i = 0; i < count; i++) {
        e->tokens[row + i] = tokens[i];
        memmove(s->last, s->last + 1, sizeof s->last - sizeof *s->last);
        s->last[BV_NGRAM_MAX - 1] = tokens[i];
        bv_gpt_inputs_place(&e->inputs, row + i, &s->last[BV_NGRAM_MAX - 1], s->position + i,
                            s->position + i, BV_NO_TARGET);
    }
    s->position += count;
}

bv_status bv_engine_feed(bv_engine *e, size_t sequence, const uint32_t *tokens, size_t count) {
    BV_TRY(reserve(e, sequence, e->sequences[sequence].position + count));
    for (size_t done = 0; done < count;) {
        const size_t left = count - done;
        const size_t n = left < e->options.rows_max ? left : e->options.rows_max;
        place(e, 0, sequence, 0, tokens + done, n);
        e->output_rows[0] = (uint32_t)(n - 1);
        run(e, 1, n, 1);
        done += n;
    }
    return BV_OK;
}

bv_status bv_engine_step(bv_engine *e, const size_t *sequences, const uint32_t *tokens,
                         size_t count) {
    BV_ASSERT(count <= e->options.sequences_max);
    for (size_t i = 0; i < count; i++)
        BV_TRY(reserve(e, sequences[i], e->sequences[sequences[i]].position + 1));
    for (size_t i = 0; i < count; i++) {
        place(e, i, sequences[i], i, &tokens[i], 1);
        e->output_rows[i] = (uint32_t)i;
    }
    run(e, count, count, count);
    return BV_OK;
}

const float *bv_engine_logits(const bv_engine *e, size_t i) {
    return e->logits + i * bv_gpt_head_rows(&e->options.config);
}

float bv_engine_logprob(const bv_engine *e, size_t i, uint32_t token) {
    return -cross_entropy(e, i, token, 0, NULL);
}

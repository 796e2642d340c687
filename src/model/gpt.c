/* The model, in the order of its mathematics. Rows are tokens. */
#include "model/gpt.h"

#include "model/ngram.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define INIT_STD 0.02 /* GPT-2 */

typedef struct context {
    bv_graph *g;
    const bv_gpt_config *c;
    const bv_gpt *gpt;
    bool training;
} context;

/* ---- parameters, by GPT-2's published names ---- */

static const char *name_of(char text[64], const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(text, 64, format, list);
    va_end(list);
    return text;
}

static bv_tensor *vector(const context *x, const char *name, size_t size, bv_initialization init) {
    return bv_parameter_make(x->g, name, 0, size, BV_PARAMETER_VECTOR, init, 0);
}

/* onto: the residual stream that it is added to, or NULL. */
static bv_tensor *linear_onto(const context *x, bv_tensor *onto, bv_tensor *h, const char *name,
                              size_t out, double std) {
    char text[64];
    bv_tensor *weight = bv_parameter_make(x->g, name_of(text, "%s.weight", name), out, h->cols,
                                          BV_PARAMETER_MATRIX, BV_INIT_NORMAL, std);
    bv_tensor *bias =
        x->c->bias ? vector(x, name_of(text, "%s.bias", name), out, BV_INIT_ZERO) : NULL;
    return bv_linear_onto(x->g, onto, h, weight, bias);
}

static bv_tensor *linear(const context *x, bv_tensor *h, const char *name, size_t out, double std) {
    return linear_onto(x, NULL, h, name, out, std);
}

static bv_tensor *norm(const context *x, bv_tensor *h, const char *name) {
    char text[64];
    bv_tensor *gain = vector(x, name_of(text, "%s.weight", name), h->cols, BV_INIT_ONE);
    bv_tensor *bias = x->c->bias && !x->c->rms_norm
                          ? vector(x, name_of(text, "%s.bias", name), h->cols, BV_INIT_ZERO)
                          : NULL;
    return bv_norm(x->g, h, gain, bias, x->c->rms_norm, x->c->norm_eps);
}

static bv_tensor *table(const context *x, const char *name, size_t entries,
                        bv_initialization init) {
    return bv_parameter_make(x->g, name, entries, x->c->width, BV_PARAMETER_EMBEDDING, init,
                             init == BV_INIT_NORMAL ? INIT_STD : 0);
}

/* A model that corrects n-grams begins as they are: without a word of its own. */
static bv_tensor *own_head(const context *x) {
    return table(x, "lm_head.weight", bv_gpt_head_rows(x->c),
                 x->c->kneser_ney ? BV_INIT_ZERO : BV_INIT_NORMAL);
}

static bv_tensor *dropout(const context *x, bv_tensor *h) {
    return x->training ? bv_dropout(x->g, h, x->gpt->row_ids, x->c->dropout) : h;
}

/* h + dropout(linear(branch)) */
static bv_tensor *residual(const context *x, bv_tensor *h, bv_tensor *branch, const char *name,
                           double std) {
    if (x->training && x->c->dropout > 0)
        return bv_add(x->g, h, dropout(x, linear(x, branch, name, h->cols, std)));
    return linear_onto(x, h, branch, name, h->cols, std);
}

/* ---- one block. x: [rows, width] ---- */

static bv_tensor *block(const context *x, int layer, bv_tensor *h) {
    const bv_gpt_config *c = x->c;
    const bv_heads_shape heads = {c->heads, c->kv_heads, c->d_head};
    const size_t band = c->band && layer % 2 == 1 ? c->band : 0;
    const double attention_dropout = x->training ? c->dropout : 0;
    const double residual_std = INIT_STD / sqrt(2.0 * (double)c->layers);
    const double rope_base = c->position == BV_POSITION_ROPE ? c->rope_base : 0;
    const size_t up = c->activation == BV_SWIGLU ? 2 * c->ff_width : c->ff_width;
    char n[64];
    bv_graph_layer(x->g, layer);

    bv_tensor *a = norm(x, h, name_of(n, "h.%d.ln_1", layer));
    a = linear(x, a, name_of(n, "h.%d.attn.c_attn", layer),
               (c->heads + 2 * c->kv_heads) * c->d_head, INIT_STD);
    a = bv_heads(x->g, a, x->gpt->positions, heads, c->qk_norm, c->norm_eps, rope_base, c->context);
    a = bv_attention(x->g, a, heads, band, attention_dropout, layer);
    h = residual(x, h, a, name_of(n, "h.%d.attn.c_proj", layer), residual_std);

    bv_tensor *m = norm(x, h, name_of(n, "h.%d.ln_2", layer));
    m = linear(x, m, name_of(n, "h.%d.mlp.c_fc", layer), up, INIT_STD);
    m = bv_activate(x->g, m, c->activation);
    h = residual(x, h, m, name_of(n, "h.%d.mlp.c_proj", layer), residual_std);
    h->keep = true; /* recomputation starts from what enters a layer */
    bv_graph_layer(x->g, -1);
    return h;
}

/* What the last 2, 3, ... tokens add to the embedding of a token: nothing until it is learnt. */
static bv_tensor *ngrams(const context *x, bv_gpt *gpt, bv_tensor *h) {
    char text[64];
    for (size_t n = 2; n <= x->c->ngram; n++) {
        bv_tensor *ids = bv_input(x->g, "ngrams", BV_ROLE_INDEX, (bv_dim){1, BV_FREE_ROWS}, 1);
        bv_tensor *rows = table(x, name_of(text, "ngram.%zu.weight", n),
                                bv_ngram_table_rows(x->c, n), BV_INIT_ZERO);
        h = bv_add(x->g, h, bv_embed(x->g, ids, rows));
        gpt->ngrams[n - 2] = ids;
    }
    return h;
}

/* What the n-gram model expects next: nothing until it is learnt. */
static bv_tensor *expected(const context *x, bv_gpt *gpt, bv_tensor *h) {
    if (!x->c->kneser_ney) return h;
    gpt->expected = bv_input(x->g, "expected", BV_ROLE_INDEX, (bv_dim){1, BV_FREE_ROWS}, 1);
    bv_tensor *rows = table(x, "kneser_ney.weight", bv_gpt_expected_rows(x->c), BV_INIT_ZERO);
    return bv_add(x->g, h, bv_embed(x->g, gpt->expected, rows));
}

static void build(bv_gpt *gpt, bv_gpt_head head, bool training) {
    bv_graph *g = gpt->graph;
    const bv_gpt_config *c = &gpt->config;
    const context x = {g, c, gpt, training};
    const bv_dim rows = {1, BV_FREE_ROWS}, outputs = {1, BV_FREE_OUTPUTS};
    gpt->tokens = bv_input(g, "tokens", BV_ROLE_INDEX, rows, 1);
    gpt->positions = bv_input(g, "positions", BV_ROLE_INDEX, rows, 1);
    gpt->row_ids = bv_input(g, "row_ids", BV_ROLE_INDEX, rows, 1);

    bv_tensor *wte = table(&x, "wte.weight", c->vocab_size, BV_INIT_NORMAL);
    bv_tensor *h = expected(&x, gpt, ngrams(&x, gpt, bv_embed(g, gpt->tokens, wte)));
    if (c->position == BV_POSITION_LEARNED)
        h = bv_add(
            g, h, bv_embed(g, gpt->positions, table(&x, "wpe.weight", c->context, BV_INIT_NORMAL)));
    h = dropout(&x, h);
    for (size_t layer = 0; layer < c->layers; layer++) h = block(&x, (int)layer, h);
    h = norm(&x, h, "ln_f");
    bv_tensor *head_weight = c->tied ? wte : own_head(&x);
    if (head == BV_GPT_LOSS) {
        gpt->targets = bv_input(g, "targets", BV_ROLE_INDEX, rows, 1);
        if (c->kneser_ney) gpt->prior = bv_input(g, "prior", BV_ROLE_STREAM, rows, c->vocab_size);
        gpt->losses = bv_head_loss(g, h, head_weight, gpt->targets, gpt->prior, c->logit_soft_cap);
    } else {
        gpt->output_rows = bv_input(g, "output_rows", BV_ROLE_INDEX, outputs, 1);
        gpt->logits = bv_logits(g, bv_select(g, h, gpt->output_rows), head_weight);
    }
}

bv_status bv_gpt_create(const bv_gpt_config *config, bv_gpt_head head, bool training, bv_gpt *out) {
    *out = (bv_gpt){.config = *config};
    BV_TRY(bv_graph_create(&out->graph));
    build(out, head, training);
    bv_error *error = bv_graph_error(out->graph);
    if (error) bv_gpt_destroy(out);
    return error;
}

void bv_gpt_destroy(bv_gpt *gpt) {
    bv_graph_destroy(&gpt->graph);
    *gpt = (bv_gpt){0};
}

double bv_gpt_forward_flops(const bv_gpt_config *c) {
    const double width = (double)c->width, heads = (double)(c->heads * c->d_head);
    const double kv = (double)(c->kv_heads * c->d_head), ff = (double)c->ff_width;
    const double matrices = width * (heads + 2 * kv) + heads * width +
                            (c->activation == BV_SWIGLU ? 3 : 2) * width * ff;
    double attention = 0;
    for (size_t layer = 0; layer < c->layers; layer++) {
        const double context = (double)c->context;
        const double band = c->band && layer % 2 == 1 ? (double)c->band : context;
        const double keys = band < context ? band * (1 - band / (2 * context)) : context / 2;
        attention += 4 * keys * heads;
    }
    return 2 * ((double)c->layers * matrices + (double)bv_gpt_head_rows(c) * width) + attention;
}

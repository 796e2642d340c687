/* Every op of the op table, in a small graph of its own, against central finite differences in
 * double: embedding -> the op -> head and loss. A test fails when an op of the table is in none of
 * the graphs, so an op without a test cannot exist. */
#include "support/check.h"

#include "base/random.h"
#include "nn/gradients.h"
#include "tensor/autograd.h"
#include "tensor/op.h"
#include "tensor/plan.h"
#include <math.h>

#define VOCAB 11
#define CONTEXT 5
#define SEQUENCES 2
#define ROWS (CONTEXT * SEQUENCES)
#define WIDTH 12

typedef struct inputs {
    bv_tensor *tokens, *positions, *row_ids, *targets, *rows;
} inputs;

/* The graph between the embedding h [rows, WIDTH] and the head. */
typedef bv_tensor *builder(bv_graph *g, const inputs *in, bv_tensor *h);

static bv_tensor *matrix(bv_graph *g, const char *name, size_t out, size_t in) {
    return bv_parameter_make(g, name, out, in, BV_PARAMETER_MATRIX, BV_INIT_NORMAL, 0.5);
}

static bv_tensor *vector(bv_graph *g, const char *name, size_t n) {
    return bv_parameter_make(g, name, 0, n, BV_PARAMETER_VECTOR, BV_INIT_NORMAL, 0.5);
}

static bv_tensor *nothing(bv_graph *g, const inputs *in, bv_tensor *h) {
    (void)g, (void)in;
    return h;
}

static bv_tensor *sums(bv_graph *g, const inputs *in, bv_tensor *h) {
    bv_tensor *other = bv_embed(g, in->positions, matrix(g, "table", CONTEXT, WIDTH));
    return bv_add(g, bv_add(g, h, other), h); /* h is read twice: gradients add up */
}

static bv_tensor *casts(bv_graph *g, const inputs *in, bv_tensor *h) {
    (void)in;
    return bv_cast(g, bv_cast(g, h, BV_ROLE_OPERAND), BV_ROLE_STREAM);
}

static bv_tensor *drops(bv_graph *g, const inputs *in, bv_tensor *h) {
    return bv_dropout(g, h, in->row_ids, 0.3);
}

static bv_tensor *layer_norm(bv_graph *g, const inputs *in, bv_tensor *h) {
    (void)in;
    return bv_norm(g, h, vector(g, "gain", WIDTH), vector(g, "bias", WIDTH), false, 1e-5);
}

static bv_tensor *rms_norm(bv_graph *g, const inputs *in, bv_tensor *h) {
    (void)in;
    return bv_norm(g, bv_norm(g, h, vector(g, "gain", WIDTH), NULL, true, 1e-3), NULL, NULL, false,
                   1e-2);
}

static bv_tensor *linears(bv_graph *g, const inputs *in, bv_tensor *h) {
    (void)in;
    h = bv_linear(g, h, matrix(g, "up", 17, WIDTH), vector(g, "up.bias", 17));
    return bv_linear(g, h, matrix(g, "down", WIDTH, 17), NULL);
}

/* A branch is added to what it begins with, twice: the norm's gradient is added to the stream's. */
static bv_tensor *residuals(bv_graph *g, const inputs *in, bv_tensor *h) {
    (void)in;
    bv_tensor *x = bv_norm(g, h, vector(g, "gain", WIDTH), NULL, false, 1e-5);
    h = bv_linear_onto(g, h, x, matrix(g, "in", WIDTH, WIDTH), vector(g, "in.bias", WIDTH));
    x = bv_norm(g, h, NULL, NULL, true, 1e-3);
    return bv_linear_onto(g, h, x, matrix(g, "out", WIDTH, WIDTH), NULL);
}

static bv_tensor *activations(bv_graph *g, const inputs *in, bv_tensor *h) {
    (void)in;
    h = bv_activate(g, h, BV_GELU_TANH);
    h = bv_activate(g, bv_add(g, h, h), BV_SILU);
    h = bv_activate(g, bv_linear(g, h, matrix(g, "up", 2 * WIDTH, WIDTH), NULL), BV_SWIGLU);
    return bv_activate(g, h, BV_RELU2);
}

/* heads 4, KV heads 2, d_head 4. */
static bv_tensor *attends(bv_graph *g, const inputs *in, bv_tensor *h, bool heads, size_t band,
                          double dropout) {
    const bv_heads_shape shape = {4, 2, 4};
    h = bv_linear(g, h, matrix(g, "qkv", 8 * 4, WIDTH), NULL);
    if (heads) h = bv_heads(g, h, in->positions, shape, true, 1e-5, 100, CONTEXT);
    h = bv_attention(g, h, shape, band, dropout, 0);
    return bv_linear(g, h, matrix(g, "out", WIDTH, 16), NULL);
}

static bv_tensor *dense(bv_graph *g, const inputs *in, bv_tensor *h) {
    return attends(g, in, h, false, 0, 0);
}

static bv_tensor *turned_and_banded(bv_graph *g, const inputs *in, bv_tensor *h) {
    return attends(g, in, h, true, 2, 0);
}

static bv_tensor *dropped_attention(bv_graph *g, const inputs *in, bv_tensor *h) {
    return attends(g, in, h, true, 0, 0.3);
}

static const struct {
    const char *name;
    builder *build;
    double soft_cap;
    bool prior;
} cases[] = {
    {"nothing", nothing, 0, false},
    {"soft cap", nothing, 2, false},
    {"prior", nothing, 0, true},
    {"sums", sums, 0, false},
    {"casts", casts, 0, false},
    {"dropout", drops, 0, false},
    {"layer norm", layer_norm, 0, false},
    {"RMS norm", rms_norm, 0, false},
    {"linears", linears, 0, false},
    {"residuals", residuals, 0, false},
    {"activations", activations, 0, false},
    {"attention", dense, 0, false},
    {"heads and bands", turned_and_banded, 0, false},
    {"attention with dropout", dropped_attention, 0, false},
};
#define CASES (sizeof cases / sizeof *cases)
#define LOGITS_CASE 8 /* linears */

/* ---- one graph ---- */

typedef struct world {
    bv_pool *pool;
    bv_graph *graph;
    inputs in;
    bv_tensor *losses, *logits, *prior;
    bv_weights *weights;
    bv_gradients *gradients;
    bv_plan *plan;
    uint32_t tokens[ROWS], positions[ROWS], row_ids[ROWS], targets[ROWS], rows[ROWS];
    double log_p[ROWS * VOCAB]; /* of the prior */
} world;

static bv_tensor *input(bv_graph *g, const char *name) {
    return bv_input(g, name, BV_ROLE_INDEX, (bv_dim){1, BV_FREE_ROWS}, 1);
}

static void create(world *w, size_t index, bool learn) {
    *w = (world){0};
    assert_ok(bv_pool_create(2, &w->pool));
    assert_ok(bv_graph_create(&w->graph));
    bv_graph *g = w->graph;
    w->in = (inputs){input(g, "tokens"), input(g, "positions"), input(g, "row_ids"),
                     input(g, "targets"), input(g, "rows")};
    bv_tensor *h = bv_embed(g, w->in.tokens, matrix(g, "embedding", VOCAB, WIDTH));
    h = cases[index].build(g, &w->in, h);
    const bool prior = cases[index].prior;
    if (prior) w->prior = bv_input(g, "prior", BV_ROLE_STREAM, (bv_dim){1, BV_FREE_ROWS}, VOCAB);
    bv_tensor *head = matrix(g, "head", VOCAB + prior, WIDTH);
    w->losses = bv_head_loss(g, h, head, w->in.targets, w->prior, cases[index].soft_cap);
    if (learn)
        assert_ok(bv_graph_differentiate(g, w->losses, BV_RECOMPUTE_NONE, &w->losses));
    else
        w->logits = bv_logits(g, bv_select(g, h, w->in.rows), head);
    assert_ok(bv_graph_error(g));
    assert_ok(bv_weights_create(bv_kernels_reference(), w->pool, g, &w->weights));
    assert_ok(bv_gradients_create(bv_kernels_reference(), w->pool, g, 1, ROWS, &w->gradients));
    bv_weights_initialize(w->weights, 5);
    bv_tensor *const outputs[] = {w->losses, w->logits};
    const bv_plan_options options = {.kernels = bv_kernels_reference(),
                                     .pool = w->pool,
                                     .weights = w->weights,
                                     .numerics = BV_NUMERICS_F64,
                                     .rows_max = ROWS,
                                     .sequences_max = SEQUENCES,
                                     .context_max = CONTEXT,
                                     .gradients = learn,
                                     .outputs = outputs,
                                     .output_count = learn ? 1 : 2};
    assert_ok(bv_plan_create(g, &options, &w->plan));
    for (uint32_t i = 0; i < ROWS; i++) {
        const bv_random4 r = bv_random(9, BV_RANDOM_TEST, 0, 0, i, 0);
        w->tokens[i] = r.v[0] % VOCAB;
        w->targets[i] = i == 3 ? VOCAB : r.v[1] % VOCAB; /* one row has no target */
        w->positions[i] = i % CONTEXT;
        w->row_ids[i] = w->rows[i] = i;
        for (uint32_t v = 0; v < VOCAB; v++) {
            const bv_random4 p = bv_random(9, BV_RANDOM_TEST, 1, v, i, 0);
            w->log_p[i * VOCAB + v] = -5 * bv_uniform_f64(p.v[0], p.v[1]);
        }
    }
}

static void destroy(world *w) {
    bv_plan_destroy(&w->plan);
    bv_gradients_destroy(&w->gradients);
    bv_weights_destroy(&w->weights);
    bv_graph_destroy(&w->graph);
    bv_pool_destroy(&w->pool);
}

/* Sum of the row losses; its gradient is left in w->gradients. */
static double run(world *w) {
    bv_sequence sequences[SEQUENCES];
    for (uint32_t i = 0; i < SEQUENCES; i++)
        sequences[i] = (bv_sequence){.row = i * CONTEXT, .rows = CONTEXT, .sample = i};
    const bv_layout layout = {sequences, SEQUENCES, NULL};
    bv_weights_changed(w->weights);
    bv_gradients_begin(w->gradients);
    bv_gradients_begin_grain(w->gradients);
    bv_plan_bind(w->plan, w->in.tokens, w->tokens);
    bv_plan_bind(w->plan, w->in.positions, w->positions);
    bv_plan_bind(w->plan, w->in.row_ids, w->row_ids);
    bv_plan_bind(w->plan, w->in.targets, w->targets);
    bv_plan_bind(w->plan, w->in.rows, w->rows);
    if (w->prior) bv_plan_bind(w->plan, w->prior, w->log_p);
    bv_plan_run(w->plan, &(bv_run_options){.rows = ROWS,
                                           .layout = &layout,
                                           .gradients = bv_gradients_accumulators(w->gradients),
                                           .loss_scale = 1,
                                           .seed = 3,
                                           .step = 1});
    bv_gradients_end_grain(w->gradients);
    bv_gradients_end(w->gradients);
    const double *losses = bv_plan_values(w->plan, w->losses);
    double sum = 0;
    for (int i = 0; i < ROWS; i++) sum += losses[i];
    return sum;
}

/* With step h the error is h^2 f'''/6 and the rounding eps f / h: below 1e-8 of losses near 20. */
static void check_parameter(world *w, size_t index, const char *name) {
    const bv_parameter *p = bv_weights_parameter(w->weights, index);
    const size_t n = p->rank == 1 ? p->cols : p->rows * p->cols;
    double *values = bv_weights_data(w->weights, p), gradient[1024];
    const double h = 1e-5;
    assert_true(n <= 1024);
    run(w);
    memcpy(gradient, bv_gradients_values(w->gradients, index), n * sizeof *gradient);
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        const double saved = values[i];
        values[i] = saved + h;
        const double up = run(w);
        values[i] = saved - h;
        const double numeric = (up - run(w)) / (2 * h);
        values[i] = saved;
        if (fabs(numeric) > largest) largest = fabs(numeric);
        if (fabs(numeric - gradient[i]) > 1e-8 + 1e-7 * fabs(numeric))
            fail_msg("%s: %s[%zu]: %.12g, finite difference %.12g", name, p->name, i, gradient[i],
                     numeric);
    }
    assert_true(largest > 1e-6); /* what is compared is not all zero */
}

static void test_gradients(void **state) {
    (void)state;
    for (size_t c = 0; c < CASES; c++) {
        world w;
        create(&w, c, true);
        for (size_t p = 0; p < bv_weights_count(w.weights); p++)
            check_parameter(&w, p, cases[c].name);
        destroy(&w);
    }
}

/* Ops that only sample: logits of selected rows agree with the loss of the same rows. */
static void test_logits(void **state) {
    (void)state;
    world w;
    create(&w, LOGITS_CASE, false);
    run(&w);
    const double *logits = bv_plan_values(w.plan, w.logits);
    const double *losses = bv_plan_values(w.plan, w.losses);
    for (size_t r = 0; r < ROWS; r++) {
        double sum = 0;
        for (size_t i = 0; i < VOCAB; i++) sum += exp(logits[r * VOCAB + i]);
        if (w.targets[r] >= VOCAB) continue;
        const double expected = log(sum) - logits[r * VOCAB + w.targets[r]];
        assert_true(fabs(losses[r] - expected) < 1e-12);
    }
    destroy(&w);
}

static void test_no_op_is_left_out(void **state) {
    (void)state;
    size_t count;
    const bv_op *const *ops = bv_ops(&count);
    bool *seen = calloc(count, sizeof *seen);
    for (size_t c = 0; c < 2 * CASES; c++) {
        world w;
        create(&w, c / 2, c % 2);
        for (size_t i = 0; i < bv_plan_steps(w.plan); i++)
            for (size_t k = 0; k < count; k++)
                if (bv_plan_step(w.plan, i)->op == ops[k]) seen[k] = true;
        for (size_t i = 0; i < w.graph->tensor_count; i++)
            if (w.graph->tensors[i]->op == &bv_op_parameter) seen[0] = true;
        destroy(&w);
    }
    assert_ptr_equal(ops[0], &bv_op_parameter);
    for (size_t k = 0; k < count; k++)
        if (!seen[k]) fail_msg("the op %s is in no test", ops[k]->name);
    free(seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_no_op_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

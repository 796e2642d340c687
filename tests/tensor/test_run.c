/* Runs of single ops beside plain sums in double: more rows than the head takes at once, rows wider
 * than the embedding rounds at once, what a draw of dropout depends on, and which memory a tensor
 * gets. */
#include "support/check.h"

#include "base/random.h"
#include "tensor/autograd.h"
#include "tensor/op.h"
#include "tensor/plan.h"
#include <math.h>

typedef struct world {
    bv_pool *pool;
    bv_graph *graph;
    bv_weights *weights;
    bv_plan *plan;
} world;

static bv_tensor *ids_of(bv_graph *g, const char *name) {
    return bv_input(g, name, BV_ROLE_INDEX, (bv_dim){1, BV_FREE_ROWS}, 1);
}

static bv_tensor *table_of(bv_graph *g, const char *name, size_t rows, size_t cols) {
    return bv_parameter_make(g, name, rows, cols, BV_PARAMETER_EMBEDDING, BV_INIT_NORMAL, 0.5);
}

static const bv_kernels *kernels_of(bv_numerics numerics) {
    const bv_kernels *kernels;
    if (numerics == BV_NUMERICS_F64) return bv_kernels_reference();
    assert_ok(bv_kernels_pick(&kernels));
    return kernels;
}

/* Of w->graph: weights and a plan of one sequence of `rows`. */
static void make(world *w, bv_numerics numerics, size_t rows, bool gradients,
                 bv_tensor *const *outputs, size_t count) {
    assert_ok(bv_graph_error(w->graph));
    assert_ok(bv_pool_create(2, &w->pool));
    assert_ok(bv_weights_create(kernels_of(numerics), w->pool, w->graph, &w->weights));
    bv_weights_initialize(w->weights, 5);
    const bv_plan_options options = {.kernels = kernels_of(numerics),
                                     .pool = w->pool,
                                     .weights = w->weights,
                                     .numerics = numerics,
                                     .rows_max = rows,
                                     .sequences_max = 1,
                                     .context_max = rows,
                                     .gradients = gradients,
                                     .outputs = outputs,
                                     .output_count = count};
    assert_ok(bv_plan_create(w->graph, &options, &w->plan));
}

static void destroy(world *w) {
    bv_plan_destroy(&w->plan);
    bv_weights_destroy(&w->weights);
    bv_graph_destroy(&w->graph);
    bv_pool_destroy(&w->pool);
}

/* ---- the head and its loss ---- */

#define ROWS 600
#define VOCAB 11
#define WIDTH 12

typedef struct problem {
    uint32_t tokens[ROWS], targets[ROWS];
    double log_p[ROWS * VOCAB]; /* of the prior */
    const double *table, *head; /* the weights: [VOCAB, WIDTH], [VOCAB + 1, WIDTH] */
    double losses[ROWS];        /* by the definition */
    double dtable[VOCAB * WIDTH], dhead[(VOCAB + 1) * WIDTH]; /* of their sum */
} problem;

static double dot(const double *a, const double *b) {
    double sum = 0;
    for (int i = 0; i < WIDTH; i++) sum += a[i] * b[i];
    return sum;
}

/* One row by the definition: softmax of x W + (1 + gate) prior; adds to the gradients. */
static void define_row(problem *p, bool prior, size_t row) {
    const double *x = p->table + p->tokens[row] * WIDTH, *log_p = p->log_p + row * VOCAB;
    const double gate = prior ? 1 + dot(x, p->head + VOCAB * WIDTH) : 0;
    double z[VOCAB], sum = 0, dgate = 0;
    for (int v = 0; v < VOCAB; v++)
        sum += exp(z[v] = dot(x, p->head + v * WIDTH) + gate * log_p[v]);
    if (p->targets[row] >= VOCAB) return;
    p->losses[row] = log(sum) - z[p->targets[row]];
    for (int v = 0; v <= VOCAB; v++) {
        const double d = v == VOCAB ? dgate : exp(z[v]) / sum - (p->targets[row] == (uint32_t)v);
        if (v < VOCAB) dgate += d * log_p[v];
        for (int i = 0; i < WIDTH && (v < VOCAB || prior); i++) {
            p->dhead[v * WIDTH + i] += d * x[i];
            p->dtable[p->tokens[row] * WIDTH + (size_t)i] += d * p->head[v * WIDTH + i];
        }
    }
}

static void assert_near(const double *got, const double *wanted, size_t n, const char *what) {
    double largest = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(wanted[i]));
    assert_true(largest > 0.1);
    for (size_t i = 0; i < n; i++)
        if (!(fabs(got[i] - wanted[i]) < 1e-12 * largest))
            fail_msg("%s[%zu] is %.15g, not %.15g", what, i, got[i], wanted[i]);
}

static void fill(problem *p) {
    *p = (problem){0};
    for (uint32_t i = 0; i < ROWS; i++) {
        const bv_random4 r = bv_random(9, BV_RANDOM_TEST, 0, 0, i, 0);
        p->tokens[i] = r.v[0] % VOCAB;
        p->targets[i] = r.v[1] % (VOCAB + 1); /* some rows have no target */
        for (uint32_t v = 0; v < VOCAB; v++) {
            const bv_random4 q = bv_random(9, BV_RANDOM_TEST, 1, v, i, 0);
            p->log_p[i * VOCAB + v] = -5 * bv_uniform_f64(q.v[0], q.v[1]);
        }
    }
}

static void check_head(bool with_prior, bool learn) {
    static problem p;
    world w = {0};
    fill(&p);
    assert_ok(bv_graph_create(&w.graph));
    bv_graph *g = w.graph;
    bv_tensor *tokens = ids_of(g, "tokens"), *targets = ids_of(g, "targets"), *prior = NULL;
    bv_tensor *table = table_of(g, "table", VOCAB, WIDTH);
    bv_tensor *head = table_of(g, "head", VOCAB + with_prior, WIDTH);
    if (with_prior) prior = bv_input(g, "prior", BV_ROLE_STREAM, (bv_dim){1, BV_FREE_ROWS}, VOCAB);
    bv_tensor *losses = bv_head_loss(g, bv_embed(g, tokens, table), head, targets, prior, 0);
    if (learn) assert_ok(bv_graph_differentiate(g, losses, BV_RECOMPUTE_NONE, &losses));
    make(&w, BV_NUMERICS_F64, ROWS, learn, &losses, 1);
    p.table = bv_weights_data(w.weights, table->parameter);
    p.head = bv_weights_data(w.weights, head->parameter);
    for (size_t row = 0; row < ROWS; row++) define_row(&p, with_prior, row);
    double dtable[VOCAB * WIDTH], dhead[(VOCAB + 1) * WIDTH];
    memset(dtable, 0xff, sizeof dtable); /* no numbers: what is not begun may hold anything */
    memset(dhead, 0xff, sizeof dhead);
    bv_accumulator of_table = {.data = dtable}, of_head = {.data = dhead};
    bv_accumulator *gradients[] = {&of_table, &of_head};
    bv_plan_bind(w.plan, tokens, p.tokens);
    bv_plan_bind(w.plan, targets, p.targets);
    if (prior) bv_plan_bind(w.plan, prior, p.log_p);
    bv_plan_run(w.plan, &(bv_run_options){
                            .rows = ROWS, .gradients = learn ? gradients : NULL, .loss_scale = 1});
    assert_near(bv_plan_values(w.plan, losses), p.losses, ROWS, "losses");
    if (learn) {
        assert_near(dtable, p.dtable, VOCAB * WIDTH, "gradient of the table");
        assert_near(dhead, p.dhead, (VOCAB + with_prior) * WIDTH, "gradient of the head");
    }
    destroy(&w);
}

static void test_blocks_of_the_head(void **state) {
    (void)state;
    for (int prior = 0; prior < 2; prior++)
        for (int learn = 0; learn < 2; learn++) check_head(prior, learn);
}

/* ---- embedding in bf16 ---- */

/* To the nearest number of 8 significant bits, the even one of two. */
static float to_bf16(float x) {
    int exponent;
    const double m = frexp((double)x, &exponent);
    return (float)ldexp(rint(ldexp(m, 8)), exponent - 8);
}

static void test_wide_rows_in_bf16(void **state) {
    (void)state;
    enum { WIDE = 600 };
    world w = {0};
    const uint32_t tokens[] = {2, 0, 1};
    assert_ok(bv_graph_create(&w.graph));
    bv_tensor *ids = ids_of(w.graph, "tokens"), *table = table_of(w.graph, "table", 3, WIDE);
    bv_tensor *rows = bv_embed(w.graph, ids, table);
    make(&w, BV_NUMERICS_BF16, 3, false, &rows, 1);
    bv_plan_bind(w.plan, ids, tokens);
    bv_plan_run(w.plan, &(bv_run_options){.rows = 3});
    const float *values = bv_weights_data(w.weights, table->parameter);
    const float *got = bv_plan_values(w.plan, rows);
    for (size_t r = 0; r < 3; r++)
        for (size_t i = 0; i < WIDE; i++)
            assert_true(got[r * WIDE + i] == to_bf16(values[tokens[r] * WIDE + i]));
    destroy(&w);
}

/* ---- dropout ---- */

#define DROPPED 200 /* rows */

typedef struct draw {
    uint64_t seed;
    uint32_t step;
} draw;

/* Two drops of the same rows, and two attentions that drop: their values of one draw. */
static void drop(draw d, double values[4][DROPPED * WIDTH]) {
    world w = {0};
    static uint32_t ids[DROPPED], zeros[DROPPED];
    for (uint32_t i = 0; i < DROPPED; i++) ids[i] = i;
    assert_ok(bv_graph_create(&w.graph));
    bv_graph *g = w.graph;
    bv_tensor *tokens = ids_of(g, "tokens"), *row_ids = ids_of(g, "row_ids");
    bv_tensor *h = bv_embed(g, tokens, table_of(g, "table", 1, 3 * WIDTH));
    bv_tensor *x = bv_embed(g, tokens, table_of(g, "narrow", 1, WIDTH));
    bv_tensor *qkv = bv_cast(g, h, BV_ROLE_OPERAND);
    const bv_heads_shape shape = {2, 2, WIDTH / 2};
    bv_tensor *outputs[] = {bv_dropout(g, x, row_ids, 0.5), bv_dropout(g, x, row_ids, 0.5),
                            bv_attention(g, qkv, shape, 0, 0.5, 0),
                            bv_attention(g, qkv, shape, 0, 0.5, 0)};
    make(&w, BV_NUMERICS_F64, DROPPED, false, outputs, 4);
    const bv_sequence sequence = {.rows = DROPPED};
    const bv_layout layout = {&sequence, 1, NULL};
    bv_accumulator *nothing[2] = {NULL, NULL}; /* what is run without gradients does not drop */
    bv_plan_bind(w.plan, tokens, zeros);
    bv_plan_bind(w.plan, row_ids, ids);
    bv_plan_run(w.plan, &(bv_run_options){.rows = DROPPED,
                                          .layout = &layout,
                                          .gradients = nothing,
                                          .seed = d.seed,
                                          .step = d.step});
    for (int i = 0; i < 4; i++)
        memcpy(values[i], bv_plan_values(w.plan, outputs[i]), sizeof values[i]);
    destroy(&w);
}

/* Each place in a model draws for itself, anew for each seed and step. */
static void test_draws_of_dropout(void **state) {
    (void)state;
    static const draw draws[] = {{3, 1}, {4, 1}, {3, 2}};
    static double all[3][4][DROPPED * WIDTH], again[4][DROPPED * WIDTH];
    for (int i = 0; i < 3; i++) drop(draws[i], all[i]);
    drop(draws[0], again);
    assert_memory_equal(all[0], again, sizeof again);
    for (int kind = 0; kind < 4; kind += 2) {
        assert_memory_not_equal(all[0][kind], all[0][kind + 1], sizeof again[0]);
        for (int i = 1; i < 3; i++)
            assert_memory_not_equal(all[0][kind], all[i][kind], sizeof again[0]);
    }
}

/* ---- outputs in the memory of inputs ---- */

/* A sum takes the memory of what is as wide and of its type and not read later: not that of halves,
 * though so few of them are given as many bytes, and not that of the first table's rows, which the
 * second sum reads. */
static void test_outputs_in_place(void **state) {
    (void)state;
    enum { WIDE = 4, FEW = 4 };
    world w = {0};
    const uint32_t tokens[FEW] = {2, 0, 1, 0};
    assert_ok(bv_graph_create(&w.graph));
    bv_graph *g = w.graph;
    bv_tensor *ids = ids_of(g, "tokens");
    bv_tensor *first = table_of(g, "first", 3, WIDE), *second = table_of(g, "second", 3, WIDE);
    bv_tensor *a = bv_embed(g, ids, first);
    bv_tensor *b = bv_cast(g, bv_embed(g, ids, second), BV_ROLE_OPERAND);
    bv_tensor *sum = bv_add(g, a, b), *both = bv_add(g, sum, a);
    make(&w, BV_NUMERICS_BF16, FEW, false, &both, 1);
    bv_plan_bind(w.plan, ids, tokens);
    bv_plan_run(w.plan, &(bv_run_options){.rows = FEW});
    assert_ptr_not_equal(bv_plan_values(w.plan, sum), bv_plan_values(w.plan, a));
    assert_ptr_not_equal(bv_plan_values(w.plan, sum), bv_plan_values(w.plan, b));
    assert_ptr_equal(bv_plan_values(w.plan, both), bv_plan_values(w.plan, sum));
    const float *x = bv_weights_data(w.weights, first->parameter);
    const float *y = bv_weights_data(w.weights, second->parameter);
    const float *got = bv_plan_values(w.plan, both);
    for (size_t r = 0; r < FEW; r++)
        for (size_t i = 0; i < WIDE; i++) {
            const size_t at = tokens[r] * WIDE + i;
            const float wanted = to_bf16(x[at]) + to_bf16(y[at]) + to_bf16(x[at]);
            assert_true(got[r * WIDE + i] == wanted);
        }
    destroy(&w);
}

/* ---- memory of their own ---- */

static size_t bytes_of_plan(const world *w, bv_tensor *output, size_t rows, bool apart) {
    bv_plan *plan;
    const bv_plan_options options = {.kernels = kernels_of(BV_NUMERICS_F32),
                                     .numerics = BV_NUMERICS_F32,
                                     .rows_max = rows,
                                     .apart = apart,
                                     .outputs = &output,
                                     .output_count = 1};
    assert_ok(bv_plan_create(w->graph, &options, &plan));
    const size_t bytes = bv_plan_bytes(plan);
    bv_plan_destroy(&plan);
    return bytes;
}

/* Of three products one after another the third one's output takes the memory of the first one's,
 * but not apart; nor is there so much memory where tensors are large. */
static void test_apart(void **state) {
    (void)state;
    const size_t few = 100, many = (size_t)1 << 20;
    world w = {0};
    assert_ok(bv_graph_create(&w.graph));
    bv_graph *g = w.graph;
    bv_tensor *x = bv_embed(g, ids_of(g, "tokens"), table_of(g, "table", 3, WIDTH));
    const char *const names[3] = {"first", "second", "third"};
    for (int i = 0; i < 3; i++)
        x = bv_linear(
            g, bv_cast(g, x, BV_ROLE_OPERAND),
            bv_parameter_make(g, names[i], WIDTH, WIDTH, BV_PARAMETER_MATRIX, BV_INIT_NORMAL, 0.5),
            NULL);
    assert_ok(bv_graph_error(g));
    const size_t one = few * WIDTH * sizeof(float);
    assert_true(bytes_of_plan(&w, x, few, true) >= bytes_of_plan(&w, x, few, false) + one);
    assert_true(bytes_of_plan(&w, x, many, true) == bytes_of_plan(&w, x, many, false));
    bv_graph_destroy(&w.graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_of_the_head), cmocka_unit_test(test_wide_rows_in_bf16),
        cmocka_unit_test(test_draws_of_dropout), cmocka_unit_test(test_outputs_in_place),
        cmocka_unit_test(test_apart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

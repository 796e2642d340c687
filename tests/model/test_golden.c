/*
 * Whole models against PyTorch: log-probabilities of every token, loss, gradient and its norm, and
 * the weights after ten steps of AdamW or Muon. tests/golden/make_goldens.py made the files, says
 * what is in them, and has the same table of cases.
 *
 * Tolerances, for a tensor whose largest element in absolute value is `largest`:
 *
 * f64: 2^-40 (1e-12) of it. A value is the end of some thousand roundings of 2^-53 (sums of up to
 * 36 rows and 64 columns, a dozen of them one after another), which add up to 2^-41 when none
 * cancels another, and a reference is stored with 48 bits.
 *
 * f32: how much rounding matters differs from tensor to tensor and is not guessed here. The file
 * says by how much PyTorch's own float32 run, whose sums have another order, misses its float64
 * run. Beaver's errors are another draw of the same size; the largest of some hundred draws, as
 * both maxima are, seldom doubles. So four times PyTorch's, and 2^-22 of `largest` (four units of
 * half a last place) for a tensor whose few values PyTorch met by luck.
 */
#include "base/memory.h"
#include "model/gpt_train.h"
#include "model/safetensors.h"
#include "support/check.h"
#include <math.h>

#define BATCH_MAX 3
#define STEPS 10

typedef struct golden_case {
    const char *name;
    bv_gpt_config config;
    size_t batch;
    size_t steps; /* 0: only a gradient */
    bv_optimizer_kind optimizer;
} golden_case;

static bv_gpt_config gpt2(void) {
    return (bv_gpt_config){.vocab_size = 29,
                           .context = 12,
                           .layers = 2,
                           .heads = 2,
                           .width = 16,
                           .position = BV_POSITION_LEARNED,
                           .norm_eps = 1e-5,
                           .bias = true,
                           .activation = BV_GELU_TANH,
                           .tied = true};
}

static bv_gpt_config modern(bv_activation activation, size_t kv_heads) {
    return (bv_gpt_config){.vocab_size = 29,
                           .context = 12,
                           .layers = 2,
                           .heads = 4,
                           .kv_heads = kv_heads,
                           .width = 16,
                           .ff_width = 24,
                           .position = BV_POSITION_ROPE,
                           .rope_base = 10000,
                           .rms_norm = true,
                           .norm_eps = 1e-5,
                           .qk_norm = true,
                           .activation = activation,
                           .logit_soft_cap = 5,
                           .band = 4};
}

/* Small, for what attention can do. rope_base 0: learned positions. */
static bv_gpt_config small(size_t heads, size_t kv_heads, size_t d_head, double rope_base,
                           size_t band) {
    bv_gpt_config c = gpt2();
    c.vocab_size = 13;
    c.width = 10;
    c.ff_width = 20;
    c.heads = heads;
    c.kv_heads = kv_heads;
    c.d_head = d_head;
    c.position = rope_base > 0 ? BV_POSITION_ROPE : BV_POSITION_LEARNED;
    c.rope_base = rope_base;
    c.band = band;
    return c;
}

/* ---- a file ---- */

typedef struct reference {
    float *value, *rest, *float32; /* the value is value + rest */
    size_t count;
} reference;

typedef struct golden {
    bv_arena *arena;
    bv_named_tensor *list; /* all of the file */
    size_t listed;
    float *inputs, *targets, *first_visible;
    reference log_p, loss, norm;
    float **initial; /* by parameter */
    reference *gradient, *trained;
} golden;

/* One more tensor of the file, shaped as `like`. */
static float *expect(golden *g, bv_named_tensor like, const char *name, const char *suffix) {
    const size_t count = bv_named_tensor_elements(&like);
    like.name = bv_arena_printf(g->arena, "%s%s", name, suffix);
    like.dtype = BV_F32;
    like.data = bv_arena_alloc(g->arena, count * sizeof(float));
    assert_true(like.name && like.data);
    g->list[g->listed++] = like;
    return like.data;
}

static reference expect_reference(golden *g, bv_named_tensor like, const char *name) {
    const bv_named_tensor one = {.rank = 1, .shape = {1}};
    reference r = {.count = bv_named_tensor_elements(&like)};
    r.value = expect(g, like, name, "");
    r.rest = expect(g, like, name, ".rest");
    r.float32 = expect(g, one, name, ".float32");
    return r;
}

static bv_named_tensor row(size_t count) {
    return (bv_named_tensor){.rank = 1, .shape = {count}};
}

static golden load(const golden_case *c, const bv_named_tensor *parameters, size_t count) {
    golden g = {.arena = bv_arena_create()};
    assert_non_null(g.arena);
    const size_t batches = c->steps ? c->steps : 1, rows = c->batch * c->config.context;
    g.list = bv_arena_alloc(g.arena, (7 * count + 12) * sizeof *g.list);
    g.initial = bv_arena_alloc(g.arena, count * sizeof *g.initial);
    g.gradient = bv_arena_alloc(g.arena, count * sizeof *g.gradient);
    g.trained = bv_arena_alloc(g.arena, count * sizeof *g.trained);
    assert_true(g.list && g.initial && g.gradient && g.trained);
    g.inputs = expect(&g, row(batches * rows), "inputs", "");
    g.targets = expect(&g, row(batches * rows), "targets", "");
    g.first_visible = expect(&g, row(rows), "first_visible", "");
    const bv_named_tensor table = {.rank = 2, .shape = {rows, c->config.vocab_size}};
    g.log_p = expect_reference(&g, table, "log_p");
    g.loss = expect_reference(&g, row(batches), "loss");
    g.norm = expect_reference(&g, row(batches), "norm");
    char name[80];
    for (size_t i = 0; i < count; i++) {
        const bv_named_tensor *p = &parameters[i];
        g.initial[i] = expect(&g, *p, "initial.", p->name);
        snprintf(name, sizeof name, "gradient.%s", p->name);
        g.gradient[i] = expect_reference(&g, *p, name);
        snprintf(name, sizeof name, "trained.%s", p->name);
        if (c->steps) g.trained[i] = expect_reference(&g, *p, name);
    }
    snprintf(name, sizeof name, "/tests/golden/%s.safetensors", c->name);
    const char *path = bv_arena_printf(g.arena, "%s%s", BV_SOURCE, name);
    assert_ok(bv_safetensors_read(path, g.list, g.listed));
    return g;
}

/* ---- comparing ---- */

typedef struct trial {
    const golden_case *c;
    const bv_kernels *kernels;
    bv_gpt_trainer *trainer;
    const bv_named_tensor *parameters;
    size_t count;
    golden golden;
    uint32_t *inputs, *targets, *first_visible; /* of all batches */
} trial;

static double real_at(const trial *t, const void *data, size_t i) {
    return t->kernels->real == BV_F64 ? ((const double *)data)[i] : ((const float *)data)[i];
}

static void compare(const trial *t, const void *got, const reference *r, const char *what,
                    const char *name) {
    double largest = 0;
    for (size_t i = 0; i < r->count; i++)
        if (fabs((double)r->value[i]) > largest) largest = fabs((double)r->value[i]);
    assert_true(largest > 0);
    const double tolerance =
        t->kernels->real == BV_F64 ? ldexp(largest, -40) : 4 * *r->float32 + ldexp(largest, -22);
    for (size_t i = 0; i < r->count; i++) {
        const double expected = (double)r->value[i] + r->rest[i];
        const double value = real_at(t, got, i);
        if (!(fabs(value - expected) <= tolerance))
            fail_msg("%s at %s: %s%s[%zu] is %.15g, PyTorch says %.15g (tolerance %.2g)",
                     t->c->name, t->kernels->level, what, name, i, value, expected, tolerance);
    }
}

/* Numbers that the trainer gives as doubles at every level. */
static void compare_numbers(const trial *t, const double *got, const reference *r,
                            const char *what) {
    float narrow[STEPS];
    for (size_t i = 0; i < r->count; i++) narrow[i] = (float)got[i];
    compare(t, t->kernels->real == BV_F64 ? (const void *)got : narrow, r, what, "");
}

/* -log p of every token of the vocabulary is what a target of that token would lose. */
static void check_log_p(const trial *t) {
    const bv_gpt_config *config = &t->c->config;
    const size_t rows = t->c->batch * config->context, vocab = config->vocab_size;
    const size_t element = bv_dtype_size(t->kernels->real);
    uint32_t *targets = bv_arena_alloc(t->golden.arena, rows * sizeof *targets);
    void *losses = bv_arena_alloc(t->golden.arena, rows * element);
    char *all = bv_arena_alloc(t->golden.arena, rows * vocab * element);
    assert_true(targets && losses && all);
    for (uint32_t token = 0; token < vocab; token++) {
        for (size_t r = 0; r < rows; r++) targets[r] = token;
        bv_gpt_scorer_losses(bv_gpt_trainer_scorer(t->trainer), t->inputs, targets,
                             t->first_visible, t->c->batch, config->context, losses);
        for (size_t r = 0; r < rows; r++) {
            const size_t i = r * vocab + token;
            if (t->kernels->real == BV_F64)
                ((double *)all)[i] = -((const double *)losses)[r];
            else
                ((float *)all)[i] = -((const float *)losses)[r];
        }
    }
    compare(t, all, &t->golden.log_p, "log p", "");
}

/* Gradient of one batch, as two micro-batches where it has more than one sequence. */
static void gradient_of(const trial *t, size_t step, double *loss, double *norm) {
    const size_t context = t->c->config.context, rows = t->c->batch * context;
    const uint32_t *inputs = t->inputs + step * rows, *targets = t->targets + step * rows;
    uint64_t real_targets = 0;
    for (size_t r = 0; r < rows; r++) real_targets += targets[r] < t->c->config.vocab_size;
    bv_gpt_trainer_step_begin(t->trainer, (uint32_t)step, real_targets);
    bv_gpt_trainer_grain_begin(t->trainer);
    for (size_t i = 0; i < t->c->batch; i += 2) {
        const size_t n = t->c->batch - i < 2 ? t->c->batch - i : 2, at = i * context;
        bv_gpt_trainer_micro(t->trainer, inputs + at, targets + at, t->first_visible + at, n, i);
    }
    bv_gpt_trainer_grain_end(t->trainer);
    bv_gpt_trainer_gradient(t->trainer, loss, norm);
}

static void check_steps(const trial *t) {
    double losses[STEPS], norms[STEPS];
    const size_t batches = t->c->steps ? t->c->steps : 1;
    for (size_t step = 0; step < batches; step++) {
        gradient_of(t, step, &losses[step], &norms[step]);
        for (size_t i = 0; step == 0 && i < t->count; i++)
            compare(t, bv_gpt_trainer_parameter_gradient(t->trainer, i), &t->golden.gradient[i],
                    "gradient of ", t->parameters[i].name);
        const bv_optimizer_step o = {.lr = 0.01,
                                     .beta1 = 0.9,
                                     .beta2 = 0.95,
                                     .eps = 1e-4,
                                     .weight_decay = 0.1,
                                     .muon_lr = 0.02,
                                     .muon_momentum = 0.95,
                                     .gradient_scale =
                                         fmin(1, 1 / (norms[step] + 1e-6)), /* clip_grad_norm_ */
                                     .step = step + 1};
        if (t->c->steps) bv_gpt_trainer_apply(t->trainer, &o);
    }
    compare_numbers(t, losses, &t->golden.loss, "loss");
    compare_numbers(t, norms, &t->golden.norm, "norm");
    for (size_t i = 0; t->c->steps && i < t->count; i++)
        compare(t, t->parameters[i].data, &t->golden.trained[i], "trained ", t->parameters[i].name);
}

/* ---- a case at one level ---- */

static uint32_t *indices(golden *g, const float *values, size_t count) {
    uint32_t *list = bv_arena_alloc(g->arena, count * sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < count; i++) list[i] = (uint32_t)values[i];
    return list;
}

static void load_weights(const trial *t) {
    for (size_t p = 0; p < t->count; p++)
        for (size_t i = 0; i < t->golden.gradient[p].count; i++) {
            if (t->kernels->real == BV_F64)
                ((double *)t->parameters[p].data)[i] = t->golden.initial[p][i];
            else
                ((float *)t->parameters[p].data)[i] = t->golden.initial[p][i];
        }
    bv_gpt_trainer_changed(t->trainer);
}

static void check_at(const golden_case *c, const bv_kernels *kernels) {
    bv_pool *pool;
    assert_ok(bv_pool_create(2, &pool));
    const bool f64 = kernels->real == BV_F64;
    const bv_gpt_trainer_options options = {.config = c->config,
                                            .numerics = f64 ? BV_NUMERICS_F64 : BV_NUMERICS_F32,
                                            .kernels = kernels,
                                            .pool = pool,
                                            .batch_max = BATCH_MAX,
                                            .micro_batch = 2,
                                            .grains = 1,
                                            .seed = 1,
                                            .optimizer = c->optimizer};
    trial t = {.c = c, .kernels = kernels};
    assert_ok(bv_gpt_trainer_create(&options, &t.trainer));
    t.parameters = bv_gpt_trainer_parameters(t.trainer, &t.count);
    t.golden = load(c, t.parameters, t.count);
    const size_t rows = c->batch * c->config.context, all = (c->steps ? c->steps : 1) * rows;
    t.inputs = indices(&t.golden, t.golden.inputs, all);
    t.targets = indices(&t.golden, t.golden.targets, all);
    t.first_visible = indices(&t.golden, t.golden.first_visible, rows);
    load_weights(&t);
    check_log_p(&t);
    check_steps(&t);
    bv_arena_destroy(&t.golden.arena);
    bv_gpt_trainer_destroy(&t.trainer);
    bv_pool_destroy(&pool);
}

/* In f64, in plain C and at the best level of this CPU. */
static void check(golden_case c) {
    assert_ok(bv_gpt_config_check(&c.config));
    check_at(&c, bv_kernels_reference());
    size_t count;
    const bv_kernels *const *levels = bv_kernels_all(&count), *best;
    check_at(&c, levels[0]);
    assert_ok(bv_kernels_pick(&best));
    if (best != levels[0]) check_at(&c, best);
}

static void test_gpt2(void **state) {
    (void)state;
    check((golden_case){"gpt2", gpt2(), 3, STEPS, BV_OPTIMIZER_ADAMW});
}

static void test_modern(void **state) {
    (void)state;
    check((golden_case){"modern", modern(BV_SWIGLU, 2), 3, STEPS, BV_OPTIMIZER_ADAMW});
}

static void test_squared_relu(void **state) {
    (void)state;
    check((golden_case){"modern_relu2", modern(BV_RELU2, 4), 3, STEPS, BV_OPTIMIZER_ADAMW});
}

static void test_muon(void **state) {
    (void)state;
    check((golden_case){"muon", modern(BV_SWIGLU, 2), 3, STEPS, BV_OPTIMIZER_MUON});
}

static void test_band(void **state) {
    (void)state;
    check((golden_case){.name = "attention_band", .config = small(2, 2, 5, 0, 3), .batch = 3});
}

static void test_one_kv_head(void **state) {
    (void)state;
    bv_gpt_config config = small(3, 1, 6, 100, 0);
    config.activation = BV_SILU;
    check((golden_case){.name = "attention_one_kv_head", .config = config, .batch = 3});
}

static void test_documents(void **state) {
    (void)state;
    check((golden_case){.name = "attention_documents", .config = small(4, 2, 5, 0, 0), .batch = 3});
}

static void test_ngrams(void **state) {
    (void)state;
    bv_gpt_config config = small(2, 2, 5, 0, 0);
    config.ngram = 3;
    config.ngram_rows = 200; /* of 196 pairs and 2,744 triples */
    check((golden_case){.name = "ngrams", .config = config, .batch = 3});
}

static void test_all(void **state) {
    (void)state;
    bv_gpt_config config = small(6, 2, 4, 10000, 5);
    config.qk_norm = true;
    check((golden_case){.name = "attention_all", .config = config, .batch = 3});
}

/* Longer than two of the kernels' tiles of 64 keys. */
static void test_tiles(void **state) {
    (void)state;
    bv_gpt_config config = small(2, 1, 5, 0, 70);
    config.context = 140;
    config.vocab_size = 7;
    check((golden_case){.name = "attention_tiles", .config = config, .batch = 1});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),         cmocka_unit_test(test_modern),
        cmocka_unit_test(test_squared_relu), cmocka_unit_test(test_muon),
        cmocka_unit_test(test_band),         cmocka_unit_test(test_one_kv_head),
        cmocka_unit_test(test_ngrams),       cmocka_unit_test(test_documents),
        cmocka_unit_test(test_all),          cmocka_unit_test(test_tiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

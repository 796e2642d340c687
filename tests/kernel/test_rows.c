/*
 * The kernels that go over rows or elements (norms, activations, sums, embeddings, heads, the loss,
 * the optimizers): each from one table of cases, at every level of this CPU, over random shapes
 * around the edges of the lanes. Bits against plain C; values against the double level, which is
 * the same source with double for reals and the C library's functions; guards around every array.
 */
#include "support/check.h"

#include "base/memory.h"
#include "base/random.h"
#include "kernel/kernel.h"
#include <math.h>

#define SEED 20261123u
#define ARRAYS 8
#define GUARD 64 /* bytes on both sides */

typedef enum role { NOTHING, REAL, STREAM_OR_HALF, IDS, TARGETS, DOUBLES } role;
typedef enum extent { ROWS_COLS, ROWS_2COLS, COLS, ROWS, TABLE, CHUNKS } extent;

typedef struct shape {
    size_t rows, cols;
    bool half; /* operands are bf16 */
} shape;

typedef struct arrays {
    shape s;
    bv_dtype real, operand;
    void *at[ARRAYS];
} arrays;

typedef struct array_spec {
    role role;
    extent extent;
} array_spec;

#define ENTRIES 7 /* rows of the embedding's table, classes come from cols */

/* ---- the cases: how each kernel is called; at[] as its specs say ---- */

static void layer_norm(const bv_kernels *k, const arrays *a, bool rms, bool backward) {
    bv_norm_args n = {.cols = a->s.cols,
                      .rms = rms,
                      .eps = 1e-5,
                      .x = a->at[0],
                      .x_type = a->real,
                      .gain = a->at[1],
                      .bias = rms ? NULL : a->at[2],
                      .y = a->at[3],
                      .y_type = a->operand,
                      .mean = rms ? NULL : a->at[4],
                      .rstd = a->at[5]};
    k->norm->forward(&n, 0, a->s.rows);
    if (!backward) return;
    n.dy = a->at[6];
    n.dx = a->at[7];
    k->norm->backward_input(&n, 0, a->s.rows);
    n.addend = n.dx; /* in place, which doubles it */
    n.dx_rounded = a->at[3];
    k->norm->backward_input(&n, 0, a->s.rows);
    /* Gains and biases take their gradients on top of what stands there. */
    n.dgain = a->at[1];
    n.dbias = rms ? NULL : a->at[2];
    n.gain = n.bias = NULL;
    k->norm->backward_params(&n, a->s.rows, 0, a->s.cols);
}

static void norm_layer(const bv_kernels *k, const arrays *a) {
    layer_norm(k, a, false, true);
}
static void norm_rms(const bv_kernels *k, const arrays *a) {
    layer_norm(k, a, true, true);
}

static void activation(const bv_kernels *k, const arrays *a, bv_activation kind) {
    const bv_activation_args args = {.kind = kind,
                                     .cols = a->s.cols,
                                     .x = a->at[0],
                                     .y = a->at[1],
                                     .dy = a->at[2],
                                     .dx = a->at[3],
                                     .x_type = a->operand,
                                     .y_type = a->operand};
    k->activation->forward(&args, 0, a->s.rows);
    k->activation->backward(&args, 0, a->s.rows);
}

static void gelu(const bv_kernels *k, const arrays *a) {
    activation(k, a, BV_GELU_TANH);
}
static void relu2(const bv_kernels *k, const arrays *a) {
    activation(k, a, BV_RELU2);
}
static void silu(const bv_kernels *k, const arrays *a) {
    activation(k, a, BV_SILU);
}
static void swiglu(const bv_kernels *k, const arrays *a) {
    activation(k, a, BV_SWIGLU);
}

static void add(const bv_kernels *k, const arrays *a) {
    bv_add_args args = {.a = a->at[0],
                        .b = a->at[1],
                        .y = a->at[2],
                        .a_type = a->real,
                        .b_type = a->operand,
                        .y_type = a->real,
                        .scale = 1};
    const size_t n = a->s.rows * a->s.cols;
    k->elementwise->add(&args, 0, n);
    args = (bv_add_args){.a = a->at[0],
                         .y = a->at[3],
                         .a_type = a->real,
                         .b_type = a->real,
                         .y_type = a->operand,
                         .scale = 0.375};
    k->elementwise->add(&args, n / 3 / 16 * 16, n);
}

static void dropout(const bv_kernels *k, const arrays *a) {
    const bv_dropout_args args = {.cols = a->s.cols,
                                  .x = a->at[0],
                                  .y = a->at[1],
                                  .x_type = a->operand,
                                  .y_type = a->operand,
                                  .p = 0.3,
                                  .seed = 4,
                                  .site = 2,
                                  .step = 9,
                                  .row_ids = a->at[2]};
    k->elementwise->dropout(&args, 0, a->s.rows);
}

static void bias_gradient(const bv_kernels *k, const arrays *a) {
    const bv_bias_gradient_args args = {
        .cols = a->s.cols, .dy = a->at[0], .dy_type = a->operand, .dbias = a->at[1]};
    k->elementwise->bias_gradient(&args, a->s.rows, 0, a->s.cols);
}

static void embed(const bv_kernels *k, const arrays *a) {
    const bv_embed_args args = {.cols = a->s.cols,
                                .ids = a->at[0],
                                .table = a->at[1],
                                .table_type = a->real,
                                .y = a->at[2],
                                .y_type = a->real,
                                .dy = a->at[3],
                                .dtable = a->at[4]};
    k->embedding->forward(&args, 0, a->s.rows);
    k->embedding->backward(&args, a->s.rows, 0, a->s.cols);
}

/* One query head, one KV head: a row is three times d_head long; the rest of it is not touched. */
static void heads(const bv_kernels *k, const arrays *a) {
    const size_t d = a->s.cols / 3 / 2 * 2;
    if (d < 2 || a->s.cols % 6) return;
    const bv_heads_args args = {.heads = 1,
                                .kv_heads = 1,
                                .d_head = d,
                                .qk_norm = true,
                                .eps = 1e-5,
                                .cos = a->at[5],
                                .sin = a->at[6],
                                .positions = a->at[4],
                                .x = a->at[0],
                                .y = a->at[1],
                                .dy = a->at[2],
                                .dx = a->at[3],
                                .type = a->operand};
    k->heads->forward(&args, 0, a->s.rows);
    k->heads->backward(&args, 0, a->s.rows);
}

static void loss(const bv_kernels *k, const arrays *a, size_t classes, double soft_cap,
                 const void *prior) {
    const bv_loss_args args = {.classes = classes,
                               .stride = a->s.cols,
                               .logits = a->at[0],
                               .soft_cap = soft_cap,
                               .prior = prior,
                               .targets = a->at[1],
                               .losses = a->at[2],
                               .scale = 0.25,
                               .dlogits = a->at[3],
                               .dlogits_type = a->operand};
    k->loss->cross_entropy(&args, 0, a->s.rows);
}

static void cross_entropy(const bv_kernels *k, const arrays *a) {
    loss(k, a, a->s.cols, 0, NULL);
}
static void cross_entropy_capped(const bv_kernels *k, const arrays *a) {
    loss(k, a, a->s.cols, 1.5, NULL);
}
/* The last column weighs the prior; a target that would be it has no loss. */
static void cross_entropy_with_prior(const bv_kernels *k, const arrays *a) {
    if (a->s.cols > 1) loss(k, a, a->s.cols - 1, 0, a->at[4]);
}

static void logs(const bv_kernels *k, const arrays *a) {
    const size_t n = a->s.rows * a->s.cols;
    double *p = a->at[0];
    for (size_t i = 0; i < n; i++) p[i] = fabs(p[i]);
    k->loss->logs(p, a->at[1], n);
}

static void adamw(const bv_kernels *k, const arrays *a) {
    const bv_adamw_args args = {.parameter = a->at[0],
                                .m = a->at[1],
                                .v = a->at[2],
                                .gradient = a->at[3],
                                .gradient_scale = 0.5,
                                .lr = 0.01,
                                .beta1 = 0.9,
                                .beta2 = 0.95,
                                .eps = 1e-2,
                                .weight_decay = 0.1,
                                .correction1 = 0.19,
                                .correction2 = 0.0975};
    /* v holds squares. */
    if (a->real == BV_F32)
        for (size_t i = 0; i < a->s.rows * a->s.cols; i++)
            ((float *)a->at[2])[i] = fabsf(((float *)a->at[2])[i]);
    else
        for (size_t i = 0; i < a->s.rows * a->s.cols; i++)
            ((double *)a->at[2])[i] = fabs(((double *)a->at[2])[i]);
    k->optimizer->adamw(&args, 0, a->s.rows * a->s.cols);
}

static void muon_steps(const bv_kernels *k, const arrays *a) {
    const size_t n = a->s.rows * a->s.cols;
    k->optimizer->momentum(a->at[0], a->at[1], a->at[2], 0.95, 0.5, 0, n);
    k->optimizer->descend(a->at[3], a->at[2], 0.02, 0.1, 0, n);
}

static void sums(const bv_kernels *k, const arrays *a) {
    const size_t n = a->s.rows * a->s.cols, chunks = (n + BV_SUM_CHUNK - 1) / BV_SUM_CHUNK;
    k->optimizer->square_sums(a->at[0], n, a->at[1], 0, chunks);
    k->optimizer->sums(a->at[0], n, a->at[2], 0, chunks);
}

#define R2                                                                                         \
    { REAL, ROWS_COLS }
#define O2                                                                                         \
    { STREAM_OR_HALF, ROWS_COLS }

static const struct {
    const char *name;
    void (*run)(const bv_kernels *, const arrays *);
    array_spec specs[ARRAYS];
} cases[] = {
    {"layer norm",
     norm_layer,
     {R2, {REAL, COLS}, {REAL, COLS}, O2, {REAL, ROWS}, {REAL, ROWS}, O2, R2}},
    {"RMS norm",
     norm_rms,
     {R2, {REAL, COLS}, {NOTHING, 0}, O2, {NOTHING, 0}, {REAL, ROWS}, O2, R2}},
    {"gelu", gelu, {O2, O2, O2, O2}},
    {"squared ReLU", relu2, {O2, O2, O2, O2}},
    {"silu", silu, {O2, O2, O2, O2}},
    {"swiglu", swiglu, {{STREAM_OR_HALF, ROWS_2COLS}, O2, O2, {STREAM_OR_HALF, ROWS_2COLS}}},
    {"add", add, {R2, O2, R2, O2}},
    {"dropout", dropout, {O2, O2, {IDS, ROWS}}},
    {"bias gradient", bias_gradient, {O2, {REAL, COLS}}},
    {"embedding", embed, {{IDS, ROWS}, {REAL, TABLE}, R2, R2, {REAL, TABLE}}},
    {"heads", heads, {O2, O2, O2, O2, {IDS, ROWS}, {REAL, TABLE}, {REAL, TABLE}}},
    {"cross-entropy", cross_entropy, {R2, {TARGETS, ROWS}, {REAL, ROWS}, O2}},
    {"cross-entropy with a prior",
     cross_entropy_with_prior,
     {R2, {TARGETS, ROWS}, {REAL, ROWS}, O2, R2}},
    {"cross-entropy, soft cap", cross_entropy_capped, {R2, {TARGETS, ROWS}, {REAL, ROWS}, O2}},
    {"logarithms", logs, {{DOUBLES, ROWS_COLS}, R2}},
    {"adamw", adamw, {R2, R2, R2, R2}},
    {"Muon's momentum and descent", muon_steps, {R2, R2, R2, R2}},
    {"sums", sums, {R2, {DOUBLES, CHUNKS}, {DOUBLES, CHUNKS}}},
};
#define CASES (sizeof cases / sizeof *cases)

/* ---- memory ---- */

static size_t elements(extent e, shape s) {
    switch (e) {
    case ROWS_COLS:
        return s.rows * s.cols;
    case ROWS_2COLS:
        return 2 * s.rows * s.cols;
    case COLS:
        return s.cols;
    case ROWS:
        return s.rows;
    case TABLE:
        return ENTRIES * s.cols;
    case CHUNKS:
        return (s.rows * s.cols + BV_SUM_CHUNK - 1) / BV_SUM_CHUNK;
    }
    return 0;
}

static bv_dtype type_of(role r, const arrays *a) {
    if (r == IDS || r == TARGETS) return BV_U32;
    if (r == DOUBLES) return BV_F64;
    return r == REAL ? a->real : a->operand;
}

static void store(void *to, bv_dtype type, size_t i, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (type == BV_F32)
        ((float *)to)[i] = value;
    else if (type == BV_F64)
        ((double *)to)[i] = (double)value;
    else
        ((uint16_t *)to)[i] = (uint16_t)(bits >> 16);
}

static double fetch(const void *from, bv_dtype type, size_t i) {
    if (type == BV_F32) return (double)((const float *)from)[i];
    if (type == BV_F64) return ((const double *)from)[i];
    if (type == BV_U32) return ((const uint32_t *)from)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* Values of class `kind`: 0 ordinary; 1 with denormals, huge ones, infinities and NaNs among. */
static float draw(size_t array, size_t i, int kind, bool half) {
    static const float special[] = {0x1p-140f, -0x1p-127f, 1e30f, -1e30f,
                                    -0.0f,     HUGE_VALF,  NAN,   -HUGE_VALF};
    const bv_random4 r =
        bv_random(SEED, BV_RANDOM_TEST, (uint32_t)array, (uint32_t)kind, (uint32_t)i, 0);
    float value = 3 * (2 * bv_uniform_f32(r.v[0]) - 1);
    if (kind && r.v[1] % 9 == 0) value = special[r.v[2] % 8];
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (half) bits &= 0xffff0000u; /* a bf16 number, so that the double level sees the same */
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void fill(const array_spec *spec, size_t index, arrays *a, int kind) {
    const size_t n = elements(spec->extent, a->s);
    const bv_dtype type = type_of(spec->role, a);
    char *memory = test_malloc(n * bv_dtype_size(type) + 2 * GUARD);
    memset(memory, 0xa5, n * bv_dtype_size(type) + 2 * GUARD);
    a->at[index] = memory + GUARD;
    for (size_t i = 0; i < n; i++) {
        const uint32_t word = bv_random(SEED, BV_RANDOM_TEST, 99, 0, (uint32_t)i, 0).v[0];
        if (spec->role == IDS)
            ((uint32_t *)a->at[index])[i] = word % ENTRIES;
        else if (spec->role == TARGETS)
            ((uint32_t *)a->at[index])[i] = word % (uint32_t)(a->s.cols + 1); /* cols: none */
        else
            store(a->at[index], type, i,
                  draw(index, i, kind, a->s.half && spec->role == STREAM_OR_HALF));
    }
}

static void begin(size_t c, const bv_kernels *k, shape s, int kind, arrays *a) {
    *a = (arrays){.s = s, .real = k->real, .operand = s.half ? BV_BF16 : k->real};
    if (k->real == BV_F64) a->operand = BV_F64;
    for (size_t i = 0; i < ARRAYS; i++)
        if (cases[c].specs[i].role != NOTHING) fill(&cases[c].specs[i], i, a, kind);
}

static void end(size_t c, arrays *a) {
    for (size_t i = 0; i < ARRAYS; i++) {
        const array_spec *spec = &cases[c].specs[i];
        if (spec->role == NOTHING) continue;
        const size_t bytes = elements(spec->extent, a->s) * bv_dtype_size(type_of(spec->role, a));
        const unsigned char *p = a->at[i];
        for (size_t g = 1; g <= GUARD; g++) {
            assert_int_equal(p[bytes + g - 1], 0xa5);
            assert_int_equal(*(p - g), 0xa5);
        }
        test_free((char *)a->at[i] - GUARD);
    }
}

/* ---- comparing ---- */

static bool same_number(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && !signbit(a) == !signbit(b));
}

static void check_bits(size_t c, const char *level, const arrays *want, const arrays *got) {
    for (size_t i = 0; i < ARRAYS; i++) {
        const array_spec *spec = &cases[c].specs[i];
        if (spec->role == NOTHING) continue;
        const bv_dtype type = type_of(spec->role, want);
        for (size_t k = 0; k < elements(spec->extent, want->s); k++) {
            const double a = fetch(want->at[i], type, k), b = fetch(got->at[i], type, k);
            if (!same_number(a, b))
                fail_msg("%s at %s, %zu x %zu%s, array %zu [%zu]: %a, plain C has %a (seed %u)",
                         cases[c].name, level, want->s.rows, want->s.cols,
                         want->s.half ? " bf16" : "", i, k, b, a, SEED);
        }
    }
}

/* A sum of n terms of magnitude at most M is off by at most n eps M n/2 of it, and what follows a
 * sum carries that on; outputs are rounded once more to their type. n is the longer side, and M the
 * largest magnitude of the array, at least 1: values are of order 1. */
static void check_values(size_t c, const char *level, const arrays *want, const arrays *got) {
    for (size_t i = 0; i < ARRAYS; i++) {
        const array_spec *spec = &cases[c].specs[i];
        if (spec->role == NOTHING) continue;
        const size_t n = elements(spec->extent, want->s);
        const bv_dtype type = type_of(spec->role, got), wide = type_of(spec->role, want);
        double largest = 1;
        for (size_t k = 0; k < n; k++) {
            const double here = fabs(fetch(want->at[i], wide, k));
            if (here > largest) largest = here;
        }
        const size_t longest = want->s.rows > want->s.cols ? want->s.rows : want->s.cols;
        /* Where bf16 results are read again (backward of a norm), their rounding is an input's. */
        const double eps = want->s.half ? 0x1p-8 : 0x1p-24;
        const double bound = eps * (double)(longest + 16) * largest;
        for (size_t k = 0; k < n; k++) {
            const double a = fetch(want->at[i], wide, k), b = fetch(got->at[i], type, k);
            if (!(fabs(a - b) <= bound))
                fail_msg("%s at %s, %zu x %zu%s, array %zu [%zu]: %.9g, double has %.9g, bound %g",
                         cases[c].name, level, want->s.rows, want->s.cols,
                         want->s.half ? " bf16" : "", i, k, b, a, bound);
        }
    }
}

static const shape shapes[] = {{1, 1, 0},  {3, 15, 0},  {2, 16, 0},  {5, 17, 0},   {4, 48, 0},
                               {17, 6, 0}, {33, 96, 0}, {7, 129, 0}, {2, 4097, 0}, {67, 66, 0}};

static void each_case(void (*check)(size_t c, shape s)) {
    for (size_t c = 0; c < CASES; c++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (int half = 0; half < 2; half++) {
                shape s = shapes[i];
                s.half = half;
                check(c, s);
            }
}

static void check_levels(size_t c, shape s) {
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    for (int kind = 0; kind < 2; kind++) {
        arrays plain;
        begin(c, all[0], s, kind, &plain);
        cases[c].run(all[0], &plain);
        for (size_t level = 1; level < count; level++) {
            if (!bv_kernels_usable(all[level])) continue;
            arrays other;
            begin(c, all[level], s, kind, &other);
            cases[c].run(all[level], &other);
            check_bits(c, all[level]->level, &plain, &other);
            end(c, &other);
        }
        end(c, &plain);
    }
}

static void check_double(size_t c, shape s) {
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    arrays reference, plain;
    begin(c, bv_kernels_reference(), s, 0, &reference);
    cases[c].run(bv_kernels_reference(), &reference);
    begin(c, all[0], s, 0, &plain);
    cases[c].run(all[0], &plain);
    check_values(c, all[0]->level, &reference, &plain);
    end(c, &plain);
    end(c, &reference);
}

static void test_levels_agree(void **state) {
    (void)state;
    const unsigned saved = bv_float_enter();
    each_case(check_levels);
    bv_float_leave(saved);
}

static void test_double_agrees(void **state) {
    (void)state;
    const unsigned saved = bv_float_enter();
    each_case(check_double);
    bv_float_leave(saved);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels_agree),
                                       cmocka_unit_test(test_double_agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Muon's step beside its formula, written out in double: wide, square and tall matrices, with norms
 * over more than one chunk. Whole models against PyTorch: tests/model/test_golden.c. */
#include "support/check.h"

#include "base/random.h"
#include "nn/muon.h"
#include "nn/optimizer.h"
#include <math.h>

#define SIDE_MAX 130
#define COUNT_MAX (SIDE_MAX * SIDE_MAX)

typedef struct matrix {
    size_t rows, cols;
    double v[COUNT_MAX];
} matrix;

static double any(uint32_t what, size_t i) {
    const bv_random4 r = bv_random(3, BV_RANDOM_TEST, what, 0, (uint32_t)i, 0);
    return bv_uniform_f64(r.v[0], r.v[1]) - 0.5;
}

/* c = a b, or a times b transposed. */
static void multiply(const matrix *a, const matrix *b, bool transposed, matrix *c) {
    c->rows = a->rows;
    c->cols = transposed ? b->rows : b->cols;
    for (size_t i = 0; i < c->rows; i++)
        for (size_t j = 0; j < c->cols; j++) {
            double sum = 0;
            for (size_t k = 0; k < a->cols; k++)
                sum += a->v[i * a->cols + k] *
                       (transposed ? b->v[j * b->cols + k] : b->v[k * b->cols + j]);
            c->v[i * c->cols + j] = sum;
        }
}

/* X = aX + (bA + cA^2) X of A = X X^T, five times, after a division by the norm. */
static void define_orthogonal(matrix *x) {
    static matrix gram, square, next;
    double norm = 0;
    const size_t n = x->rows * x->cols;
    for (size_t i = 0; i < n; i++) norm += x->v[i] * x->v[i];
    for (size_t i = 0; i < n; i++) x->v[i] /= sqrt(norm) + 1e-7;
    for (int step = 0; step < 5; step++) {
        multiply(x, x, true, &gram);
        multiply(&gram, &gram, false, &square);
        for (size_t i = 0; i < x->rows * x->rows; i++)
            square.v[i] = -4.7750 * gram.v[i] + 2.0315 * square.v[i];
        multiply(&square, x, false, &next);
        for (size_t i = 0; i < n; i++) x->v[i] = 3.4445 * x->v[i] + next.v[i];
    }
}

static void check(size_t rows, size_t cols) {
    static matrix x, parameter, momentum, gradient, wanted;
    const size_t n = rows * cols;
    const double scale = rows > cols ? sqrt((double)rows / (double)cols) : 1;
    bv_muon muon = {.kernels = bv_kernels_reference(), .type = BV_F64};
    bv_muon_sizes sizes = {0};
    for (size_t i = 0; i < n; i++) {
        parameter.v[i] = any(0, i), momentum.v[i] = any(1, i), gradient.v[i] = any(2, i);
        const double g = 0.1 * 0.5 * gradient.v[i], m = 0.9 * momentum.v[i] + g;
        x.v[i] = g + 0.9 * m; /* Nesterov's */
    }
    x.rows = rows, x.cols = cols;
    define_orthogonal(&x);
    for (size_t i = 0; i < n; i++)
        wanted.v[i] = parameter.v[i] * (1 - 0.02 * 0.1) - 0.02 * scale * x.v[i];
    bv_muon_fit(&sizes, muon.kernels, 1, muon.type, rows, cols);
    assert_true(bv_muon_allocate(&muon, &sizes));
    bv_muon_apply(&muon, &(bv_muon_step){.rows = rows,
                                         .cols = cols,
                                         .parameter = parameter.v,
                                         .momentum = momentum.v,
                                         .gradient = gradient.v,
                                         .lr = 0.02,
                                         .beta = 0.9,
                                         .weight_decay = 0.1,
                                         .gradient_scale = 0.5});
    bv_muon_free(&muon);
    for (size_t i = 0; i < n; i++)
        if (!(fabs(parameter.v[i] - wanted.v[i]) < 1e-12))
            fail_msg("%zu x %zu: [%zu] is %.15g, not %.15g", rows, cols, i, parameter.v[i],
                     wanted.v[i]);
}

static void test_formula(void **state) {
    (void)state;
    check(5, 7);
    check(70, 70);
    check(40, 130);
    check(130, 40);
    check(1, 130);
}

/* Of a matrix of 6 x 10 and of 75 numbers beside it, which AdamW takes. */
static void test_cost(void **state) {
    (void)state;
    const bv_kernels *kernels;
    bv_graph *g;
    bv_weights *weights;
    bv_optimizer *o;
    assert_ok(bv_kernels_pick(&kernels));
    assert_ok(bv_graph_create(&g));
    bv_parameter_make(g, "matrix", 6, 10, BV_PARAMETER_MATRIX, BV_INIT_NORMAL, 1);
    bv_parameter_make(g, "table", 7, 10, BV_PARAMETER_EMBEDDING, BV_INIT_NORMAL, 1);
    bv_parameter_make(g, "vector", 0, 5, BV_PARAMETER_VECTOR, BV_INIT_NORMAL, 1);
    assert_ok(bv_weights_create(kernels, NULL, g, &weights));
    assert_ok(bv_optimizer_create(kernels, NULL, weights, BV_OPTIMIZER_MUON, BV_NUMERICS_F32, &o));
    const bv_cost cost = bv_optimizer_cost(o);
    /* Five times X X^T and the polynomial times X, of 6 x 6 x 10, and a square, of 6 x 6 x 6. */
    assert_true(cost.products == 5 * 2 * (2 * 6 * 6 * 10 + 6 * 6 * 6));
    /* Read: parameter, gradient and one moment, or two; written: all but the gradient. */
    assert_true(cost.bytes == 4 * (60 * 5 + 75 * 7));
    bv_optimizer_destroy(&o);
    bv_weights_destroy(&weights);
    bv_graph_destroy(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula), cmocka_unit_test(test_cost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

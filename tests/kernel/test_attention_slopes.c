/* Gradients of attention against finite differences, at the f64 level. */
#include "kernel/attention_problem.h"

static double loss(const problem *p) {
    problem forward = *p;
    forward.backward = false;
    outcome o = run(&forward, bv_kernels_reference(), false);
    double sum = 0;
    for (size_t i = 0; i < p->queries * p->heads * p->d; i++) sum += o.out[i] * p->dout[i];
    forget(&o);
    return sum;
}

/* Central differences over h = 2^-9 of values of size 1: the third derivative of the softmax leaves
 * about h^2, rounding 2^-50 / h. */
static void check_slope(const problem *p, float *x, const double *gradient, size_t count,
                        const char *what) {
    for (int i = 0; i < 12; i++) {
        const size_t at = random_size(0, count - 1);
        const float old = x[at];
        const float above = old + 0x1p-9f, below = old - 0x1p-9f;
        x[at] = above;
        const double high = loss(p);
        x[at] = below;
        const double low = loss(p);
        x[at] = old;
        const double slope = (high - low) / ((double)above - below);
        if (fabs(slope - gradient[at]) <= 8 * 0x1p-18) continue;
        describe(p, "f64");
        fail_msg("%s[%zu]: %.9g, the slope is %.9g", what, at, gradient[at], slope);
    }
}

static void test_gradients_are_slopes(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) {
        problem p = random_problem(false, true);
        p.spread = 1;
        p.d = random_size(1, 20);
        p.dropout = i % 2 ? 0.3 : 0;
        for (size_t s = 0; s < p.count; s++) p.rows[s] = random_size(1, 70);
        fill(&p);
        outcome o = run(&p, bv_kernels_reference(), false);
        check_slope(&p, p.q, o.dq, p.queries * p.heads * p.d, "dq");
        check_slope(&p, p.k, o.dk, p.keys * p.kv_heads * p.d, "dk");
        check_slope(&p, p.v, o.dv, p.keys * p.kv_heads * p.d, "dv");
        forget(&o);
        clear(&p);
    }
}

int main(void) {
    random_begin(SEED, 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_are_slopes),
    };
    const unsigned saved = bv_float_enter();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bv_float_leave(saved);
    return failed;
}

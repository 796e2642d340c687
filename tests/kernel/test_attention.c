/*
 * Attention against softmax written out in double, with bounds from the lengths of the sums, and
 * the bits of the levels against each other.
 */
#include "kernel/attention_problem.h"

/* ---- the reference ---- */

/* Values in double and what a kernel may be off by. Of a matrix element: e. */
typedef struct reference {
    outcome value, bound;
    double eps, half; /* half a unit of the accumulators, and of bf16 (0 without) */
} reference;

/* What one query makes of each key: p before dropout, its relative error, and the factor of
 * dropout, 0 or 1 / (1 - dropout). */
typedef struct weights {
    double *p, *error, *factor;
} weights;

static double *zeros(size_t count) {
    double *x = test_malloc(count * sizeof *x);
    memset(x, 0, count * sizeof *x);
    return x;
}

static outcome outcome_make(const problem *p) {
    const size_t q = p->queries * p->heads, k = p->keys * p->kv_heads * p->d;
    return (outcome){zeros(q * p->d), zeros(q), zeros(q * p->d), zeros(k), zeros(k)};
}

static double dot(const float *a, const float *b, size_t n, double *size) {
    double sum = 0;
    *size = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)a[i] * b[i];
        *size += fabs((double)a[i] * b[i]);
    }
    return sum;
}

/* Scores are chains of d steps, lse and the rescalings add an exp (4 eps) and an argument (twice
 * the largest score) a tile. */
static void softmax_of(const problem *p, const reference *ref, size_t s, size_t r, size_t head,
                       weights *w, double *lse, double *lse_error) {
    const size_t cols = p->heads * p->d, kv_cols = p->kv_heads * p->d;
    const size_t position = p->position[s] + r, kv = head / (p->heads / p->kv_heads);
    const float *q = p->q + (p->row[s] + r) * cols + head * p->d;
    double largest = -INFINITY, sum = 0, size_max = 0, worst = 0;
    for (size_t j = 0; j <= position; j++) {
        double size;
        w->p[j] = dot(q, p->k + (p->key[s] + j) * kv_cols + kv * p->d, p->d, &size) * scale_of(p);
        w->error[j] = (double)(p->d + 3) * ref->eps * size * scale_of(p);
        if (!visible(p, s, r, j)) continue;
        largest = fmax(largest, w->p[j]);
        size_max = fmax(size_max, fabs(w->p[j]));
        worst = fmax(worst, w->error[j]);
    }
    for (size_t j = 0; j <= position; j++) {
        w->p[j] = visible(p, s, r, j) ? exp(w->p[j] - largest) : 0;
        sum += w->p[j];
    }
    const double tiles = (double)(position / 64 + 2);
    const double common = ref->eps * ((double)position + tiles * (8 + 4 * size_max));
    for (size_t j = 0; j <= position; j++) {
        w->p[j] /= sum;
        w->error[j] += worst + common;
    }
    *lse = largest + log(sum);
    *lse_error = worst + common + 2 * ref->eps * fabs(*lse);
}

static void factors_of(const problem *p, size_t s, size_t r, size_t head, double *factor) {
    const size_t position = p->position[s] + r;
    for (size_t key = 0; key <= position; key++) {
        factor[key] = 1;
        if (p->dropout == 0) continue;
        const bv_random4 word =
            bv_random(7, BV_RANDOM_ATTENTION_DROPOUT, 3, 11, (uint32_t)((s + 5) * p->heads + head),
                      (uint32_t)(position << 16 | key / 4));
        const bool kept = bv_uniform_f32(word.v[key % 4]) >= (float)p->dropout;
        factor[key] = kept ? 1 / (1 - p->dropout) : 0;
    }
}

static void reference_out(const problem *p, reference *ref, size_t s, size_t r, size_t head,
                          const weights *w) {
    const size_t kv_cols = p->kv_heads * p->d, kv = head / (p->heads / p->kv_heads);
    const size_t position = p->position[s] + r;
    const size_t at = (p->row[s] + r) * p->heads * p->d + head * p->d;
    for (size_t e = 0; e < p->d; e++) {
        double sum = 0, bound = 0, size = 0;
        for (size_t j = 0; j <= position; j++) {
            const double kept = w->p[j] * w->factor[j];
            if (kept == 0) continue;
            const double part = kept * p->v[(p->key[s] + j) * kv_cols + kv * p->d + e];
            sum += part;
            size += fabs(part);
            bound += fabs(part) * (w->error[j] + ref->half);
        }
        bound += size * ref->eps * (double)(position + position / 64 * 2 + 8);
        ref->value.out[at + e] = sum;
        ref->bound.out[at + e] = bound + (fabs(sum) + bound) * ref->half + 1e-37;
    }
}

/* dS of one query times scale, and its error; then what it and P add to the gradients. */
static void reference_gradient(const problem *p, reference *ref, size_t s, size_t r, size_t head,
                               const weights *w) {
    const size_t kv_cols = p->kv_heads * p->d, kv = head / (p->heads / p->kv_heads);
    const size_t position = p->position[s] + r, row = p->row[s] + r;
    const size_t at = row * p->heads * p->d + head * p->d;
    const double steps = (double)(position + p->queries * (p->heads / p->kv_heads) + 4) * ref->eps;
    double d = 0, d_error = 0;
    for (size_t e = 0; e < p->d; e++) {
        const double g = p->dout[at + e];
        d += g * ref->value.out[at + e];
        d_error += fabs(g) * (ref->bound.out[at + e] +
                              (double)(p->d + 4) * ref->eps * fabs(ref->value.out[at + e]));
    }
    for (size_t j = 0; j <= position; j++) {
        if (w->p[j] == 0) continue;
        const size_t key = (p->key[s] + j) * kv_cols + kv * p->d;
        const double factor = w->factor[j], weight = w->p[j];
        double size;
        const double dp = dot(p->dout + at, p->v + key, p->d, &size) * factor;
        const double dp_error = (double)(p->d + 3) * ref->eps * size * factor;
        const double ds = weight * (dp - d) * scale_of(p);
        const double ds_error =
            fabs(ds) * (w->error[j] + ref->half + 6 * ref->eps) +
            weight * scale_of(p) * (dp_error + d_error + ref->eps * (fabs(dp) + fabs(d)));
        for (size_t e = 0; e < p->d; e++) {
            const double q = p->q[at + e], k = p->k[key + e], g = p->dout[at + e];
            ref->value.dq[at + e] += ds * k;
            ref->bound.dq[at + e] += fabs(k) * (ds_error + steps * fabs(ds));
            ref->value.dk[key + e] += ds * q;
            ref->bound.dk[key + e] += fabs(q) * (ds_error + steps * fabs(ds));
            ref->value.dv[key + e] += weight * factor * g;
            ref->bound.dv[key + e] +=
                fabs(g) * weight * factor * (w->error[j] + ref->half + 2 * ref->eps + steps);
        }
    }
}

static void finish_bounds(const reference *ref, const double *value, double *bound, size_t count) {
    for (size_t i = 0; i < count; i++)
        bound[i] = 1.01 * (bound[i] + (fabs(value[i]) + bound[i]) * ref->half) + 1e-36;
}

static reference reference_make(const problem *p, bv_dtype real) {
    reference ref = {.value = outcome_make(p),
                     .bound = outcome_make(p),
                     .eps = real == BV_F64 ? 0x1p-51 : 0x1p-24 + 0x1p-51,
                     .half = p->half ? 0x1p-8 : 0};
    weights w = {zeros(p->keys), zeros(p->keys), zeros(p->keys)};
    for (size_t s = 0; s < p->count; s++)
        for (size_t r = 0; r < p->rows[s]; r++)
            for (size_t head = 0; head < p->heads; head++) {
                const size_t at = (p->row[s] + r) * p->heads + head;
                softmax_of(p, &ref, s, r, head, &w, &ref.value.lse[at], &ref.bound.lse[at]);
                factors_of(p, s, r, head, w.factor);
                reference_out(p, &ref, s, r, head, &w);
                if (p->backward) reference_gradient(p, &ref, s, r, head, &w);
            }
    finish_bounds(&ref, ref.value.dq, ref.bound.dq, p->queries * p->heads * p->d);
    finish_bounds(&ref, ref.value.dk, ref.bound.dk, p->keys * p->kv_heads * p->d);
    finish_bounds(&ref, ref.value.dv, ref.bound.dv, p->keys * p->kv_heads * p->d);
    test_free(w.p);
    test_free(w.error);
    test_free(w.factor);
    return ref;
}

static void reference_free(reference *ref) {
    forget(&ref->value);
    forget(&ref->bound);
}

/* ---- comparing ---- */

static void compare_near(const problem *p, const char *level, const char *what, const double *x,
                         const double *y, const double *bound, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (fabs(x[i] - y[i]) <= bound[i]) continue;
        describe(p, level);
        fail_msg("%s[%zu]: %.9g, expected %.9g +- %.3g", what, i, x[i], y[i], bound[i]);
    }
}

static void compare_reference(const problem *p, const char *level, const outcome *o,
                              const reference *ref) {
    const size_t q = p->queries * p->heads, k = p->keys * p->kv_heads * p->d;
    compare_near(p, level, "lse", o->lse, ref->value.lse, ref->bound.lse, q);
    compare_near(p, level, "out", o->out, ref->value.out, ref->bound.out, q * p->d);
    if (p->backward) {
        compare_near(p, level, "dq", o->dq, ref->value.dq, ref->bound.dq, q * p->d);
        compare_near(p, level, "dk", o->dk, ref->value.dk, ref->bound.dk, k);
        compare_near(p, level, "dv", o->dv, ref->value.dv, ref->bound.dv, k);
    }
}
/* ---- tests ---- */

static void check_f64(const problem *p) {
    reference ref = reference_make(p, BV_F64);
    outcome o = run(p, bv_kernels_reference(), false);
    compare_reference(p, "f64", &o, &ref);
    forget(&o);
    reference_free(&ref);
}

/* Every level against double and against the first one, plain C. */
static void check(problem *p) {
    fill(p);
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    reference ref = reference_make(p, BV_F32);
    outcome first = run(p, all[0], false);
    compare_reference(p, all[0]->level, &first, &ref);
    for (size_t i = 1; i < count; i++) {
        if (!bv_kernels_usable(all[i])) continue;
        outcome o = run(p, all[i], false);
        compare_reference(p, all[i]->level, &o, &ref);
        compare_outcomes(p, all[i]->level, &o, &first, NULL, NULL);
        forget(&o);
    }
    forget(&first);
    reference_free(&ref);
    if (!p->half) check_f64(p);
    clear(p);
}

static void test_forward(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        problem p = random_problem(i % 3 == 1, false);
        check(&p);
    }
}

static void test_backward(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++) {
        problem p = random_problem(i % 3 == 1, true);
        check(&p);
    }
}

static void test_largest_head(void **state) {
    (void)state;
    for (int half = 0; half < 2; half++) {
        problem p = {.heads = 2,
                     .kv_heads = 1,
                     .d = 256,
                     .count = 1,
                     .rows = {67},
                     .half = half,
                     .backward = true,
                     .spread = 1};
        check(&p);
        problem q = {.heads = 70,
                     .kv_heads = 1,
                     .d = 3,
                     .count = 1,
                     .rows = {1},
                     .position = {70},
                     .half = half,
                     .spread = 1};
        check(&q);
    }
}

int main(void) {
    random_begin(SEED, 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_largest_head),
    };
    const unsigned saved = bv_float_enter();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bv_float_leave(saved);
    return failed;
}

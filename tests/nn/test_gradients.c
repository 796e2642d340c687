/* Gradients over grains: their sum in the order of the tree, for any number of grains, with uses of
 * a shared parameter; norms of parameters of several chunks; what it moves. */
#include "support/check.h"

#include "base/random.h"
#include "nn/gradients.h"
#include <math.h>

#define PARAMETERS 3
#define GRAINS_MAX 9

/* Of each parameter: fewer elements than a chunk of the norm's sums, and more. */
static const size_t rows[PARAMETERS] = {0, 101, 40}, cols[PARAMETERS] = {5, 99, 230};
static const size_t uses[PARAMETERS] = {1, 3, 1};

typedef struct world {
    const bv_kernels *kernels;
    bv_pool *pool;
    bv_graph *graph;
    bv_gradients *gradients;
} world;

static void create(world *w, int threads, size_t grains) {
    assert_ok(bv_kernels_pick(&w->kernels));
    assert_ok(bv_pool_create(threads, &w->pool));
    assert_ok(bv_graph_create(&w->graph));
    for (size_t i = 0; i < PARAMETERS; i++)
        bv_parameter_make(w->graph, "p", rows[i], cols[i], BV_PARAMETER_MATRIX, BV_INIT_ZERO, 0)
            ->parameter->uses = uses[i];
    assert_ok(bv_gradients_create(w->kernels, w->pool, w->graph, grains, &w->gradients));
}

static void destroy(world *w) {
    bv_gradients_destroy(&w->gradients);
    bv_graph_destroy(&w->graph);
    bv_pool_destroy(&w->pool);
}

static size_t elements_of(size_t parameter) {
    return cols[parameter] * (rows[parameter] ? rows[parameter] : 1);
}

/* Nothing reaches this use in every second grain. */
static bool reached(size_t parameter, size_t use, size_t grain) {
    return parameter != 1 || use != 2 || grain % 2 == 0;
}

/* What a use of a parameter gets in a grain: sums of such numbers are rounded. */
static float part(size_t parameter, size_t use, size_t grain, size_t i) {
    const bv_random4 r = bv_random(7, BV_RANDOM_TEST, (uint32_t)parameter, (uint32_t)use,
                                   (uint32_t)grain, (uint32_t)i);
    if (!reached(parameter, use, grain)) return 0;
    return (float)(bv_uniform_f64(r.v[0], r.v[1]) - 0.3);
}

/* The sum of `count` grains: of the largest power of two that is less, and of the others. */
static float tree(size_t parameter, size_t i, size_t first, size_t count) {
    if (count == 1) {
        float sum = part(parameter, 0, first, i);
        for (size_t use = 1; use < uses[parameter]; use++) sum += part(parameter, use, first, i);
        return sum;
    }
    size_t half = 1;
    while (2 * half < count) half *= 2;
    return tree(parameter, i, first, half) + tree(parameter, i, first + half, count - half);
}

static void run_grain(world *w, size_t grain) {
    bv_gradients_begin_grain(w->gradients);
    bv_accumulator *const *accumulators = bv_gradients_accumulators(w->gradients);
    for (size_t p = 0; p < PARAMETERS; p++)
        for (size_t use = 0; use < uses[p]; use++) {
            assert_false(accumulators[p][use].begun);
            if (!reached(p, use, grain)) continue;
            float *values = accumulators[p][use].data;
            for (size_t i = 0; i < elements_of(p); i++) values[i] = part(p, use, grain, i);
            accumulators[p][use].begun = true;
        }
    bv_gradients_end_grain(w->gradients);
}

static void check_norms(world *w) {
    double total = 0;
    const double norm = bv_gradients_norm(w->gradients);
    for (size_t p = 0; p < PARAMETERS; p++) {
        const float *values = bv_gradients_values(w->gradients, p);
        double sum = 0;
        for (size_t i = 0; i < elements_of(p); i++) sum += (double)values[i] * (double)values[i];
        assert_true(fabs(bv_gradients_square_sum(w->gradients, p) - sum) < 1e-12 * sum);
        total += sum;
    }
    assert_true(fabs(norm - sqrt(total)) < 1e-12 * norm);
}

/* As many grains as were announced, or fewer; step after step with the same memory. */
static void test_trees(void **state) {
    (void)state;
    for (size_t most = 1; most <= GRAINS_MAX; most++) {
        world w;
        create(&w, 1 + (int)most % 3, most);
        for (size_t grains = most; grains >= 1 && grains + 3 > most; grains--) {
            bv_gradients_begin(w.gradients);
            for (size_t i = 0; i < grains; i++) run_grain(&w, i);
            bv_gradients_end(w.gradients);
            for (size_t p = 0; p < PARAMETERS; p++) {
                const float *values = bv_gradients_values(w.gradients, p);
                for (size_t i = 0; i < elements_of(p); i++)
                    if (values[i] != tree(p, i, 0, grains))
                        fail_msg("%zu of %zu grains: parameter %zu[%zu]", grains, most, p, i);
            }
            check_norms(&w);
        }
        destroy(&w);
    }
}

/* Of two grains: what one of them does not reach is cleared, uses are added twice (reading two,
 * writing one), the first sum is copied away and added to the second. */
static void test_moved(void **state) {
    (void)state;
    world w;
    const size_t cleared = elements_of(1) * sizeof(float);
    size_t one = 0, shared = 0;
    create(&w, 2, 2);
    for (size_t p = 0; p < PARAMETERS; p++) {
        one += elements_of(p) * sizeof(float);
        shared += (uses[p] - 1) * elements_of(p) * sizeof(float);
    }
    bv_gradients_begin(w.gradients);
    for (size_t i = 0; i < 2; i++) run_grain(&w, i);
    bv_gradients_end(w.gradients);
    assert_int_equal(bv_gradients_moved(w.gradients), cleared + 2 * 3 * shared + 2 * one + 3 * one);
    assert_int_equal(bv_gradients_moved(w.gradients), 0);
    destroy(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trees), cmocka_unit_test(test_moved)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

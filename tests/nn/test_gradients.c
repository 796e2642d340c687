/* Gradients over grains: their sum in the order of the tree, for any number of grains, with uses of
 * a shared parameter, one of which names rows; norms of parameters of several chunks; what it
 * moves. */
#include "support/check.h"

#include "base/random.h"
#include "nn/gradients.h"
#include <math.h>

#define PARAMETERS 3
#define GRAINS_MAX 9
#define GRAIN_ROWS 20 /* that a grain can name */

/* Of each parameter: fewer elements than a chunk of the norm's sums, and more. */
static const size_t rows[PARAMETERS] = {0, 101, 40}, cols[PARAMETERS] = {5, 99, 230};
static const size_t uses[PARAMETERS] = {1, 4, 1};
#define SHARED 1
#define NAMES 1 /* the use of the shared one that names rows */

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
    w->graph->parameters[SHARED]->rows_uses = 1u << NAMES;
    assert_ok(
        bv_gradients_create(w->kernels, w->pool, w->graph, grains, GRAIN_ROWS, &w->gradients));
    assert_int_equal(bv_gradients_bytes(w->gradients),
                     bv_gradients_need(w->kernels, w->graph, grains, GRAIN_ROWS));
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
    return parameter != SHARED || use != 2 || grain % 2 == 0;
}

/* Of row ids in descending order: others in each grain, in the fourth none, some of them twice. */
static size_t named(size_t grain, uint32_t ids[GRAIN_ROWS]) {
    if (grain % 4 == 3) return 0;
    for (uint32_t i = 0; i < GRAIN_ROWS; i++)
        ids[i] = (uint32_t)(rows[SHARED] - 1 - grain) - i / 2 * 3;
    return GRAIN_ROWS;
}

static size_t times_named(size_t grain, size_t row) {
    uint32_t ids[GRAIN_ROWS];
    size_t times = 0;
    for (size_t n = named(grain, ids); n-- > 0;) times += ids[n] == row;
    return times;
}

/* What a use of a parameter gets in a grain: sums of such numbers are rounded. */
static float part(size_t parameter, size_t use, size_t grain, size_t i) {
    const bv_random4 r = bv_random(7, BV_RANDOM_TEST, (uint32_t)parameter, (uint32_t)use,
                                   (uint32_t)grain, (uint32_t)i);
    if (!reached(parameter, use, grain)) return 0;
    const float one = (float)(bv_uniform_f64(r.v[0], r.v[1]) - 0.3);
    if (parameter != SHARED || use != NAMES) return one;
    return one * (float)times_named(grain, i / cols[SHARED]); /* twice is exact */
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

/* Adds to the rows that the grain names, a few at once. */
static void add_named(world *w, size_t grain, size_t at_once) {
    const bv_run run = {.kernels = w->kernels,
                        .pool = w->pool,
                        .gradients = bv_gradients_accumulators(w->gradients)};
    const bv_tensor table = {.parameter = w->graph->parameters[SHARED]};
    uint32_t ids[GRAIN_ROWS], room[GRAIN_ROWS];
    const size_t count = named(grain, ids);
    for (size_t first = 0; first < count; first += at_once) {
        const size_t n = count - first < at_once ? count - first : at_once;
        const uint32_t *places;
        float *sums = bv_gradient_rows(&run, &table, NAMES, ids + first, n, room, &places);
        for (size_t r = 0; r < n; r++)
            for (size_t i = 0; i < cols[SHARED]; i++) {
                const size_t at = ids[first + r] * cols[SHARED] + i;
                sums[places[r] * cols[SHARED] + i] +=
                    part(SHARED, NAMES, grain, at) / (float)times_named(grain, ids[first + r]);
            }
    }
}

static void run_grain(world *w, size_t grain) {
    bv_gradients_begin_grain(w->gradients);
    bv_accumulator *const *accumulators = bv_gradients_accumulators(w->gradients);
    add_named(w, grain, 1 + grain * 5);
    for (size_t p = 0; p < PARAMETERS; p++)
        for (size_t use = 0; use < uses[p]; use++) {
            if (p == SHARED && use == NAMES) continue;
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
 * writing one), of the one that names rows only these, the first sum is copied away and added to
 * the second. */
static void test_moved(void **state) {
    (void)state;
    world w;
    const size_t cleared = elements_of(1) * sizeof(float);
    size_t one = 0, shared = 0, names = 0;
    create(&w, 2, 2);
    for (size_t p = 0; p < PARAMETERS; p++) {
        one += elements_of(p) * sizeof(float);
        if (p == SHARED) shared += (uses[p] - 2) * elements_of(p) * sizeof(float);
    }
    for (size_t row = 0; row < rows[SHARED]; row++)
        names += (times_named(0, row) > 0) + (times_named(1, row) > 0);
    names *= cols[SHARED] * sizeof(float);
    bv_gradients_begin(w.gradients);
    for (size_t i = 0; i < 2; i++) run_grain(&w, i);
    bv_gradients_end(w.gradients);
    assert_int_equal(bv_gradients_moved(w.gradients),
                     cleared + 2 * 3 * shared + 3 * names + 2 * one + 3 * one);
    assert_int_equal(bv_gradients_moved(w.gradients), 0);
    destroy(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trees), cmocka_unit_test(test_moved)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

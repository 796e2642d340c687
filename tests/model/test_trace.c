/* A trace of training: every step of the plan is counted with its cost, threads have rows of their
 * own, nothing is allocated inside a step, and no bit of the training changes. */
#include "base/json.h"
#include "base/memory.h"
#include "model/gpt.h"
#include "support/check.h"
#include "support/faults.h"
#include "support/tiny_gpt.h"
#include "tensor/trace.h"

typedef struct traced {
    bv_pool *pool;
    bv_trace *trace;
    bv_gpt_trainer *trainer;
    bv_gpt_config config;
    const bv_kernels *kernels;
    size_t micro;
} traced;

static bv_status begin(traced *t, size_t events) {
    assert_ok(bv_gpt_config_check(&t->config));
    assert_ok(bv_kernels_pick(&t->kernels));
    if (events != SIZE_MAX) BV_TRY(bv_trace_create(t->pool, events, &t->trace));
    const bv_gpt_trainer_options options = {.config = t->config,
                                            .numerics = BV_NUMERICS_F32,
                                            .kernels = t->kernels,
                                            .pool = t->pool,
                                            .batch_max = TINY_BATCH,
                                            .micro_batch = t->micro,
                                            .grains = 1,
                                            .seed = 3,
                                            .trace = t->trace};
    return bv_gpt_trainer_create(&options, &t->trainer);
}

static void end(traced *t) {
    bv_gpt_trainer_destroy(&t->trainer);
    bv_trace_destroy(&t->trace);
}

static double train(traced *t, uint32_t steps) {
    uint32_t inputs[TINY_ROWS], targets[TINY_ROWS];
    double loss = 0, norm;
    for (uint32_t step = 0; step < steps; step++) {
        tiny_batch(step, inputs, targets);
        bv_no_alloc_begin("a traced step");
        tiny_gradient(t->trainer, step, t->micro, 1, inputs, targets, &loss, &norm);
        const bv_optimizer_step o = {.lr = 0.01,
                                     .beta1 = 0.9,
                                     .beta2 = 0.95,
                                     .eps = 1e-8,
                                     .gradient_scale = 1,
                                     .step = step + 1};
        bv_gpt_trainer_apply(t->trainer, &o);
        bv_no_alloc_end();
    }
    return loss;
}

static const bv_span *span_named(const bv_trace *trace, const char *name) {
    size_t count;
    const bv_span *spans = bv_trace_spans(trace, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(spans[i].name, name)) return &spans[i];
    fail_msg("no span is named %s", name);
    return NULL;
}

static void test_totals(void **state) {
    (void)state;
    traced t = {.config = tiny_gpt2(), .micro = 2};
    assert_ok(bv_pool_create(3, &t.pool));
    assert_ok(begin(&t, 10000));
    train(&t, 1);
    bv_trace_reset(t.trace);
    train(&t, 2);
    size_t count;
    double products = 0;
    const bv_span *spans = bv_trace_spans(t.trace, &count);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].group) continue;
        assert_true(spans[i].runs > 0 && spans[i].ns > 0);
        /* Two micro-batches a step; phases beside the plan run once or twice. */
        if (!spans[i].phase) assert_int_equal(spans[i].runs, 4);
        products += spans[i].cost.products;
    }
    /* A query sees half of the keys and itself, which the estimate of a whole model leaves out; the
     * gradient of attention has five products for the two of attention. */
    const double estimate = 3 * bv_gpt_forward_flops(&t.config) * 2 * TINY_ROWS;
    assert_true(products > estimate && products < 1.1 * estimate);
    const bv_span *linear = span_named(t.trace, "linear h.1.mlp.c_fc.weight");
    assert_string_equal(linear->kind, "linear h.*.mlp.c_fc.weight");
    assert_true(linear->layer == 1 && !linear->backward && linear->line > 0);
    assert_true(linear->cost.products == 4 * 2.0 * (TINY_ROWS / 2) * 12 * 48);
    /* Weights, input and output in f32, and the bias. */
    assert_true(linear->cost.bytes == 4 * 4.0 * (12 * 48 + 48 + TINY_ROWS / 2 * (12 + 48)));
    assert_true(span_named(t.trace, "linear_weight h.0.mlp.c_fc.weight")->backward);
    assert_int_equal(span_named(t.trace, "optimizer")->runs, 2);
    const double parameters = (double)bv_gpt_parameter_count(&t.config);
    const bv_weights *weights = bv_gpt_trainer_weights(t.trainer);
    size_t packed = 0;
    for (size_t i = 0; i < bv_weights_count(weights); i++)
        packed += bv_weights_packed_bytes(weights, i);
    assert_true(packed > 0);
    assert_true(span_named(t.trace, "optimizer")->cost.bytes ==
                2 * (28 * parameters + (double)packed));
    assert_true(span_named(t.trace, "pack weights")->cost.bytes == 0); /* the optimizer did */
    end(&t);
    bv_pool_destroy(&t.pool);
}

/* Reads the trace that was written: rows of 3 threads, two whole steps that hold all else. */
static void check_file(const char *path) {
    json_t *root;
    assert_ok(bv_json_load(path, &root));
    double begin[2], end[2];
    size_t steps = 0, index, rows[3] = {0}, threads = 0;
    json_t *event;
    json_array_foreach(json_object_get(root, "traceEvents"), index, event) {
        const char *name = json_string_value(json_object_get(event, "name"));
        const char *kind = json_string_value(json_object_get(event, "ph"));
        if (!strcmp(name, "thread_name")) threads++;
        if (strcmp(kind, "X") != 0) continue;
        const double at = json_number_value(json_object_get(event, "ts"));
        const double duration = json_number_value(json_object_get(event, "dur"));
        assert_true(at >= 0 && duration >= 0);
        const json_int_t tid = json_integer_value(json_object_get(event, "tid"));
        assert_true(tid >= 0 && tid < 3);
        rows[tid]++;
        if (strcmp(name, "step") != 0) continue;
        assert_true(steps < 2);
        begin[steps] = at;
        end[steps++] = at + duration;
    }
    assert_int_equal(steps, 2);
    assert_int_equal(threads, 3);
    assert_true(begin[1] >= end[0]);
    assert_true(rows[0] > 100 && rows[1] > 50 && rows[1] == rows[2]);
    json_decref(root);
}

static void test_file(void **state) {
    (void)state;
    char *folder = make_folder();
    const char *path = path_in(folder, "trace.json");
    traced t = {.config = tiny_modern(), .micro = TINY_BATCH};
    assert_ok(bv_pool_create(3, &t.pool));
    assert_ok(begin(&t, 10000));
    train(&t, 2);
    size_t steps;
    assert_int_equal(bv_trace_dropped(t.trace, &steps), 0);
    assert_int_equal(steps, 2);
    assert_ok(bv_trace_write(t.trace, path));
    check_file(path);
    assert_fails(bv_trace_write(t.trace, "/nowhere/trace.json"), BV_CODE_IO, "/nowhere");
    end(&t);

    /* A small room keeps the beginning. */
    assert_ok(begin(&t, 20));
    train(&t, 2);
    assert_true(bv_trace_dropped(t.trace, &steps) > 0);
    assert_int_equal(steps, 0);
    assert_ok(bv_trace_write(t.trace, path));
    end(&t);
    bv_pool_destroy(&t.pool);
    remove_folder(folder);
}

static void test_same_bits(void **state) {
    (void)state;
    for (int threads = 1; threads < 3; threads++) {
        traced with = {.config = tiny_modern(), .micro = 2}, without = with;
        assert_ok(bv_pool_create(threads, &with.pool));
        without.pool = with.pool;
        assert_ok(begin(&with, 0));
        const double loss = train(&with, 3);
        end(&with);
        assert_ok(begin(&without, SIZE_MAX));
        assert_true(train(&without, 3) == loss);
        end(&without);
        bv_pool_destroy(&with.pool);
    }
}

/* Each allocation of a traced trainer fails once: an error, and nothing leaks (sanitizers). */
static void test_without_memory(void **state) {
    (void)state;
    traced t = {.config = tiny_gpt2(), .micro = 2};
    assert_ok(bv_pool_create(2, &t.pool));
    for (int n = 0;; n++) {
        faults_allocation(n);
        bv_error *error = begin(&t, 10);
        end(&t);
        const bool struck = faults_off();
        if (!struck) assert_ok(error);
        assert_int_equal(bv_error_code(error), struck ? BV_CODE_MEMORY : BV_CODE_OK);
        bv_error_free(&error);
        if (!struck) break;
    }
    bv_pool_destroy(&t.pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_totals),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

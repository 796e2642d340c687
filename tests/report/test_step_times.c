/* The table of a traced run: shares of the limit, order by what is lost, groups over layers. */
#include "report/step_times.h"
#include "support/check.h"
#include "tensor/graph.h"

typedef struct fixture {
    bv_graph *graph;
    bv_trace *trace;
    size_t linear[2], norm, packing; /* spans */
} fixture;

static bv_tensor *parameter(bv_graph *g, const char *name, size_t rows) {
    return bv_parameter_make(g, name, rows, 4, BV_PARAMETER_MATRIX, BV_INIT_ZERO, 0);
}

static void make(fixture *f) {
    assert_ok(bv_graph_create(&f->graph));
    bv_tensor *x = bv_input(f->graph, "x", BV_ROLE_OPERAND, (bv_dim){1, BV_FREE_ROWS}, 4);
    bv_tensor *y = bv_linear(f->graph, x, parameter(f->graph, "h.0.fc.weight", 8), NULL);
    bv_tensor *z = bv_linear(f->graph, x, parameter(f->graph, "h.10.fc.weight", 8), NULL);
    bv_tensor *n = bv_norm(f->graph, x, parameter(f->graph, "ln2.weight", 0), NULL, true, 1e-5);
    assert_ok(bv_graph_error(f->graph));
    assert_ok(bv_trace_create(NULL, 0, &f->trace));
    assert_ok(bv_trace_define_step(f->trace, y, &f->linear[0]));
    assert_ok(bv_trace_define_step(f->trace, z, &f->linear[1]));
    assert_ok(bv_trace_define_step(f->trace, n, &f->norm));
    assert_ok(bv_trace_define_phase(f->trace, "pack weights", &f->packing));
}

static void pass(bv_trace *trace, size_t id, bv_cost cost) {
    bv_trace_enter(trace, id);
    usleep(200);
    bv_trace_leave(trace, cost);
}

static void test_table(void **state) {
    (void)state;
    fixture f;
    make(&f);
    for (int step = 0; step < 2; step++) {
        pass(f.trace, f.linear[0], (bv_cost){.products = 2e6, .flops = 1e3, .bytes = 10});
        pass(f.trace, f.linear[1], (bv_cost){.products = 2e6, .flops = 1e3, .bytes = 10});
        pass(f.trace, f.norm, (bv_cost){.flops = 10, .bytes = 1e3});
    }
    /* 1 µs of products at bf16 and 1 ns of other FLOPs; 100 ns for 1000 bytes. */
    const bv_limits limits = {.f32_gflops = 1000, .bf16_gflops = 2000, .read_gbps = 10};
    bv_step_times t;
    assert_ok(bv_step_times_make(f.trace, &limits, true, 2, &t));
    assert_int_equal(t.step_count, 3); /* packing did not run */
    assert_int_equal(t.group_count, 2);
    for (size_t i = 1; i < 3; i++)
        assert_true(t.steps[i - 1].lost_seconds >= t.steps[i].lost_seconds);
    assert_true(t.groups[0].lost_seconds >= t.groups[1].lost_seconds);
    const bool linear_first = t.groups[0].count == 2; /* sleeping takes as long as it likes */
    const bv_step_time *g = &t.groups[!linear_first], *n = &t.groups[linear_first];
    assert_string_equal(g->name, "linear h.*.fc.weight");
    assert_string_equal(g->direction, "forward");
    assert_int_equal(g->count, 2);
    assert_true(g->flops == 4002000 && g->bytes == 20);
    assert_float_equal(1e9 * g->limit_seconds, 2002, 1e-6);
    assert_string_equal(bv_step_time_bound(g), "compute");
    assert_string_equal(n->name, "norm ln2.weight"); /* digits inside a word are no layer */
    assert_float_equal(1e9 * n->limit_seconds, 100, 1e-6);
    assert_string_equal(bv_step_time_bound(n), "memory");
    assert_true(g->seconds >= 400e-6);
    assert_float_equal(g->lost_seconds, g->seconds - g->limit_seconds, 1e-12);
    assert_float_equal(t.seconds, g->seconds + n->seconds, 1e-12);

    json_t *row = bv_step_time_json(&t.steps[0]);
    assert_true(json_is_object(row) && json_is_string(json_object_get(row, "name")));
    json_decref(row);
    bv_buffer line = {0};
    assert_ok(bv_step_time_line(g, t.seconds, &line));
    assert_non_null(strstr(line.data, "   2  linear h.*.fc.weight"));
    bv_buffer_free(&line);
    bv_step_times_free(&t);
    bv_trace_destroy(&f.trace);
    bv_graph_destroy(&f.graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

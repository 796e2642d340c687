/* What does not fit is refused with both shapes, and with the line of the model that asked. */
#include "support/check.h"
#include "tensor/op.h"

/* The graph's error, which must have the code USAGE, `part`, and the line that built the op. */
static void refused(bv_graph **g, const char *op, int line, const char *part) {
    char where[200];
    bv_error *error = bv_graph_error(*g);
    snprintf(where, sizeof where, "while building \"%s\" at %s:%d", op, __FILE__, line);
    assert_non_null(strstr(bv_error_text(error), where));
    assert_fails(error, BV_CODE_USAGE, part);
    bv_graph_destroy(g);
}

static bv_tensor *input(bv_graph *g, const char *name, bv_free_size rows, size_t cols) {
    return bv_input(g, name, BV_ROLE_STREAM, (bv_dim){1, rows}, cols);
}

static bv_tensor *matrix(bv_graph *g, size_t rows, size_t cols) {
    return bv_parameter_make(g, "w", rows, cols, BV_PARAMETER_MATRIX, BV_INIT_NORMAL, 1);
}

static void test_shapes(void **state) {
    (void)state;
    bv_graph *g;
    assert_ok(bv_graph_create(&g));
    bv_linear(g, input(g, "x", BV_FREE_ROWS, 5), matrix(g, 3, 4), NULL);
    refused(&g, "linear", __LINE__ - 1, "\"w\" is [3, 4], the rows of \"x\" have 5 elements");
    assert_ok(bv_graph_create(&g));
    bv_add(g, input(g, "a", BV_FREE_ROWS, 5), input(g, "b", BV_FREE_ROWS, 6));
    refused(&g, "add", __LINE__ - 1, "\"a\" has 5 columns, \"b\" has 6");
    assert_ok(bv_graph_create(&g));
    bv_add(g, input(g, "a", BV_FREE_ROWS, 5), input(g, "b", BV_FREE_OUTPUTS, 5));
    refused(&g, "add", __LINE__ - 1, "\"a\" and \"b\" do not have the same rows");
    assert_ok(bv_graph_create(&g));
    bv_linear_onto(g, input(g, "h", BV_FREE_ROWS, 5), input(g, "x", BV_FREE_ROWS, 4),
                   matrix(g, 3, 4), NULL);
    refused(&g, "linear", __LINE__ - 2, "\"h\" is not a stream of 3 columns and the same rows");
    assert_ok(bv_graph_create(&g));
    bv_embed(g, input(g, "ids", BV_FREE_ROWS, 1), matrix(g, 3, 4));
    refused(&g, "embed", __LINE__ - 1, "ids \"ids\" must be [rows, 1] indices");
}

/* The first error stays, and what is built on what could not be made is harmless. */
static void test_first_error_stays(void **state) {
    (void)state;
    bv_graph *g;
    assert_ok(bv_graph_create(&g));
    bv_tensor *x = bv_add(g, input(g, "a", BV_FREE_ROWS, 5), input(g, "b", BV_FREE_ROWS, 6));
    const int line = __LINE__ - 1;
    for (int i = 0; i < 3; i++) x = bv_linear(g, bv_norm(g, x, NULL, NULL, true, 0), x, NULL);
    refused(&g, "add", line, "\"a\" has 5 columns");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes),
                                       cmocka_unit_test(test_first_error_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

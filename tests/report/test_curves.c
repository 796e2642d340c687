/* Curves: what is read from a metrics.jsonl, and what becomes of it. */
#include "report/curves.h"

#include "report/svg.h"
#include "report/terminal_plot.h"
#include "support/check.h"
#include "support/faults.h"
#include <errno.h>
#include <math.h>

static char folder[4096], metrics[4200];

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s", make_folder());
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    remove_folder(folder);
    return 0;
}

static void write_metrics(const char *text) {
    assert_ok(bv_file_write(metrics, text, strlen(text)));
}

static void test_read(void **state) {
    (void)state;
    write_metrics("{\"step\":1,\"loss\":4.5,\"lr\":0.1,\"tokens\":10}\n"
                  "{\"step\":2,\"loss\":null}\n"
                  "\n"
                  "{\"step\":2,\"val_loss\":4.25}\n"
                  "{\"step\":3,\"val_loss\":3.5}\n"
                  "{\"step\":3,\"loss\":3}\n"
                  "{\"step\":3,\"note\":\"saved\"}\n"
                  "{\"step\":4,\"lo"); /* killed while writing */
    bv_curves curves;
    assert_ok(bv_curves_read(metrics, &curves));
    assert_int_equal(curves.loss.count, 3);
    assert_true(curves.loss.x[0] == 1 && curves.loss.y[0] == 4.5);
    assert_true(isnan(curves.loss.y[1]));
    assert_true(curves.loss.x[2] == 3 && curves.loss.y[2] == 3);
    assert_int_equal(curves.val_loss.count, 2);
    assert_true(curves.val_loss.x[1] == 3 && curves.val_loss.y[1] == 3.5);
    bv_curves_free(&curves);
    bv_curves_free(&curves);
}

/* Resumed at step 2 without cutting the file: the second time counts. */
static void test_resumed(void **state) {
    (void)state;
    write_metrics(
        "{\"step\":1,\"loss\":5}\n{\"step\":2,\"loss\":4}\n{\"step\":3,\"loss\":3}\n"
        "{\"step\":3,\"val_loss\":9}\n{\"step\":2,\"loss\":2}\n{\"step\":5,\"loss\":1}\n");
    bv_curves curves;
    assert_ok(bv_curves_read(metrics, &curves));
    assert_int_equal(curves.loss.count, 3);
    assert_true(curves.loss.x[1] == 2 && curves.loss.y[1] == 2);
    assert_true(curves.loss.x[2] == 5);
    assert_int_equal(curves.val_loss.count, 0);
    bv_curves_free(&curves);
}

static void test_bad(void **state) {
    (void)state;
    bv_curves curves;
    assert_fails(bv_curves_read(metrics, &curves), BV_CODE_IO, "metrics.jsonl");
    write_metrics("");
    assert_fails(bv_curves_read(metrics, &curves), BV_CODE_INPUT, "no loss");
    write_metrics("{\"step\":1,\"lr\":1}\n");
    assert_fails(bv_curves_read(metrics, &curves), BV_CODE_INPUT, "no loss");
    write_metrics("{\"step\":1,\"loss\":1}\nrubbish\n");
    assert_fails(bv_curves_read(metrics, &curves), BV_CODE_INPUT, "metrics.jsonl:2");
    write_metrics("{\"step\":1,\"loss\":1}\n[1]\n");
    assert_fails(bv_curves_read(metrics, &curves), BV_CODE_INPUT, "not a JSON object");
    write_metrics("{\"loss\":1}\n");
    assert_fails(bv_curves_read(metrics, &curves), BV_CODE_INPUT, "step");
    assert_null(curves.loss.x);
}

static void test_smooth(void **state) {
    (void)state;
    bv_curves curves = {0};
    for (int i = 0; i < 1000; i++)
        assert_true(bv_curve_add(&curves.loss, i, i == 500 ? NAN : i % 2 ? 3 : 1));
    bv_curves_plot drawing;
    assert_ok(bv_curves_draw(&curves, "t", &drawing));
    assert_int_equal(drawing.plot.series_count, 1);
    assert_int_equal(drawing.series[0].count, 1000);
    assert_true(drawing.series[0].y[0] == 1 && drawing.series[0].y[999] == 3);
    for (int i = 20; i < 980; i++) assert_true(fabs(drawing.series[0].y[i] - 2) < 0.11);
    bv_curves_plot_free(&drawing);
    bv_curves_free(&curves);
    /* Few points are shown as they are. */
    assert_true(bv_curve_add(&curves.loss, 1, 5));
    assert_true(bv_curve_add(&curves.val_loss, 2, 4));
    assert_ok(bv_curves_draw(&curves, "t", &drawing));
    assert_int_equal(drawing.plot.series_count, 2);
    assert_true(drawing.series[0].y == curves.loss.y && drawing.series[1].dots);
    bv_curves_plot_free(&drawing);
    bv_curves_free(&curves);
}

static void test_report(void **state) {
    (void)state;
    write_metrics(
        "{\"step\":1,\"loss\":5}\n{\"step\":2,\"loss\":4}\n{\"step\":2,\"val_loss\":6}\n");
    const bv_terminal_plot_options options = {.columns = 60, .rows = 10};
    bv_buffer text = {0}, svg = {0};
    assert_ok(bv_curves_report(folder, NULL, &options, &text));
    char path[4200];
    snprintf(path, sizeof path, "%s/loss.svg", folder);
    assert_ok(bv_file_read(path, &svg));
    assert_non_null(strstr(svg.data, "validation</text>"));
    assert_non_null(strstr(svg.data, ": loss</title>"));
    assert_non_null(strstr(text.data, "validation"));
    bv_buffer_free(&text);
    bv_buffer_free(&svg);
}

/* Every allocation and every write fails once: an error, and the old picture or the new one. */
static void test_faults(void **state) {
    (void)state;
    write_metrics(
        "{\"step\":1,\"loss\":5}\n{\"step\":2,\"loss\":4}\n{\"step\":2,\"val_loss\":6}\n");
    const bv_terminal_plot_options options = {.columns = 60, .rows = 10};
    for (int kind = 0; kind < 2; kind++)
        for (int n = 0;; n++) {
            if (kind)
                faults_system_call(n, ENOSPC);
            else
                faults_allocation(n);
            bv_buffer text = {0};
            bv_error *error = bv_curves_report(folder, NULL, &options, &text);
            bv_buffer_free(&text);
            const bool struck = faults_off();
            if (!struck) {
                assert_ok(error);
                break;
            }
            assert_int_not_equal(bv_error_code(error), BV_CODE_OK);
            bv_error_free(&error);
        }
    char **names;
    size_t count;
    assert_ok(bv_dir_list(folder, &names, &count));
    assert_int_equal(count, 2); /* nothing half-written is left */
    for (size_t i = 0; i < count; i++) bv_free(names[i]);
    bv_free(names);
}

static void test_locale(void **state) {
    (void)state;
    setenv("LC_ALL", "", 1);
    setenv("LC_CTYPE", "de_DE.UTF-8", 1);
    setenv("LANG", "C", 1);
    assert_true(bv_locale_is_utf8());
    setenv("LC_ALL", "C", 1);
    assert_false(bv_locale_is_utf8());
    setenv("LC_ALL", "C.utf8", 1);
    assert_true(bv_locale_is_utf8());
    unsetenv("LC_ALL");
    unsetenv("LC_CTYPE");
    unsetenv("LANG");
    assert_false(bv_locale_is_utf8());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resumed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad, set_up, tear_down),
        cmocka_unit_test(test_smooth),
        cmocka_unit_test_setup_teardown(test_report, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
        cmocka_unit_test(test_locale)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

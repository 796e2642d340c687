/* Curves: what is read from a metrics.jsonl, and what becomes of it. */
#include "report/curves.h"

#include "support/check.h"
#include "support/faults.h"

static char *folder, metrics[4200];

static int set_up(void **state) {
    *state = folder = make_folder();
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", folder);
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
                  "rubbish\n"
                  "[1, 2]\n"
                  "{\"loss\":1}\n"
                  "{\"step\":2,\"val_loss\":4.25}\n"
                  "{\"step\":3,\"event\":\"skipped\",\"loss\":900}\n"
                  "{\"step\":3,\"loss\":3,\"val_loss\":3.5}\n"
                  "{\"step\":4,\"loss\":7}"); /* still being written */
    bv_curves curves;
    assert_ok(bv_curves_read(metrics, &curves));
    assert_int_equal(curves.train.count, 2);
    assert_true(curves.train.step[0] == 1 && curves.train.loss[0] == 4.5);
    assert_true(curves.train.step[1] == 3 && curves.train.loss[1] == 3);
    assert_int_equal(curves.val.count, 2);
    assert_true(curves.val.step[0] == 2 && curves.val.loss[0] == 4.25);
    assert_true(curves.val.step[1] == 3 && curves.val.loss[1] == 3.5);
    bv_curves_free(&curves);
    bv_curves_free(&curves);
}

static void test_bad(void **state) {
    (void)state;
    bv_curves curves;
    assert_fails(bv_curves_read(metrics, &curves), BV_CODE_IO, "metrics.jsonl");
    static const char *const texts[] = {"", "\n\n", "{\"step\":1,\"lr\":1}\n", "\xff\n",
                                        "{\"step\":\"1\",\"loss\":\"2\"}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_metrics(texts[i]);
        assert_fails(bv_curves_read(metrics, &curves), BV_CODE_INPUT, "has no losses yet");
        assert_null(curves.train.step);
    }
}

/* Many steps become no more points than a picture shows, and the mean stays. */
static void test_many(void **state) {
    (void)state;
    bv_buffer text = {0}, svg = {0}, again = {0};
    for (int i = 1; i <= 15600; i++)
        bv_buffer_printf(&text, "{\"step\":%d,\"loss\":%d}\n", i, i % 2 ? 3 : 1);
    bv_buffer_text(&text, "{\"step\":15600,\"val_loss\":2.5}\n{\"step\":15600,\"val_loss\":1.5}\n");
    assert_ok(bv_file_write(metrics, text.data, text.size));
    bv_curves curves;
    assert_ok(bv_curves_read(metrics, &curves));
    assert_int_equal(curves.train.count, 15600);
    assert_ok(bv_curves_svg(&curves, 1, &svg));
    assert_in_range(svg.size, 1000, 20000);
    /* From 1.5 to 2.5 the mean of 3 and 1 lies in the middle: y 206 of 44 .. 368. */
    const char *line = strstr(svg.data, "class=\"line c0\" d=\"");
    assert_non_null(line);
    size_t points = 0;
    double before = 0;
    for (const char *p = strchr(line, 'M') + 1; *p != '"'; points++) {
        double x, y;
        int used;
        assert_int_equal(sscanf(p, "%lf %lf %n", &x, &y, &used), 2);
        assert_true(y > 203 && y < 209);
        assert_true(x >= before && x < (points ? before + 4 : 67)); /* from 64 to 780 */
        before = x;
        p += used;
    }
    assert_true(before > 777 && before <= 780);
    assert_in_range(points, 200, 500);
    assert_non_null(strstr(svg.data, "cx=\"780.0\"")); /* the evaluations, of the last step */
    assert_ok(bv_curves_svg(&curves, 1, &again));
    assert_string_equal(svg.data, again.data);
    bv_curves_free(&curves);
    bv_buffer_free(&text);
    bv_buffer_free(&svg);
    bv_buffer_free(&again);
}

static void test_best(void **state) {
    (void)state;
    bv_curves curves;
    double step, loss;
    write_metrics("{\"step\":0,\"val_loss\":4.5}\n{\"step\":10,\"val_loss\":2.5}\n"
                  "{\"step\":20,\"val_loss\":2.25}\n{\"step\":30,\"val_loss\":2.75}\n"
                  "{\"step\":40,\"val_loss\":2.25}\n");
    assert_ok(bv_curves_read(metrics, &curves));
    assert_true(bv_curves_best(&curves, &step, &loss));
    assert_true(step == 20 && loss == 2.25);
    bv_curves_free(&curves);
    write_metrics("{\"step\":1,\"loss\":4}\n");
    assert_ok(bv_curves_read(metrics, &curves));
    assert_false(bv_curves_best(&curves, &step, &loss));
    bv_curves_free(&curves);
}

/* One run has its name as the title and a colour for each of its curves; of several runs each has a
 * colour and its name, and validation beside it is dashed. */
static void test_names_and_colours(void **state) {
    (void)state;
    bv_curves runs[2];
    write_metrics("{\"step\":0,\"val_loss\":4}\n{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n"
                  "{\"step\":2,\"val_loss\":3}\n");
    for (int i = 0; i < 2; i++) assert_ok(bv_curves_read(metrics, &runs[i]));
    runs[0].name = "first";
    runs[1].name = "second";
    for (size_t count = 1; count <= 2; count++) {
        static const char *const wanted[2][6] = {
            {"<title>first</title>", ">training<", ">validation<", "line c0", "line c1"},
            {"<title>loss</title>", ">first<", ">first, validation<", ">second<",
             ">second, validation<", "line c1"}};
        bv_buffer svg = {0};
        assert_ok(bv_curves_svg(runs, count, &svg));
        for (size_t i = 0; i < 6 && wanted[count - 1][i]; i++)
            if (!strstr(svg.data, wanted[count - 1][i]))
                fail_msg("not \"%s\" in %s", wanted[count - 1][i], svg.data);
        assert_null(strstr(svg.data, "line c2"));
        assert_true(!strstr(svg.data, " dashed\"") == (count == 1));
        bv_buffer_free(&svg);
    }
    for (int i = 0; i < 2; i++) bv_curves_free(&runs[i]);
}

/* Each of several runs has its own points: the second one's curve lies above the first one's. */
static void test_each_run_is_drawn(void **state) {
    (void)state;
    bv_curves runs[2];
    bv_buffer svg = {0};
    static const char *const texts[] = {"{\"step\":0,\"loss\":1}\n{\"step\":10,\"loss\":1}\n",
                                        "{\"step\":0,\"loss\":2}\n{\"step\":10,\"loss\":2}\n"};
    for (int i = 0; i < 2; i++) {
        write_metrics(texts[i]);
        assert_ok(bv_curves_read(metrics, &runs[i]));
    }
    assert_ok(bv_curves_svg(runs, 2, &svg));
    /* The area of the picture is x 64 .. 780, y 44 .. 368. */
    assert_non_null(strstr(svg.data, "line c0\" d=\"M64.0 368.0 64.0 368.0 780.0 368.0 \""));
    assert_non_null(strstr(svg.data, "line c1\" d=\"M64.0 44.0 64.0 44.0 780.0 44.0 \""));
    for (int i = 0; i < 2; i++) bv_curves_free(&runs[i]);
    bv_buffer_free(&svg);
}

static bv_status all_at_once(void) {
    bv_curves curves;
    BV_TRY(bv_curves_read(metrics, &curves));
    bv_buffer svg = {0}, text = {0};
    const bv_terminal_plot_options options = {.columns = 60, .rows = 10};
    bv_error *error = bv_curves_svg(&curves, 1, &svg);
    if (!error) error = bv_curves_text(&curves, 1, &options, &text);
    bv_buffer_free(&svg);
    bv_buffer_free(&text);
    bv_curves_free(&curves);
    return error;
}

/* Every allocation fails once. */
static void test_no_memory(void **state) {
    (void)state;
    bv_buffer text = {0};
    for (int i = 1; i <= 300; i++) /* so that a curve grows */
        bv_buffer_printf(&text, "{\"step\":%d,\"loss\":1,\"val_loss\":2}\n", i);
    assert_ok(bv_file_write(metrics, text.data, text.size));
    bv_buffer_free(&text);
    fail_each_allocation(all_at_once, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_bad, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_many, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_best, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_names_and_colours, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_each_run_is_drawn, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, folder_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

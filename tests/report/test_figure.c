/* Figures: plots that JSON files describe. */
#include "report/figure.h"

#include "report/svg.h"
#include "support/check.h"
#include "support/faults.h"
#include "support/mangle.h"

static char *folder;
static const char *path;

static const char good[] =
    "{\"title\": \"cost\", \"x_label\": \"parameters\", \"y_label\": \"us\", \"log_x\": true,\n"
    " \"log_y\": true, \"series\": [\n"
    "  {\"name\": \"f32\", \"x\": [1e6, 1e7, 1e8], \"y\": [10, 100, 1000], \"dots\": true},\n"
    "  {\"name\": \"limit\", \"x\": [1e6, 1e8], \"y\": [5, 500], \"dashed\": true, \"color\": 1},\n"
    "  {\"name\": \"none\", \"x\": [], \"y\": []}]}\n";

static int set_up(void **state) {
    *state = folder = make_folder();
    path = path_in(folder, "figure.json");
    return 0;
}

static void write_figure(const char *text) {
    assert_ok(bv_file_write(path, text, strlen(text)));
}

static void test_good(void **state) {
    (void)state;
    bv_figure f;
    bv_buffer svg = {0};
    write_figure(good);
    assert_ok(bv_figure_read(path, &f));
    assert_int_equal(f.points, 5);
    assert_int_equal(f.plot.series_count, 3);
    assert_string_equal(f.plot.title, "cost");
    assert_true(f.plot.log_x && f.plot.log_y && f.plot.series[0].dots);
    assert_true(f.plot.series[1].dashed && f.plot.series[1].x[1] == 1e8);
    assert_ok(bv_svg_plot(&f.plot, &svg));
    /* Both axes are logarithmic: the middle of three points lies in the middle of x 64 .. 780. */
    assert_non_null(strstr(svg.data, "cx=\"422.0\""));
    assert_non_null(strstr(svg.data, ">10M<"));
    assert_non_null(strstr(svg.data, "class=\"line c0 dashed\"")); /* the colour of f32 */
    bv_buffer_free(&svg);
    bv_figure_free(&f);
    bv_figure_free(&f);
}

static void test_bad(void **state) {
    (void)state;
    static const char *const texts[][2] = {
        {"[]", "no object"},
        {"{}", "\"series\" must be a list"},
        {"{\"series\": []}", "\"series\" must be a list"},
        {"{\"series\": [1]}", "lists of as many numbers"},
        {"{\"series\": [{\"name\": \"a\", \"x\": [1, 2], \"y\": [1]}]}", "lists of as many"},
        {"{\"series\": [{\"x\": [1], \"y\": [1]}]}", "name"},
        {"{\"series\": [{\"name\": \"a\", \"x\": [1, \"2\"], \"y\": [1, 2]}]}", "no number"},
        {"{\"series\": [{\"name\": \"a\", \"x\": [2, 1], \"y\": [1, 2]}]}", "must ascend"},
        {"{\"series\": [{\"name\": \"a\", \"x\": [], \"y\": [], \"color\": 0}]}", "\"color\""},
        {"{\"series\": [{\"name\": \"a\", \"x\": [], \"y\": [], \"dots\": 1}]}", "\"dots\""},
        {"{\"series\": [{\"name\": \"a\", \"x\": [], \"y\": [], \"colour\": 1}]}", "\"colour\""},
        {"{\"log_z\": true}", "unknown member \"log_z\"\n  try: \"log_x\""},
        {"{\"title\": 1}", "title"},
    };
    bv_figure f;
    assert_fails(bv_figure_read(path, &f), BV_CODE_IO, "figure.json");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_figure(texts[i][0]);
        assert_fails(bv_figure_read(path, &f), BV_CODE_INPUT, texts[i][1]);
        assert_null(f.series);
    }
}

static bv_error *read_and_draw(void) {
    bv_figure f;
    bv_buffer svg = {0};
    BV_TRY(bv_figure_read(path, &f));
    bv_error *error = bv_svg_plot(&f.plot, &svg);
    bv_buffer_free(&svg);
    bv_figure_free(&f);
    return error;
}

static void test_mangled(void **state) {
    (void)state;
    write_figure(good);
    mangle_file(path, 7, 1, 2000, read_and_draw);
}

/* Every allocation fails once. */
static void test_no_memory(void **state) {
    (void)state;
    write_figure(good);
    bv_json_begin();
    fail_each_allocation(read_and_draw, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_bad, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_mangled, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, folder_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

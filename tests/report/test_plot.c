/* Plots: axes, the SVG and the drawing in a terminal. */
#include "report/plot.h"

#include "report/svg.h"
#include "report/terminal_plot.h"
#include "support/check.h"
#include <ctype.h>
#include <math.h>

static bv_plot plot_of(const bv_series *series, size_t count) {
    return (bv_plot){.title = "loss <of> \"a & b\"",
                     .x_label = "step",
                     .y_label = "loss",
                     .series = series,
                     .series_count = count};
}

static bv_buffer svg_of(const bv_plot *plot) {
    bv_buffer out = {0};
    assert_ok(bv_svg_plot(plot, &out));
    assert_int_equal(strlen(out.data), out.size);
    assert_non_null(strstr(out.data, "</svg>\n"));
    /* No figure that is no number. */
    assert_null(strstr(out.data, "nan"));
    assert_null(strstr(out.data, "inf"));
    return out;
}

static bv_buffer text_of(const bv_plot *plot, size_t columns, size_t rows, bool unicode) {
    bv_buffer out = {0};
    const bv_terminal_plot_options options = {.columns = columns, .rows = rows, .unicode = unicode};
    assert_ok(bv_terminal_plot(plot, &options, &out));
    size_t lines = 0;
    for (const char *p = out.data; *p; p++) {
        lines += *p == '\n';
        if (!unicode) assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
    }
    assert_int_equal(lines, rows < 8 ? 8 : rows > 100 ? 100 : rows);
    return out;
}

static void test_axes(void **state) {
    (void)state;
    static const double x[] = {0, 50, 100}, y[] = {1.03, 3.9, 2};
    const bv_series s = {.name = "a", .x = x, .y = y, .count = 3};
    const bv_plot plot = plot_of(&s, 1);
    bv_axis ax, ay;
    bv_plot_axes(&plot, 5, 6, &ax, &ay);
    assert_true(ax.min == 0 && ax.max == 100);
    assert_true(ay.min == 1 && ay.max == 4); /* snapped to round numbers */
    assert_int_equal(ax.tick_count, 6);      /* 0, 20, ... 100 */
    assert_true(ax.ticks[1] == 20);
    assert_int_equal(ay.tick_count, 7); /* 1, 1.5, ... 4 */
    assert_string_equal(bv_axis_label(&ay, ay.ticks[1]).text, "1.5");
    assert_string_equal(bv_axis_label(&ax, ax.ticks[5]).text, "100");
    assert_true(bv_axis_share(&ay, 1) == 0 && bv_axis_share(&ay, 4) == 1);
    assert_true(fabs(bv_axis_share(&ay, 2.5) - 0.5) < 1e-12);
    assert_string_equal(bv_axis_label(&ax, 20000).text, "20k");
    assert_string_equal(bv_axis_label(&ax, 1.5e6).text, "1.5M");
    assert_string_equal(bv_axis_label(&ax, 3e9).text, "3B");
    assert_string_equal(bv_axis_label(&ax, -0.0).text, "0");
}

static void test_log_axis(void **state) {
    (void)state;
    static const double x[] = {1, 2, 3, 4}, y[] = {100, 1, 0, -5};
    bv_series s = {.name = "a", .x = x, .y = y, .count = 4};
    bv_plot plot = plot_of(&s, 1);
    plot.log_y = true;
    bv_axis ax, ay;
    bv_plot_axes(&plot, 5, 6, &ax, &ay);
    assert_true(ax.max == 2); /* what is not positive is left out, also in x */
    assert_true(ay.min == 1 && ay.max == 100);
    assert_true(fabs(bv_axis_share(&ay, 10) - 0.5) < 1e-12);
    /* Between two of its usual ticks an axis still has some, with labels that differ. */
    static const double narrow[] = {3.11, 3.19, 3.13, 3.12};
    s.y = narrow;
    bv_plot_axes(&plot, 5, 6, &ax, &ay);
    assert_true(ay.tick_count >= 2);
    for (size_t i = 1; i < ay.tick_count; i++) {
        assert_true(ay.ticks[i] >= ay.min && ay.ticks[i] <= ay.max);
        assert_string_not_equal(bv_axis_label(&ay, ay.ticks[i]).text,
                                bv_axis_label(&ay, ay.ticks[i - 1]).text);
    }
}

/* The labels of an axis of this range, with blanks between them. */
static void check_ticks(double min, double max, bool log, size_t wanted, const char *labels) {
    const double x[] = {min, max};
    const bv_series s = {.name = "a", .x = x, .y = x, .count = 2};
    bv_plot plot = plot_of(&s, 1);
    bv_axis ax, ay;
    char text[400] = "";
    plot.log_x = log;
    bv_plot_axes(&plot, wanted, 6, &ax, &ay);
    assert_true(min == max ? ax.min < min && ax.max > max : ax.min == min && ax.max == max);
    for (size_t i = 0; i < ax.tick_count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
                 bv_axis_label(&ax, ax.ticks[i]).text);
    assert_string_equal(text, labels);
}

static void test_ticks(void **state) {
    (void)state;
    check_ticks(0, 3000, false, 6, "0 500 1000 1500 2000 2500 3000");
    check_ticks(0, 4000, false, 4, "0 1000 2000 3000 4000");
    check_ticks(0, 45000, false, 5, "0 10k 20k 30k 40k");
    check_ticks(-0.03, 0.02, false, 5, "-0.03 -0.02 -0.01 0.00 0.01 0.02");
    check_ticks(0, 0.3, false, 3, "0.0 0.1 0.2 0.3");
    check_ticks(1e-7, 4e-7, false, 4, "1e-07 2e-07 3e-07 4e-07");
    check_ticks(1e15, 2e15, false, 2, "1e+15 1.5e+15 2e+15");
    check_ticks(7, 7, false, 4, "6.5 7.0 7.5");
    check_ticks(1000, 1000, false, 4, "900 950 1000 1050 1100");
    check_ticks(0.3, 0.3, false, 4, "0.0 0.5");
    /* Logarithmic: as many digits as there is room for, and decades left out when there are many.
     */
    check_ticks(2, 12, true, 6, "2 3 4 5 6 7 8 9 10");
    check_ticks(1, 100, true, 6, "1 2 5 10 20 50 100");
    check_ticks(3, 40, true, 6, "3 4 5 6 7 8 9 10 15 20 30 40");
    check_ticks(0.5, 900, true, 6, "0.5 1 2 5 10 20 50 100 200 500");
    check_ticks(1, 1e5, true, 6, "1 10 100 1000 10k 100k");
    check_ticks(1, 1e8, true, 3, "1 1000 1M");
    check_ticks(5, 5, true, 6, "3 4 5 6 7 8 9 10");
}

/* Ranges of all sizes: ticks ascend, lie on the axis, and there are some. */
static void test_ranges(void **state) {
    (void)state;
    for (int power = -140; power <= 140; power++)
        for (int from = -1; from <= 1; from++) {
            const double unit = ldexp(1, 3 * power);
            const double x[] = {from * unit, (from + 2.7) * unit};
            const bv_series s = {.name = "a", .x = x, .y = x, .count = 2};
            const bv_plot plot = plot_of(&s, 1);
            bv_axis ax, ay;
            bv_plot_axes(&plot, 8, 7, &ax, &ay);
            assert_true(ax.min == x[0] && ax.max == x[1] && ay.min <= x[0] && ay.max >= x[1]);
            assert_true(ax.tick_count >= 2 && ax.tick_count <= 10);
            assert_true(ay.tick_count >= 2 && ay.tick_count <= 12);
            for (size_t i = 1; i < ay.tick_count; i++) assert_true(ay.ticks[i] > ay.ticks[i - 1]);
        }
}

static void test_known_points(void **state) {
    (void)state;
    /* The area of the SVG is x 64 .. 780, y 44 .. 368. */
    static const double x[] = {0, 5, 10}, y[] = {0, 10, 5};
    const bv_series s = {.name = "a", .x = x, .y = y, .count = 3, .dots = true};
    const bv_plot plot = plot_of(&s, 1);
    bv_buffer svg = svg_of(&plot);
    assert_non_null(strstr(svg.data, "cx=\"64.0\" cy=\"368.0\""));
    assert_non_null(strstr(svg.data, "cx=\"422.0\" cy=\"44.0\""));
    assert_non_null(strstr(svg.data, "cx=\"780.0\" cy=\"206.0\""));
    assert_non_null(strstr(svg.data, "64.0 368.0 422.0 44.0 780.0 206.0"));
    assert_non_null(strstr(svg.data, "loss &lt;of&gt; &quot;a &amp; b&quot;"));
    bv_buffer again = svg_of(&plot);
    assert_string_equal(svg.data, again.data); /* same plot, same bytes */
    bv_buffer_free(&again);
    bv_buffer_free(&svg);

    /* 38 x 13 of the terminal leave 30 x 10 cells for the drawing. */
    bv_buffer text = text_of(&plot, 38, 13, false);
    static const char *const lines[] = {"        loss <of> \"a & b\"   * a",
                                        "    10 +              *"};
    size_t at = 0;
    for (size_t i = 0; i < 2; i++) {
        const size_t length = strcspn(text.data + at, "\n");
        /* The middle of 30 columns may fall left or right. */
        const char *expected = lines[i];
        assert_memory_equal(text.data + at, expected, i == 0 ? strlen(expected) : 8);
        if (i == 1) assert_in_range(length, 8 + 15, 8 + 16);
        at += length + 1;
    }
    const char *bottom = strstr(text.data, "     0 +*"); /* the point at the origin */
    assert_non_null(bottom);
    assert_int_equal(bottom[strlen("     0 +*")], '\n');
    bv_buffer_free(&text);
}

static void test_braille(void **state) {
    (void)state;
    static const double x[] = {0, 10}, y[] = {0, 0};
    static const double top[] = {1, 1};
    const bv_series s[] = {{.name = "low", .x = x, .y = y, .count = 2},
                           {.name = "high", .x = x, .y = top, .count = 2}};
    const bv_plot plot = plot_of(s, 2);
    bv_buffer text = text_of(&plot, 30, 8, true);
    /* 22 cells each: the lowest row of dots (U+28C0) and the highest (U+2809). */
    bv_buffer low = {0}, high = {0};
    for (int i = 0; i < 22; i++) bv_buffer_text(&low, "\xe2\xa3\x80");
    for (int i = 0; i < 22; i++) bv_buffer_text(&high, "\xe2\xa0\x89");
    assert_non_null(strstr(text.data, low.data));
    assert_non_null(strstr(text.data, high.data));
    assert_true(strstr(text.data, high.data) < strstr(text.data, low.data));
    bv_buffer_free(&low);
    bv_buffer_free(&high);
    bv_buffer_free(&text);
}

/* Every line but that of the names is as wide as was asked for, at most. */
static void check_width(const char *text, size_t columns) {
    for (const char *line = strchr(text, '\n') + 1; *line; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > columns) fail_msg("too wide: %s", line);
}

/* A line that ascends: from the lower left to the upper right, three columns a row of 30 x 10. */
static void test_ascending_line(void **state) {
    (void)state;
    static const double x[] = {0, 1}, y[] = {0, 1};
    const bv_series s = {.name = "a", .x = x, .y = y, .count = 2};
    const bv_plot plot = plot_of(&s, 1);
    bv_buffer text = text_of(&plot, 38, 13, false);
    check_width(text.data, 38);
    const char *line = text.data;
    for (size_t row = 0; row < 10; row++) {
        line = strchr(line, '\n') + 1;
        const size_t first = strcspn(line + 8, "*\n"), last = strcspn(line, "\n") - 9;
        assert_true(line[8 + first] == '*');
        assert_in_range(first + 1, 3 * (9 - row), 3 * (9 - row) + 2);
        assert_in_range(last, 3 * (9 - row) + 1, 3 * (9 - row) + 3);
    }
    bv_buffer_free(&text);
}

/* Labels are whole or left out, do not touch, and end with the axis. */
static void test_labels_in_a_terminal(void **state) {
    (void)state;
    static const double x[] = {0, 2e-6}, hundred[] = {0, 100}, y[] = {-0.0003, 0.0003};
    bv_series s = {.name = "a", .x = x, .y = y, .count = 2};
    bv_plot plot = plot_of(&s, 1);
    bv_buffer text = text_of(&plot, 31, 14, false);
    assert_non_null(strstr(text.data, "\n    0.000000   0.000001  step\n"));
    assert_non_null(strstr(text.data, "\n0.0002 +"));
    assert_null(strstr(text.data, "-0.0002"));
    check_width(text.data, 31);
    bv_buffer_free(&text);
    s.x = hundred;
    plot.x_label = "a label that has no room";
    text = text_of(&plot, 30, 14, false);
    assert_non_null(strstr(text.data, "  100\n"));
    check_width(text.data, 30);
    bv_buffer_free(&text);
}

/* What a series draws has its colour, and all that follows has none. */
static void test_colors_in_a_terminal(void **state) {
    (void)state;
    static const double x[] = {0, 1}, y[] = {0, 0}, top[] = {1, 1};
    const bv_series s[] = {{.name = "low", .x = x, .y = y, .count = 2},
                           {.name = "high", .x = x, .y = top, .count = 2}};
    const bv_plot plot = plot_of(s, 2);
    const bv_terminal_plot_options options = {.columns = 30, .rows = 8, .color = true};
    bv_buffer text = {0};
    assert_ok(bv_terminal_plot(&plot, &options, &text));
    size_t blue = 0, yellow = 0, ends = 0;
    for (const char *p = text.data; (p = strchr(p, '\033')); p++) {
        blue += !strncmp(p, "\033[34m*", 6);
        yellow += !strncmp(p, "\033[33m+", 6);
        ends += !strncmp(p, "\033[0m", 4);
    }
    assert_int_equal(blue, 1 + 22); /* the name's, and one for each of 22 columns */
    assert_int_equal(yellow, 1 + 22);
    assert_int_equal(ends, blue + yellow);
    bv_buffer_free(&text);
}

static void draw_all(const bv_plot *plot) {
    bv_plot p = *plot;
    for (int log = 0; log < 2; log++) {
        p.log_y = log;
        bv_buffer svg = svg_of(&p);
        bv_buffer_free(&svg);
        static const size_t sizes[][2] = {{0, 0}, {38, 13}, {80, 24}, {5000, 5000}};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int unicode = 0; unicode < 2; unicode++) {
                bv_buffer text = text_of(&p, sizes[i][0], sizes[i][1], unicode);
                bv_buffer_free(&text);
            }
    }
}

static void test_odd_points(void **state) {
    (void)state;
    static const double steps[] = {0, 1, 2, 3, 4, 5};
    static const double odd[][6] = {{NAN, NAN, NAN, NAN, NAN, NAN},
                                    {1, NAN, 3, INFINITY, -INFINITY, 2},
                                    {1e300, -1e300, 1e149, -1e149, 0, 1},
                                    {5, 5, 5, 5, 5, 5},
                                    {0, 0, 0, 0, 0, 0},
                                    {1e-320, 1e-310, 1e-300, 0, -1e-320, 1e-149},
                                    {1, 1 + 2.3e-16, 1, 1, 1, 1}};
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++)
        for (size_t count = 0; count <= 6; count++)
            for (int dots = 0; dots < 2; dots++) {
                const bv_series s = {
                    .name = "odd", .x = steps, .y = odd[k], .count = count, .dots = dots};
                const bv_plot plot = plot_of(&s, 1);
                draw_all(&plot);
            }
    const bv_plot nothing = {0};
    draw_all(&nothing);
    const bv_series nameless = {.x = steps, .y = steps, .count = 6};
    const bv_plot plot = {.series = &nameless, .series_count = 1};
    draw_all(&plot);
}

/* A lone point and a gap: every stretch of a line shows, and no line crosses the gap. */
static void test_gaps(void **state) {
    (void)state;
    static const double x[] = {0, 1, 2, 3, 4}, y[] = {1, NAN, 3, NAN, 2};
    const bv_series s = {.name = "a", .x = x, .y = y, .count = 5};
    const bv_plot plot = plot_of(&s, 1);
    bv_buffer svg = svg_of(&plot);
    assert_non_null(strstr(svg.data, "d=\"M64.0 368.0 64.0 368.0 M422.0 44.0 422.0 44.0 "
                                     "M780.0 206.0 780.0 206.0 \""));
    bv_buffer_free(&svg);
}

/* Every text of the picture stands in it, however many series have a name, and no two are one. */
static void test_many_series(void **state) {
    (void)state;
    static const double x[] = {0, 1}, y[] = {1, 2};
    bv_series s[130];
    for (size_t count = 1; count <= 130; count++) {
        s[count - 1] = (bv_series){.name = "a", .x = x, .y = y, .count = 2};
        const bv_plot plot = plot_of(s, count);
        bv_buffer svg = svg_of(&plot);
        double height = 0, at, last = -1;
        size_t names = 0;
        assert_int_equal(sscanf(strstr(svg.data, "viewBox"), "viewBox=\"0 0 800 %lf", &height), 1);
        for (const char *p = svg.data; (p = strstr(p, "<text x=\"")); p++) {
            assert_int_equal(sscanf(p, "<text x=\"%*f\" y=\"%lf\"", &at), 1);
            assert_true(at > 0 && at < height);
            if (strncmp(strchr(p, '>'), ">a<", 3) != 0) continue;
            assert_true(at > last);
            last = at;
            names++;
        }
        assert_int_equal(names, count);
        bv_buffer_free(&svg);
    }
}

/* Of a picture in the light and in the dark: no two colours of a dozen series are one. */
static void test_colors(void **state) {
    (void)state;
    enum { COUNT = 12 };
    static const double x[] = {0, 1}, y[] = {1, 2};
    bv_series s[COUNT];
    for (size_t i = 0; i < COUNT; i++) s[i] = (bv_series){.name = "a", .x = x, .y = y, .count = 2};
    const bv_plot plot = plot_of(s, COUNT);
    bv_buffer svg = svg_of(&plot);
    unsigned colors[COUNT];
    const char *p = svg.data;
    for (int theme = 0; theme < 2; theme++)
        for (unsigned i = 0; i < COUNT; i++, p++) {
            unsigned class;
            p = strstr(p, "{color:#");
            while (p && isdigit((unsigned char)p[-1])) p--;
            assert_non_null(p);
            assert_int_equal(sscanf(p, "%u{color:#%6x}", &class, &colors[i]), 2);
            assert_int_equal(class, i);
            for (unsigned k = 0; k < i; k++) assert_int_not_equal(colors[k], colors[i]);
            p = strchr(p, '}');
        }
    for (unsigned i = 0; i < COUNT; i++) {
        char line[40];
        snprintf(line, sizeof line, "<path class=\"line c%u\"", i);
        assert_non_null(strstr(svg.data, line));
    }
    bv_buffer_free(&svg);
}

/* Without colours each has a letter of its own. */
static void test_letters(void **state) {
    (void)state;
    enum { COUNT = 50 };
    static const double x[] = {0, 1}, y[] = {1, 2};
    bv_series s[COUNT];
    for (size_t i = 0; i < COUNT; i++) s[i] = (bv_series){.name = "?", .x = x, .y = y, .count = 2};
    const bv_plot plot = {.series = s, .series_count = COUNT};
    bv_buffer text = {0};
    const bv_terminal_plot_options options = {.columns = 80, .rows = 18};
    assert_ok(bv_terminal_plot(&plot, &options, &text));
    size_t times[256] = {0}, found = 0;
    check_width(text.data, 80);
    assert_true(strcspn(text.data, "\n") <= 80);
    for (const char *p = text.data; (p = strstr(p, " ?")); p++, found++)
        assert_int_equal(times[(unsigned char)p[-1]]++, 0);
    assert_int_equal(found, COUNT);
    bv_buffer_clear(&text);
    /* Names that take more lines than were asked for leave five for the drawing. */
    assert_ok(
        bv_terminal_plot(&plot, &(bv_terminal_plot_options){.columns = 30, .rows = 8}, &text));
    size_t lines = 0;
    for (const char *p = text.data; *p; p++) lines += *p == '\n';
    assert_int_equal(lines, 17 + 5 + 2); /* three names a line, the drawing, its axis and labels */
    bv_buffer_free(&text);
}

/* A hundred thousand points make no larger file than the pixels have room for. */
static void test_many_points(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    static double x[COUNT], y[COUNT];
    for (int i = 0; i < COUNT; i++) {
        x[i] = i;
        y[i] = i % 2 ? 3 : 1;
    }
    const bv_series s = {.name = "a", .x = x, .y = y, .count = COUNT};
    const bv_plot plot = plot_of(&s, 1);
    bv_buffer svg = svg_of(&plot);
    assert_in_range(svg.size, 1000, 120000);
    assert_non_null(strstr(svg.data, " 44.0 ")); /* and the range is all there */
    assert_non_null(strstr(svg.data, " 368.0 "));
    bv_buffer_free(&svg);
}

/* A title may be any path: what is no UTF-8 must not spoil the XML. */
static void test_title_bytes(void **state) {
    (void)state;
    bv_plot plot = {.title = "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xff \xc3( \x01 \xe2\x82"};
    bv_buffer svg = svg_of(&plot);
    assert_non_null(strstr(svg.data, "<title>gr\xc3\xbc\xc3\x9f \xe2\x82\xac ? ?(  ?"
                                     "?</title>"));
    bv_buffer_free(&svg);
}

/* On a terminal nothing of a plot's text is a command. */
static void test_control_characters(void **state) {
    (void)state;
    static const double x[] = {0, 1.39}, y[] = {1, 2};
    const bv_series s = {.name = "\x1b]0;name\a", .x = x, .y = y, .count = 2};
    const bv_plot plot = {.title = "gr\xc3\xbc\x1b[2Jn\n\xc2\x9b\x31m\x7f \xff",
                          .x_label = "\x1b[m",
                          .series = &s,
                          .series_count = 1};
    const bv_terminal_plot_options options = {.columns = 80, .rows = 18, .unicode = true};
    bv_buffer text = {0};
    assert_ok(bv_terminal_plot(&plot, &options, &text));
    assert_non_null(strstr(text.data, "gr\xc3\xbc?[2Jn??1m? ?   "));
    assert_non_null(strstr(text.data, " ?]0;name?\n"));
    assert_non_null(strstr(text.data, "  ?[m\n"));
    assert_null(strchr(text.data, '\x1b'));
    bv_buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_axes),
                                       cmocka_unit_test(test_log_axis),
                                       cmocka_unit_test(test_ticks),
                                       cmocka_unit_test(test_ranges),
                                       cmocka_unit_test(test_known_points),
                                       cmocka_unit_test(test_braille),
                                       cmocka_unit_test(test_odd_points),
                                       cmocka_unit_test(test_gaps),
                                       cmocka_unit_test(test_many_points),
                                       cmocka_unit_test(test_title_bytes),
                                       cmocka_unit_test(test_control_characters),
                                       cmocka_unit_test(test_many_series),
                                       cmocka_unit_test(test_colors),
                                       cmocka_unit_test(test_letters),
                                       cmocka_unit_test(test_ascending_line),
                                       cmocka_unit_test(test_labels_in_a_terminal),
                                       cmocka_unit_test(test_colors_in_a_terminal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

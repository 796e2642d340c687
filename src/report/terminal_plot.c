#include "report/terminal_plot.h"

#include "base/memory.h"
#include "base/text.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GUTTER 8 /* columns of the labels at the left */

/* A cell of the drawing: braille dots, or a mark that covers them. */
typedef struct cell {
    uint8_t dots;
    uint8_t mark;    /* 1: a marked point   */
    uint32_t series; /* that drew here last */
} cell;

typedef struct canvas {
    size_t columns, rows; /* of cells */
    cell *cells;
    bool unicode;
    const bv_plot *plot;
} canvas;

static const char *const colors[BV_TERMINAL_COLORS] = {"\033[34m", "\033[33m", "\033[32m",
                                                       "\033[35m", "\033[36m", "\033[37m"};

/* Of a series, where there are no colours. */
static const char *letter_of(size_t series) {
    static const char letters[] = "*+ox#@%&=abcdefghijklmnpqrstuvwyzABCDEFGHIJKLMNPQRSTUVWYZ";
    return &letters[series % (sizeof letters - 1)];
}

static cell *cell_at(canvas *c, size_t column, size_t row) {
    return &c->cells[row * c->columns + column];
}

/* Unicode's order of the dots in a braille cell: three rows of two, then the fourth. */
static void dot(canvas *c, long x, long y, size_t series) {
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    const long width = 2 * (long)c->columns, height = 4 * (long)c->rows;
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    cell *at = cell_at(c, (size_t)x / 2, (size_t)y / 4);
    at->dots |= bits[y % 4][x % 2];
    at->series = (uint32_t)series;
}

static void line(canvas *c, long x0, long y0, long x1, long y1, size_t series) {
    const long dx = labs(x1 - x0), dy = labs(y1 - y0), steps = dx > dy ? dx : dy;
    dot(c, x0, y0, series);
    for (long i = 1; i <= steps; i++) {
        const double share = (double)i / (double)steps;
        dot(c, x0 + (long)rint(share * (double)(x1 - x0)),
            y0 + (long)rint(share * (double)(y1 - y0)), series);
    }
}

static void draw_series(canvas *c, const bv_plot *plot, size_t s, const bv_axis *x,
                        const bv_axis *y) {
    const bv_series *series = &plot->series[s];
    const double width = 2 * (double)c->columns - 1, height = 4 * (double)c->rows - 1;
    bool open = false;
    long last_x = 0, last_y = 0;
    for (size_t i = 0; i < series->count; i++) {
        if (!bv_plot_shown(plot, series->x[i], series->y[i])) {
            open = false;
            continue;
        }
        const long px = (long)rint(bv_axis_share(x, series->x[i]) * width);
        const long py = (long)rint((1 - bv_axis_share(y, series->y[i])) * height);
        if (series->dots) {
            cell *at = cell_at(c, (size_t)px / 2, (size_t)py / 4);
            at->mark = 1;
            at->series = (uint32_t)s;
        } else if (open) {
            line(c, last_x, last_y, px, py, s);
        } else {
            dot(c, px, py, s);
        }
        last_x = px, last_y = py, open = true;
    }
}

static void put_cell(const canvas *c, const cell *at, bool color, bv_buffer *out) {
    if (!at->dots && !at->mark) {
        bv_buffer_text(out, " ");
        return;
    }
    if (color) bv_buffer_text(out, colors[bv_plot_color(c->plot, at->series, BV_TERMINAL_COLORS)]);
    if (!c->unicode) {
        bv_buffer_append(out, letter_of(at->series), 1);
    } else if (at->mark) {
        bv_buffer_text(out, "\xe2\x97\x8f"); /* U+25CF */
    } else {
        const char braille[3] = {(char)0xe2, (char)(0xa0 | at->dots >> 6),
                                 (char)(0x80 | (at->dots & 0x3f))};
        bv_buffer_append(out, braille, 3);
    }
    if (color) bv_buffer_text(out, "\033[0m");
}

/* The label of the tick that falls on this row of cells, right-aligned, and the axis. */
static void put_gutter(const canvas *c, const bv_axis *y, size_t row, bv_buffer *out) {
    const char *text = "";
    bv_tick_label found;
    for (size_t i = 0; i < y->tick_count; i++) {
        const double at = (1 - bv_axis_share(y, y->ticks[i])) * (4 * (double)c->rows - 1);
        if ((size_t)rint(at) / 4 != row) continue;
        found = bv_axis_label(y, y->ticks[i]);
        if (strlen(found.text) <= GUTTER - 2) text = found.text; /* never a part of a number */
    }
    const bool tick = *text != 0;
    bv_buffer_printf(out, "%*s%s", GUTTER - 2, text,
                     c->unicode ? (tick ? " \xe2\x94\xa4" : " \xe2\x94\x82")
                                : (tick ? " +" : " |"));
}

static void put_x_axis(const canvas *c, const bv_plot *plot, const bv_axis *x, bv_buffer *out) {
    char labels[512];
    memset(labels, ' ', sizeof labels);
    size_t used = 0;
    for (size_t i = 0; i < x->tick_count; i++) {
        const bv_tick_label label = bv_axis_label(x, x->ticks[i]);
        const size_t length = strlen(label.text);
        size_t at = (size_t)rint(bv_axis_share(x, x->ticks[i]) * (double)(c->columns - 1));
        at = at + GUTTER > length / 2 ? at + GUTTER - length / 2 : 0;
        if (at + length > c->columns + GUTTER) at = c->columns + GUTTER - length;
        if (used && at < used + 2) continue; /* would touch the one before */
        memcpy(labels + at, label.text, length);
        used = at + length;
    }
    bv_buffer_append(out, labels, used);
    if (plot->x_label && used + 2 + strlen(plot->x_label) <= c->columns + GUTTER) {
        bv_buffer_text(out, "  ");
        bv_text_visible(out, plot->x_label);
    }
    bv_buffer_text(out, "\n");
}

static const char *name_of(const bv_series *series) {
    return series->name ? series->name : "";
}

/* Title and series; of many, in as many lines as they need. Returns how many. */
static size_t put_title(const bv_plot *plot, const bv_terminal_plot_options *o, bv_buffer *out) {
    const char *title = plot->title ? plot->title : "";
    size_t column = GUTTER + strlen(title), lines = 1;
    bv_buffer_printf(out, "%*s", GUTTER, "");
    bv_text_visible(out, title);
    for (size_t s = 0; s < plot->series_count; s++) {
        const bool dots = plot->series[s].dots;
        const size_t size = strlen(name_of(&plot->series[s])) + 6;
        if (plot->series_count > 2 && column > GUTTER && column + size > o->columns) {
            bv_buffer_printf(out, "\n%*s", GUTTER, "");
            column = GUTTER;
            lines++;
        }
        column += size;
        bv_buffer_printf(out, "   %s",
                         o->color ? colors[bv_plot_color(plot, s, BV_TERMINAL_COLORS)] : "");
        if (o->unicode)
            bv_buffer_text(out, dots ? "\xe2\x97\x8f" : "\xe2\xa0\x92\xe2\xa0\x92");
        else
            bv_buffer_append(out, letter_of(s), 1);
        bv_buffer_printf(out, "%s ", o->color ? "\033[0m" : "");
        bv_text_visible(out, name_of(&plot->series[s]));
    }
    bv_buffer_text(out, "\n");
    return lines;
}

static size_t within(size_t value, size_t low, size_t high) {
    return value < low ? low : value > high ? high : value;
}

bv_status bv_terminal_plot(const bv_plot *plot, const bv_terminal_plot_options *options,
                           bv_buffer *out) {
    const size_t head = put_title(plot, options, out), rows = within(options->rows, 8, 100);
    canvas c = {.columns = within(options->columns, 30, 400) - GUTTER,
                .rows = rows > head + 6 ? rows - head - 2 : 5,
                .unicode = options->unicode,
                .plot = plot};
    c.cells = bv_calloc(c.columns * c.rows, sizeof *c.cells);
    if (!c.cells) return bv_fail_memory("a plot");
    bv_axis x, y;
    bv_plot_axes(plot, c.columns / 10, c.rows / 2, &x, &y);
    for (size_t s = 0; s < plot->series_count; s++) draw_series(&c, plot, s, &x, &y);

    for (size_t row = 0; row < c.rows; row++) {
        put_gutter(&c, &y, row, out);
        size_t end = c.columns; /* no blanks at the end of a line */
        while (end > 0 && !cell_at(&c, end - 1, row)->dots && !cell_at(&c, end - 1, row)->mark)
            end--;
        for (size_t k = 0; k < end; k++) put_cell(&c, cell_at(&c, k, row), options->color, out);
        bv_buffer_text(out, "\n");
    }
    bv_buffer_printf(out, "%*s", GUTTER - 1, "");
    bv_buffer_text(out, c.unicode ? "\xe2\x94\x94" : "+");
    for (size_t k = 0; k < c.columns; k++) bv_buffer_text(out, c.unicode ? "\xe2\x94\x80" : "-");
    bv_buffer_text(out, "\n");
    put_x_axis(&c, plot, &x, out);
    bv_free(c.cells);
    return bv_buffer_error(out);
}

#include "report/svg.h"

#include "base/text.h"
#include <math.h>
#include <string.h>

#define WIDTH 800.0
#define HEIGHT 420.0
#define LEFT 64.0
#define RIGHT 20.0
#define TOP 44.0
#define BOTTOM 52.0
#define NAME_HEIGHT 20.0 /* of the legend */
#define COLORS 12

static const char style[] =
    "<style>\n"
    "text{font:13px system-ui,sans-serif;fill:#444c56}\n"
    ".title{font-size:16px;font-weight:600;fill:#1f2328}\n"
    ".grid{stroke:#d0d7de;stroke-width:1}\n"
    ".back{fill:#ffffff}\n"
    ".line{fill:none;stroke:currentColor;stroke-width:1.6;stroke-linejoin:round;"
    "stroke-linecap:round}\n"
    ".dot{fill:currentColor}\n"
    ".dashed{stroke-dasharray:5 5;stroke-linecap:butt}\n"
    ".c0{color:#2f6fde}.c1{color:#d1601f}.c2{color:#2c8a4b}.c3{color:#8250df}\n"
    ".c4{color:#c2337f}.c5{color:#0f8b9e}.c6{color:#57606a}.c7{color:#9a7b00}\n"
    ".c8{color:#c62828}.c9{color:#7a4a2b}.c10{color:#5b8def}.c11{color:#1f2328}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#b1bac4}.title{fill:#f0f6fc}.grid{stroke:#30363d}.back{fill:#0d1117}\n"
    ".c0{color:#6ea8fe}.c1{color:#ff9a57}.c2{color:#57c27a}.c3{color:#c297ff}\n"
    ".c4{color:#ff7ab8}.c5{color:#4fd0e0}.c6{color:#9aa4ae}.c7{color:#e0c04a}\n"
    ".c8{color:#ff7b72}.c9{color:#c99a76}.c10{color:#9fc3ff}.c11{color:#f0f6fc}\n"
    "}\n</style>\n";

typedef struct picture {
    const bv_plot *plot;
    bv_axis x, y;
    bv_buffer *out;
} picture;

/* Appends a character of several bytes, or "?" for one that is no UTF-8 (a path may be anything,
 * but a picture that is no XML shows nothing); returns how many bytes it took. */
static size_t wide(bv_buffer *out, const char *p) {
    const unsigned char c = (unsigned char)*p;
    const size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (strnlen(p, length) == length && bv_utf8_valid_prefix(p, length) == length) {
        bv_buffer_append(out, p, length);
        return length;
    }
    bv_buffer_text(out, "?");
    return 1;
}

static void escaped(bv_buffer *out, const char *text) {
    for (const char *p = text ? text : ""; *p; p++) {
        const unsigned char c = (unsigned char)*p;
        if (c == '&')
            bv_buffer_text(out, "&amp;");
        else if (c == '<')
            bv_buffer_text(out, "&lt;");
        else if (c == '>')
            bv_buffer_text(out, "&gt;");
        else if (c == '"')
            bv_buffer_text(out, "&quot;");
        else if (c >= 0x80)
            p += wide(out, p) - 1;
        else if (c >= 0x20)
            bv_buffer_append(out, p, 1);
    }
}

static void label(bv_buffer *out, double x, double y, const char *how, const char *text) {
    bv_buffer_printf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, how);
    escaped(out, text);
    bv_buffer_text(out, "</text>\n");
}

static double at_x(const picture *p, double value) {
    return LEFT + bv_axis_share(&p->x, value) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const picture *p, double value) {
    return HEIGHT - BOTTOM - bv_axis_share(&p->y, value) * (HEIGHT - TOP - BOTTOM);
}

static void draw_axes(const picture *p) {
    for (size_t i = 0; i < p->y.tick_count; i++) {
        const double y = at_y(p, p->y.ticks[i]);
        bv_buffer_printf(p->out,
                         "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                         LEFT, y, WIDTH - RIGHT, y);
        label(p->out, LEFT - 8, y + 4.5, "text-anchor=\"end\"",
              bv_axis_label(&p->y, p->y.ticks[i]).text);
    }
    for (size_t i = 0; i < p->x.tick_count; i++) {
        const double x = at_x(p, p->x.ticks[i]);
        bv_buffer_printf(p->out,
                         "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                         x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5);
        label(p->out, x, HEIGHT - BOTTOM + 20, "text-anchor=\"middle\"",
              bv_axis_label(&p->x, p->x.ticks[i]).text);
    }
    label(p->out, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "text-anchor=\"middle\"",
          p->plot->x_label);
    bv_buffer_printf(p->out,
                     "<text text-anchor=\"middle\" transform=\"translate(16 %.1f) "
                     "rotate(-90)\">",
                     (TOP + HEIGHT - BOTTOM) / 2);
    escaped(p->out, p->plot->y_label);
    bv_buffer_text(p->out, "</text>\n");
}

/* The points of one pixel column, as the line from its lowest to its highest. */
typedef struct column {
    double x, first, low, high, last;
    size_t count;
} column;

static void flush(const picture *p, column *c, bool *open) {
    if (c->count == 0) return;
    /* Its first point twice: a line of no length is a dot, so that a lone point shows. */
    if (!*open) bv_buffer_printf(p->out, "M%.1f %.1f ", c->x, c->first);
    *open = true;
    bv_buffer_printf(p->out, "%.1f %.1f ", c->x, c->first);
    if (c->count > 2) bv_buffer_printf(p->out, "%.1f %.1f %.1f %.1f ", c->x, c->low, c->x, c->high);
    if (c->count > 1) bv_buffer_printf(p->out, "%.1f %.1f ", c->x, c->last);
    c->count = 0;
}

static const char *dashes_of(const bv_series *series) {
    return series->dashed ? " dashed" : "";
}

static void draw_line(const picture *p, const bv_series *series, size_t color) {
    bv_buffer_printf(p->out, "<path class=\"line c%zu%s\" d=\"", color, dashes_of(series));
    column c = {0};
    bool open = false;
    for (size_t i = 0; i < series->count; i++) {
        if (!bv_plot_shown(p->plot, series->x[i], series->y[i])) {
            flush(p, &c, &open);
            open = false; /* a gap */
            continue;
        }
        const double x = floor(2 * at_x(p, series->x[i])) / 2, y = at_y(p, series->y[i]);
        if (c.count && x != c.x) flush(p, &c, &open);
        if (c.count++ == 0) c = (column){x, y, y, y, y, 1};
        if (y < c.low) c.low = y;
        if (y > c.high) c.high = y;
        c.last = y;
    }
    flush(p, &c, &open);
    bv_buffer_text(p->out, "\"/>\n");
}

static void draw_dots(const picture *p, const bv_series *series, size_t color) {
    for (size_t i = 0; i < series->count; i++)
        if (bv_plot_shown(p->plot, series->x[i], series->y[i]))
            bv_buffer_printf(p->out,
                             "<circle class=\"dot c%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"/>\n",
                             color, at_x(p, series->x[i]), at_y(p, series->y[i]));
}

/* At the top, where fewer points are: curves that rise leave the left free. */
static bool legend_left(const picture *p) {
    size_t left = 0, right = 0;
    for (size_t s = 0; s < p->plot->series_count; s++)
        for (size_t i = 0; i < p->plot->series[s].count; i++) {
            const double px = p->plot->series[s].x[i], py = p->plot->series[s].y[i];
            if (!bv_plot_shown(p->plot, px, py) || bv_axis_share(&p->y, py) < 0.6) continue;
            const double x = bv_axis_share(&p->x, px);
            left += x < 0.4;
            right += x > 0.6;
        }
    return left < right;
}

/* More names than the drawing is high stand below it. */
static bool legend_below(const bv_plot *plot) {
    return NAME_HEIGHT * (double)plot->series_count > HEIGHT - TOP - BOTTOM;
}

static void draw_legend(const picture *p) {
    const bool below = legend_below(p->plot), left = below || legend_left(p);
    const double line = below ? LEFT : left ? LEFT + 10 : WIDTH - RIGHT - 34;
    double y = 14 + (below ? HEIGHT : TOP);
    for (size_t s = 0; s < p->plot->series_count; s++, y += NAME_HEIGHT) {
        bv_buffer_printf(p->out,
                         "<line class=\"line c%zu%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" "
                         "y2=\"%.1f\"/>\n",
                         bv_plot_color(p->plot, s, COLORS), dashes_of(&p->plot->series[s]), line,
                         y - 4.5, line + 24, y - 4.5);
        label(p->out, left ? line + 32 : line - 8, y,
              left ? "text-anchor=\"start\"" : "text-anchor=\"end\"", p->plot->series[s].name);
    }
}

bv_status bv_svg_plot(const bv_plot *plot, bv_buffer *out) {
    picture p = {.plot = plot, .out = out};
    const double names = NAME_HEIGHT * (double)plot->series_count;
    const double height = HEIGHT + (legend_below(plot) ? names : 0);
    bv_plot_axes(plot, 8, 7, &p.x, &p.y);
    bv_buffer_printf(out,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                     "width=\"%.0f\" height=\"%.0f\" role=\"img\">\n<title>",
                     WIDTH, height, WIDTH, height);
    escaped(out, plot->title);
    bv_buffer_text(out, "</title>\n");
    bv_buffer_text(out, style);
    bv_buffer_printf(out, "<rect class=\"back\" width=\"%.0f\" height=\"%.0f\" rx=\"6\"/>\n", WIDTH,
                     height);
    label(out, LEFT, 27, "class=\"title\"", plot->title);
    draw_axes(&p);
    for (size_t s = 0; s < plot->series_count; s++) {
        draw_line(&p, &plot->series[s], bv_plot_color(plot, s, COLORS));
        if (plot->series[s].dots) draw_dots(&p, &plot->series[s], bv_plot_color(plot, s, COLORS));
    }
    draw_legend(&p);
    bv_buffer_text(out, "</svg>\n");
    return bv_buffer_error(out);
}

/*
 * What a plot shows, for svg.h and terminal_plot.h to draw: series of points and two axes with
 * ticks at round numbers. Points that are not finite (or beyond 1e150, or not positive on a
 * logarithmic axis) are left out. Same plot, same bytes, on every machine. Borrowed data;
 * thread-safe.
 */
#ifndef BV_REPORT_PLOT_H
#define BV_REPORT_PLOT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bv_series {
    const char *name;
    const double *x, *y; /* x ascending */
    size_t count;
    bool dots;   /* marks the points: for series of few points */
    bool dashed; /* a limit, beside what is measured; only in pictures */
    int color;   /* 1 ..: which one; 0: by its place among the series */
} bv_series;

typedef struct bv_plot {
    const char *title, *x_label, *y_label; /* NULL: none */
    bool log_x, log_y;
    const bv_series *series;
    size_t series_count;
} bv_plot;

#define BV_TICKS_MAX 16

typedef struct bv_axis {
    double min, max; /* min < max */
    bool log;
    double ticks[BV_TICKS_MAX];
    size_t tick_count;
    int decimals; /* of a linear axis' labels */
} bv_axis;

typedef struct bv_tick_label {
    char text[24];
} bv_tick_label;

/* The axes that hold all points; about `x_ticks` and `y_ticks` ticks. Without points: 0 to 1. */
void bv_plot_axes(const bv_plot *plot, size_t x_ticks, size_t y_ticks, bv_axis *x, bv_axis *y);
/* Where a value stands on an axis: 0 at min, 1 at max. */
double bv_axis_share(const bv_axis *axis, double value);
bv_tick_label bv_axis_label(const bv_axis *axis, double value);
/* Which of `colors` colours a series has, from 0. */
size_t bv_plot_color(const bv_plot *plot, size_t series, size_t colors);
/* Can this point be drawn? */
bool bv_plot_shown(const bv_plot *plot, double x, double y);

#endif

#include "report/plot.h"

#include "kernel/real_host.h"
#include <math.h>
#include <stdio.h>

bool bv_plot_shown(const bv_plot *plot, double x, double y) {
    return fabs(x) < 1e150 && fabs(y) < 1e150 && (!plot->log_x || x > 1e-150) &&
           (!plot->log_y || y > 1e-150);
}

size_t bv_plot_color(const bv_plot *plot, size_t series, size_t colors) {
    const int chosen = plot->series[series].color;
    return (chosen > 0 ? (size_t)chosen - 1 : series) % colors;
}

/* The round number (1, 2 or 5 times a power of ten) that cuts `span` into at most `count` parts. */
static double round_step(double span, size_t count, int *decimals) {
    const double least = span / (double)(count ? count : 1);
    double power = 1;
    while (power < least) power *= 10;
    while (power >= least && power > 1e-300) power /= 10;
    *decimals = 0; /* now power < least <= 10 power */
    for (double p = power; p < 0.999999 && *decimals < 12; p *= 10) ++*decimals;
    if (2 * power >= least) return 2 * power;
    if (5 * power >= least) return 5 * power;
    if (*decimals > 0) --*decimals;
    return 10 * power;
}

static void linear_ticks(bv_axis *axis, size_t wanted, bool snap) {
    if (wanted > BV_TICKS_MAX - 2) wanted = BV_TICKS_MAX - 2;
    const double step = round_step(axis->max - axis->min, wanted, &axis->decimals);
    if (snap) {
        axis->min = floor(axis->min / step) * step;
        axis->max = ceil(axis->max / step) * step;
    }
    const double first = ceil(axis->min / step - 1e-9);
    for (size_t i = 0; axis->tick_count < BV_TICKS_MAX; i++) {
        const double tick = (first + (double)i) * step;
        if (tick > axis->max + 1e-9 * step) break;
        axis->ticks[axis->tick_count++] = tick;
    }
}

/* Ticks at these digits of every `skip`-th decade from this one on; false where they do not fit. */
static bool digit_ticks(bv_axis *axis, double decade, const double *digits, size_t count,
                        size_t skip) {
    axis->tick_count = 0;
    for (size_t n = 0; decade <= axis->max; decade *= 10, n++)
        for (size_t i = 0; i < count; i++) {
            const double tick = decade * digits[i];
            if (n % skip || tick < axis->min || tick > axis->max) continue;
            if (axis->tick_count == BV_TICKS_MAX) return false;
            axis->ticks[axis->tick_count++] = tick;
        }
    return true;
}

/* Ticks at some of the digits of each decade: fewer digits, the more decades. */
static void log_ticks(bv_axis *axis, size_t wanted) {
    static const double dense[] = {1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9}, some[] = {1, 2, 5}, one[] = {1};
    double decade = 1;
    while (decade > axis->min) decade /= 10;
    while (decade * 10 <= axis->min) decade *= 10;
    size_t decades = 0;
    for (double d = decade; d < axis->max; d *= 10) decades++;
    if (decades <= 2 && digit_ticks(axis, decade, dense, 10, 1)) return;
    if (decades <= 4 && digit_ticks(axis, decade, some, 3, 1)) return;
    digit_ticks(axis, decade, one, 1, decades / (wanted ? wanted : 1) + 1);
}

static void make_room(bv_axis *axis, bool any) {
    if (!any) {
        axis->min = axis->log ? 0.1 : 0;
        axis->max = 1;
    } else if (axis->min == axis->max) {
        const double some = axis->log ? 0 : fabs(axis->min) > 1 ? 0.1 * fabs(axis->min) : 0.5;
        axis->min = axis->log ? axis->min / 2 : axis->min - some;
        axis->max = axis->log ? axis->max * 2 : axis->max + some;
    }
}

static void place_ticks(bv_axis *axis, size_t wanted, bool snap) {
    if (axis->log) log_ticks(axis, wanted);
    if (axis->tick_count >= 2) return;
    axis->tick_count = 0; /* also of a logarithmic axis that lies between two of its ticks */
    linear_ticks(axis, wanted, snap);
}

void bv_plot_axes(const bv_plot *plot, size_t x_ticks, size_t y_ticks, bv_axis *x, bv_axis *y) {
    *x = (bv_axis){.min = INFINITY, .max = -INFINITY, .log = plot->log_x};
    *y = (bv_axis){.min = INFINITY, .max = -INFINITY, .log = plot->log_y};
    bool any = false;
    for (size_t s = 0; s < plot->series_count; s++)
        for (size_t i = 0; i < plot->series[s].count; i++) {
            const double px = plot->series[s].x[i], py = plot->series[s].y[i];
            if (!bv_plot_shown(plot, px, py)) continue;
            any = true;
            if (px < x->min) x->min = px;
            if (px > x->max) x->max = px;
            if (py < y->min) y->min = py;
            if (py > y->max) y->max = py;
        }
    make_room(x, any);
    make_room(y, any);
    place_ticks(x, x_ticks, false);
    place_ticks(y, y_ticks, !y->log);
}

double bv_axis_share(const bv_axis *axis, double value) {
    if (axis->log) return bv_log(value / axis->min) / bv_log(axis->max / axis->min);
    return (value - axis->min) / (axis->max - axis->min);
}

bv_tick_label bv_axis_label(const bv_axis *axis, double value) {
    bv_tick_label label;
    const double size = fabs(value);
    const bool whole = axis->log ? size >= 1000 && axis->decimals == 0 : axis->decimals == 0;
    if ((axis->log && !whole) || (size > 0 && (size < 1e-6 || size >= 1e15)))
        snprintf(label.text, sizeof label.text, "%.*g", axis->log && axis->decimals > 1 ? 6 : 3,
                 value);
    else if (whole && size >= 1e9)
        snprintf(label.text, sizeof label.text, "%gB", value / 1e9);
    else if (whole && size >= 1e6)
        snprintf(label.text, sizeof label.text, "%gM", value / 1e6);
    else if (whole && size >= 10000)
        snprintf(label.text, sizeof label.text, "%gk", value / 1000);
    else
        snprintf(label.text, sizeof label.text, "%.*f", axis->decimals, value + 0.0);
    return label;
}

/*
 * A plot as text: lines of braille dots (2 x 4 a character) for terminals that show Unicode, plain
 * ASCII else. A series with `dots` is drawn with marks, one a point. Thread-safe.
 */
#ifndef BV_REPORT_TERMINAL_PLOT_H
#define BV_REPORT_TERMINAL_PLOT_H

#include "base/buffer.h"
#include "base/status.h"
#include "report/plot.h"

typedef struct bv_terminal_plot_options {
    size_t columns, rows; /* of the whole drawing; at least 30 x 8 are taken, at most 400 x 100 */
    bool unicode;
    bool color; /* ANSI colours, one a series */
} bv_terminal_plot_options;

#define BV_TERMINAL_COLORS 6 /* so many series differ by colour */

/* Appends `rows` lines, and more where names of many series leave no room. */
bv_status bv_terminal_plot(const bv_plot *plot, const bv_terminal_plot_options *options,
                           bv_buffer *out);

#endif

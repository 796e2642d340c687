/*
 * A figure: a plot that a JSON file describes, for measurements that are no run of ours. An object
 * with "series", a list of objects with "name", "x" (ascending) and "y" (lists of as many numbers),
 * and optionally "dots", "dashed" (both false) and "color" (1 ..); beside it optionally "title",
 * "x_label", "y_label", "log_x" and "log_y". An unknown member is refused. One thread at a time.
 */
#ifndef BV_REPORT_FIGURE_H
#define BV_REPORT_FIGURE_H

#include "base/json.h"
#include "base/status.h"
#include "report/plot.h"

typedef struct bv_figure {
    bv_plot plot; /* borrows from the rest */
    json_t *json;
    bv_series *series;
    double *numbers;
    size_t points; /* of all series */
} bv_figure;

/* BV_CODE_INPUT for anything but that, naming the member. */
bv_status bv_figure_read(const char *path, bv_figure *out);
void bv_figure_free(bv_figure *figure);

#endif

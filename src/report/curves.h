/*
 * Loss curves of runs from their metrics.jsonl: training loss (averaged where there are more points
 * than pixels) and validation loss, by steps done. Lines that are not JSON are left out: a run may
 * be writing. One thread at a time.
 */
#ifndef BV_REPORT_CURVES_H
#define BV_REPORT_CURVES_H

#include "base/buffer.h"
#include "base/status.h"
#include "report/terminal_plot.h"

typedef struct bv_curve {
    double *step, *loss;
    size_t count, step_room, loss_room;
} bv_curve;

typedef struct bv_curves {
    const char *name; /* of the run, for the drawing; borrowed; NULL: none */
    bv_curve train, val;
} bv_curves;

/* BV_CODE_INPUT when the file has no loss yet. */
bv_status bv_curves_read(const char *path, bv_curves *out);
void bv_curves_free(bv_curves *curves);

/* The evaluation of the least loss; false where there is none. */
bool bv_curves_best(const bv_curves *curves, double *step, double *loss);

#define BV_CURVES_MAX 64 /* runs in one drawing */

/* Appends the curves of runs in one SVG picture, or as lines of text. */
bv_status bv_curves_svg(const bv_curves *runs, size_t count, bv_buffer *out);
bv_status bv_curves_text(const bv_curves *runs, size_t count,
                         const bv_terminal_plot_options *options, bv_buffer *out);

#endif

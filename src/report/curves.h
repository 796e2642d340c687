/*
 * The curves of a run, read from its metrics.jsonl (one JSON object a line, with "step" and any of
 * "loss", "val_loss", "lr", "grad_norm", "tokens_per_s") and drawn. A step that was done again
 * after a resume counts as it was done last. A last line without a newline was being written when
 * the run was killed, and is left out. One thread at a time.
 */
#ifndef BV_REPORT_CURVES_H
#define BV_REPORT_CURVES_H

#include "base/buffer.h"
#include "base/status.h"
#include "report/plot.h"
#include <stddef.h>

typedef struct bv_curve {
    double *x, *y; /* x: steps, strictly ascending; y: finite or not, as the run was */
    size_t count, capacity;
} bv_curve;

typedef struct bv_curves {
    bv_curve loss, val_loss;
} bv_curves; /* {0} is empty */

/* path: a metrics.jsonl. A line that is no JSON object, or has no "step", is BV_CODE_INPUT naming
 * the line; a file without any loss too. After a failure there is nothing to free. */
bv_status bv_curves_read(const char *path, bv_curves *out);
void bv_curves_free(bv_curves *curves);

/* Appends points by hand; step must not fall below the curve's last (equal: replaces). False
 * without memory. */
bool bv_curve_add(bv_curve *curve, double step, double value);

/* The plot of training and validation loss for svg.h and terminal_plot.h. With many points the
 * training loss is smoothed (the mean over a window of 2 % of the points) and the raw points are
 * not shown. */
typedef struct bv_curves_plot {
    bv_plot plot;
    bv_series series[2];
    bv_curve smooth;
} bv_curves_plot;
bv_status bv_curves_draw(const bv_curves *curves, const char *title, bv_curves_plot *out);
void bv_curves_plot_free(bv_curves_plot *plot);

/* Both at once: reads RUN/metrics.jsonl, writes the SVG to `path` (NULL: RUN/loss.svg), and when
 * `terminal` is not NULL appends the drawing for a terminal with these options. */
struct bv_terminal_plot_options;
bv_status bv_curves_report(const char *run, const char *path,
                           const struct bv_terminal_plot_options *options, bv_buffer *terminal);

/* Does this environment show Unicode (LC_ALL, LC_CTYPE, LANG name UTF-8)? */
bool bv_locale_is_utf8(void);

#endif

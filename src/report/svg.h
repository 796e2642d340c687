/*
 * A plot as SVG: one file, readable on light and on dark pages (its colours follow the reader's
 * preference), no scripts, no fonts of its own. The same plot gives the same bytes. Points closer
 * than a pixel are drawn as their range. Thread-safe.
 */
#ifndef BV_REPORT_SVG_H
#define BV_REPORT_SVG_H

#include "base/buffer.h"
#include "base/status.h"
#include "report/plot.h"

/* Appends the picture, 800 x 420. */
bv_status bv_svg_plot(const bv_plot *plot, bv_buffer *out);

#endif

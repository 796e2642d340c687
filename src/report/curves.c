#include "report/curves.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "report/svg.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTS 400 /* of a curve as it is drawn, about */

static bv_status add(bv_curve *c, double step, double loss) {
    if (!bv_list_grow((void **)&c->step, c->count, &c->step_room, sizeof step) ||
        !bv_list_grow((void **)&c->loss, c->count, &c->loss_room, sizeof loss))
        return bv_fail_memory("a curve");
    c->step[c->count] = step;
    c->loss[c->count++] = loss;
    return BV_OK;
}

static bv_status add_line(bv_curves *curves, const char *line, size_t size, const char *path) {
    json_t *value = NULL;
    bv_error *error = bv_json_parse(line, size, path, &value);
    if (error) {
        const bv_code code = bv_error_code(error);
        if (code == BV_CODE_MEMORY) return error;
        bv_error_free(&error);
        return BV_OK;
    }
    const json_t *step = json_object_get(value, "step"), *loss = json_object_get(value, "loss");
    const json_t *val_loss = json_object_get(value, "val_loss");
    const bool skipped = json_object_get(value, "event") != NULL;
    if (json_is_number(step) && json_is_number(loss) && !skipped)
        error = add(&curves->train, json_number_value(step), json_number_value(loss));
    if (!error && json_is_number(step) && json_is_number(val_loss))
        error = add(&curves->val, json_number_value(step), json_number_value(val_loss));
    json_decref(value);
    return error;
}

bv_status bv_curves_read(const char *path, bv_curves *out) {
    bv_buffer text = {0};
    *out = (bv_curves){0};
    bv_error *error = bv_file_read(path, &text);
    for (size_t at = 0; !error && at < text.size;) {
        const char *line = text.data + at, *end = memchr(line, '\n', text.size - at);
        if (!end) break;
        error = add_line(out, line, (size_t)(end - line), path);
        at += (size_t)(end - line) + 1;
    }
    bv_buffer_free(&text);
    if (!error && out->train.count == 0 && out->val.count == 0)
        error = bv_fail(BV_CODE_INPUT, "%s has no losses yet", path);
    if (error) bv_curves_free(out);
    return error;
}

void bv_curves_free(bv_curves *c) {
    bv_free(c->train.step);
    bv_free(c->train.loss);
    bv_free(c->val.step);
    bv_free(c->val.loss);
    *c = (bv_curves){0};
}

/* Means of neighbouring points, so that at most about POINTS are left. */
static bv_status thin(const bv_curve *from, bv_curve *to) {
    const size_t each = from->count / POINTS + 1;
    for (size_t i = 0; i < from->count; i += each) {
        const size_t n = from->count - i < each ? from->count - i : each;
        double step = 0, loss = 0;
        for (size_t k = i; k < i + n; k++) step += from->step[k], loss += from->loss[k];
        BV_TRY(add(to, step / (double)n, loss / (double)n));
    }
    return BV_OK;
}

bool bv_curves_best(const bv_curves *c, double *step, double *loss) {
    *loss = INFINITY;
    for (size_t i = 0; i < c->val.count; i++)
        if (c->val.loss[i] < *loss) {
            *loss = c->val.loss[i];
            *step = c->val.step[i];
        }
    return *loss < INFINITY;
}

/* Of one run: training and validation, of two colours. Of several: one colour and a name each. */
typedef struct drawing {
    bv_curves few[BV_CURVES_MAX];
    bv_series series[2 * BV_CURVES_MAX];
    char names[BV_CURVES_MAX][128]; /* of validation curves */
} drawing;

static bv_status add_run(drawing *d, const bv_curves *run, size_t index, bool alone) {
    bv_curve *train = &d->few[index].train;
    const char *name = run->name ? run->name : "";
    const int color = alone ? 0 : (int)index + 1;
    BV_TRY(thin(&run->train, train));
    snprintf(d->names[index], sizeof d->names[index], "%s, validation", name);
    d->series[2 * index] = (bv_series){.name = alone ? "training" : name,
                                       .x = train->step,
                                       .y = train->loss,
                                       .count = train->count,
                                       .color = color};
    d->series[2 * index + 1] = (bv_series){.name = alone ? "validation" : d->names[index],
                                           .x = run->val.step,
                                           .y = run->val.loss,
                                           .count = run->val.count,
                                           .color = color,
                                           .dashed = !alone,
                                           .dots = true};
    return BV_OK;
}

/* Draws as SVG, or as text with options. */
static bv_status draw(const bv_curves *runs, size_t count, const bv_terminal_plot_options *options,
                      bv_buffer *out) {
    BV_ASSERT(count > 0 && count <= BV_CURVES_MAX);
    drawing *d = bv_calloc(1, sizeof *d);
    bv_error *error = d ? BV_OK : bv_fail_memory("a plot");
    for (size_t i = 0; !error && i < count; i++) error = add_run(d, &runs[i], i, count == 1);
    if (!error) {
        const bv_plot plot = {.title = count == 1 ? runs->name : "loss",
                              .x_label = "step",
                              .y_label = "loss (nats a token)",
                              .series = d->series,
                              .series_count = 2 * count};
        error = options ? bv_terminal_plot(&plot, options, out) : bv_svg_plot(&plot, out);
    }
    for (size_t i = 0; d && i < count; i++) bv_curves_free(&d->few[i]);
    bv_free(d);
    return error;
}

bv_status bv_curves_svg(const bv_curves *runs, size_t count, bv_buffer *out) {
    return draw(runs, count, NULL, out);
}

bv_status bv_curves_text(const bv_curves *runs, size_t count,
                         const bv_terminal_plot_options *options, bv_buffer *out) {
    return draw(runs, count, options, out);
}

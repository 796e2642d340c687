#include "report/curves.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "report/svg.h"
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

/* Draws by `svg`, or by text options. */
static bv_status draw(const bv_curves *c, const char *title,
                      const bv_terminal_plot_options *options, bv_buffer *out) {
    bv_curves few = {0};
    bv_error *error = thin(&c->train, &few.train);
    const bv_series series[] = {
        {.name = "training", .x = few.train.step, .y = few.train.loss, .count = few.train.count},
        {.name = "validation",
         .x = c->val.step,
         .y = c->val.loss,
         .count = c->val.count,
         .dots = true},
    };
    const bv_plot plot = {.title = title,
                          .x_label = "step",
                          .y_label = "loss (nats a token)",
                          .series = series,
                          .series_count = 2};
    if (!error) error = options ? bv_terminal_plot(&plot, options, out) : bv_svg_plot(&plot, out);
    bv_curves_free(&few);
    return error;
}

bv_status bv_curves_svg(const bv_curves *curves, const char *title, bv_buffer *out) {
    return draw(curves, title, NULL, out);
}

bv_status bv_curves_text(const bv_curves *curves, const char *title,
                         const bv_terminal_plot_options *options, bv_buffer *out) {
    return draw(curves, title, options, out);
}

#include "report/curves.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"
#include "report/svg.h"
#include "report/terminal_plot.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SMOOTH_FROM 200 /* points; fewer are shown as they are */
#define SMOOTH_SHARE 50 /* a window is this part of the points */

/* ---- curves ---- */

static bool grow(bv_curve *c) {
    if (c->count < c->capacity) return true;
    const size_t capacity = c->capacity ? 2 * c->capacity : 64;
    double *x = bv_realloc(c->x, capacity * sizeof *x);
    if (x) c->x = x;
    double *y = bv_realloc(c->y, capacity * sizeof *y);
    if (y) c->y = y;
    if (!x || !y) return false;
    c->capacity = capacity;
    return true;
}

bool bv_curve_add(bv_curve *curve, double step, double value) {
    if (curve->count && curve->x[curve->count - 1] >= step) curve->count--;
    if (!grow(curve)) return false;
    curve->x[curve->count] = step;
    curve->y[curve->count++] = value;
    return true;
}

static void curve_free(bv_curve *curve) {
    bv_free(curve->x);
    bv_free(curve->y);
    *curve = (bv_curve){0};
}

void bv_curves_free(bv_curves *curves) {
    curve_free(&curves->loss);
    curve_free(&curves->val_loss);
}

/* ---- reading ---- */

/* A run that went back to an earlier step does what follows again. */
static void go_back(bv_curve *curve, double step) {
    while (curve->count && curve->x[curve->count - 1] >= step) curve->count--;
}

/* A number, or one that JSON cannot say and that was written as null or as a word. */
static bool value_of(const json_t *line, const char *key, double *out) {
    const json_t *value = json_object_get(line, key);
    if (!value) return false;
    *out = json_is_number(value) ? json_number_value(value) : NAN;
    return true;
}

static bv_status read_line(const char *text, size_t size, const char *path, size_t number,
                           bv_curves *curves) {
    json_t *line = NULL;
    bv_error *error = bv_json_parse(text, size, path, &line);
    double step, value;
    if (!error && !json_is_object(line)) error = bv_fail(BV_CODE_INPUT, "not a JSON object");
    if (!error) error = bv_json_get_double(line, "step", &step);
    bool fine = true;
    if (!error && value_of(line, "loss", &value)) {
        go_back(&curves->loss, step);
        go_back(&curves->val_loss, step + 0.5); /* not what was written just before, of this step */
        fine = bv_curve_add(&curves->loss, step, value);
    }
    if (!error && value_of(line, "val_loss", &value)) {
        go_back(&curves->val_loss, step);
        fine = fine && bv_curve_add(&curves->val_loss, step, value);
    }
    if (!fine) error = bv_fail_memory("a curve");
    json_decref(line);
    return bv_while(error, "reading %s:%zu", path, number);
}

bv_status bv_curves_read(const char *path, bv_curves *out) {
    *out = (bv_curves){0};
    bv_buffer text = {0};
    bv_error *error = bv_file_read(path, &text);
    size_t number = 1;
    for (const char *p = text.data; !error && p; number++) {
        const char *end = memchr(p, '\n', (size_t)(text.data + text.size - p));
        if (!end) break;
        if (end > p) error = read_line(p, (size_t)(end - p), path, number, out);
        p = end + 1;
    }
    if (!error && out->loss.count + out->val_loss.count == 0)
        error = bv_fail(BV_CODE_INPUT, "%s: no loss has been written yet", path);
    bv_buffer_free(&text);
    if (error) bv_curves_free(out);
    return error;
}

/* ---- drawing ---- */

/* Means over a sliding window of finite values; shorter at both ends, so that it stays centred. */
static bv_status smooth(const bv_curve *raw, bv_curve *out) {
    const size_t half = raw->count / SMOOTH_SHARE / 2;
    for (size_t i = 0; i < raw->count; i++) {
        size_t reach = i < half ? i : half;
        if (raw->count - 1 - i < reach) reach = raw->count - 1 - i;
        double sum = 0;
        size_t count = 0;
        for (size_t k = i - reach; k <= i + reach; k++) {
            if (!isfinite(raw->y[k])) continue;
            sum += raw->y[k];
            count++;
        }
        if (!bv_curve_add(out, raw->x[i], count ? sum / (double)count : NAN))
            return bv_fail_memory("a curve");
    }
    return BV_OK;
}

bv_status bv_curves_draw(const bv_curves *curves, const char *title, bv_curves_plot *out) {
    *out = (bv_curves_plot){.plot = {.title = title, .x_label = "step", .y_label = "loss"}};
    const bool many = curves->loss.count >= SMOOTH_FROM;
    bv_error *error = many ? smooth(&curves->loss, &out->smooth) : BV_OK;
    if (error) {
        bv_curves_plot_free(out);
        return error;
    }
    const bv_curve *loss = many ? &out->smooth : &curves->loss, *val = &curves->val_loss;
    bv_plot *plot = &out->plot;
    plot->series = out->series; /* the plot points into *out: it must not be moved */
    if (loss->count)
        out->series[plot->series_count++] =
            (bv_series){.name = many ? "training (mean)" : "training",
                        .x = loss->x,
                        .y = loss->y,
                        .count = loss->count};
    if (val->count)
        out->series[plot->series_count++] = (bv_series){.name = "validation",
                                                        .x = val->x,
                                                        .y = val->y,
                                                        .count = val->count,
                                                        .dots = val->count <= 60};
    return BV_OK;
}

void bv_curves_plot_free(bv_curves_plot *plot) {
    curve_free(&plot->smooth);
    *plot = (bv_curves_plot){0};
}

/* The last part of a path; bytes that are no UTF-8 would spoil the SVG. */
static void title_of(const char *run, bv_buffer *title) {
    size_t end = strlen(run);
    while (end > 1 && run[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && run[begin - 1] != '/') begin--;
    const size_t size = end - begin;
    const bool plain =
        size > 0 && run[begin] != '.' && bv_utf8_valid_prefix(run + begin, size) == size;
    bv_buffer_printf(title, "%.*s%s", plain ? (int)size : 0, run + begin,
                     plain ? ": loss" : "loss");
}

static bv_status draw_files(const bv_curves *curves, const char *title, const char *path,
                            const bv_terminal_plot_options *options, bv_buffer *terminal) {
    bv_curves_plot drawing;
    BV_TRY(bv_curves_draw(curves, title, &drawing));
    bv_buffer svg = {0};
    bv_error *error = bv_svg_plot(&drawing.plot, &svg);
    if (!error) error = bv_file_write(path, svg.data, svg.size);
    if (!error && terminal) error = bv_terminal_plot(&drawing.plot, options, terminal);
    bv_buffer_free(&svg);
    bv_curves_plot_free(&drawing);
    return error;
}

bv_status bv_curves_report(const char *run, const char *path,
                           const bv_terminal_plot_options *options, bv_buffer *terminal) {
    char *metrics = bv_path_join(run, "metrics.jsonl"), *own = bv_path_join(run, "loss.svg");
    bv_buffer title = {0};
    title_of(run, &title);
    bv_curves curves = {0};
    bv_error *error = metrics && own ? bv_buffer_error(&title) : bv_fail_memory("a path");
    if (!error) error = bv_curves_read(metrics, &curves);
    if (!error) error = draw_files(&curves, title.data, path ? path : own, options, terminal);
    bv_curves_free(&curves);
    bv_buffer_free(&title);
    bv_free(metrics);
    bv_free(own);
    return error;
}

bool bv_locale_is_utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (!value || !*value) continue; /* the first that is set decides */
        const char *dot = strchr(value, '.');
        return dot && (!strncasecmp(dot, ".utf-8", 6) || !strncasecmp(dot, ".utf8", 5));
    }
    return false;
}

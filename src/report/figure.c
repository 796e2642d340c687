#include "report/figure.h"

#include "base/memory.h"

#define COLOR_MAX 1000

static bv_status optional_text(const json_t *object, const char *key, const char **out) {
    return json_object_get(object, key) ? bv_json_get_string(object, key, out) : BV_OK;
}

static bv_status optional_bool(const json_t *object, const char *key, bool *out) {
    const json_t *value = json_object_get(object, key);
    if (value && !json_is_boolean(value))
        return bv_fail(BV_CODE_INPUT, "\"%s\" must be true or false", key);
    *out = json_is_true(value);
    return BV_OK;
}

/* Appends a list to the figure's numbers, which have room. */
static bv_status read_numbers(bv_figure *f, const json_t *object, const char *key, size_t count,
                              const double **out) {
    const json_t *list = json_object_get(object, key);
    double *numbers = f->numbers + f->points;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_number(value))
            return bv_fail(BV_CODE_INPUT, "\"%s\" has something that is no number", key);
        numbers[i] = json_number_value(value);
    }
    f->points += count;
    *out = numbers;
    return BV_OK;
}

static bv_status read_series(bv_figure *f, const json_t *value, bv_series *s) {
    static const char *const known[] = {"name", "x", "y", "dots", "dashed", "color"};
    BV_TRY(bv_json_check_members(value, known, sizeof known / sizeof *known));
    BV_TRY(bv_json_get_string(value, "name", &s->name));
    BV_TRY(optional_bool(value, "dots", &s->dots));
    BV_TRY(optional_bool(value, "dashed", &s->dashed));
    if (json_object_get(value, "color")) {
        int64_t color;
        BV_TRY(bv_json_get_int(value, "color", &color));
        if (color < 1 || color > COLOR_MAX)
            return bv_fail(BV_CODE_INPUT, "\"color\" must be 1 to %d", COLOR_MAX);
        s->color = (int)color;
    }
    s->count = json_array_size(json_object_get(value, "x"));
    BV_TRY(read_numbers(f, value, "x", s->count, &s->x));
    BV_TRY(read_numbers(f, value, "y", s->count, &s->y));
    for (size_t i = 1; i < s->count; i++)
        if (!(s->x[i - 1] <= s->x[i])) return bv_fail(BV_CODE_INPUT, "\"x\" must ascend");
    return BV_OK;
}

/* Lists are as long as each other, and how many numbers they have together. */
static bv_status count_points(const json_t *list, size_t *points) {
    const json_t *value;
    size_t i;
    *points = 0;
    json_array_foreach(list, i, value) {
        const json_t *x = json_object_get(value, "x"), *y = json_object_get(value, "y");
        if (!json_is_array(x) || !json_is_array(y) || json_array_size(x) != json_array_size(y))
            return bv_fail(BV_CODE_INPUT,
                           "series %zu: \"x\" and \"y\" must be lists of as many numbers", i + 1);
        *points += 2 * json_array_size(x);
    }
    return BV_OK;
}

static bv_status fill(bv_figure *f) {
    static const char *const known[] = {"title", "x_label", "y_label", "log_x", "log_y", "series"};
    if (!json_is_object(f->json)) return bv_fail(BV_CODE_INPUT, "it is no object");
    BV_TRY(bv_json_check_members(f->json, known, sizeof known / sizeof *known));
    BV_TRY(optional_text(f->json, "title", &f->plot.title));
    BV_TRY(optional_text(f->json, "x_label", &f->plot.x_label));
    BV_TRY(optional_text(f->json, "y_label", &f->plot.y_label));
    BV_TRY(optional_bool(f->json, "log_x", &f->plot.log_x));
    BV_TRY(optional_bool(f->json, "log_y", &f->plot.log_y));
    const json_t *list = json_object_get(f->json, "series");
    const size_t count = json_array_size(list);
    if (count == 0) return bv_fail(BV_CODE_INPUT, "\"series\" must be a list with something in it");
    size_t points;
    BV_TRY(count_points(list, &points));
    f->numbers = bv_calloc(points + 1, sizeof *f->numbers);
    f->series = bv_calloc(count, sizeof *f->series);
    if (!f->numbers || !f->series) return bv_fail_memory("a figure");
    for (size_t i = 0; i < count; i++)
        BV_TRY(bv_while(read_series(f, json_array_get(list, i), &f->series[i]),
                        "reading series %zu", i + 1));
    f->points /= 2;
    f->plot.series = f->series;
    f->plot.series_count = count;
    return BV_OK;
}

bv_status bv_figure_read(const char *path, bv_figure *out) {
    *out = (bv_figure){0};
    BV_TRY(bv_json_load(path, &out->json));
    bv_error *error = fill(out);
    if (error) bv_figure_free(out);
    return bv_while(error, "reading the figure %s", path);
}

void bv_figure_free(bv_figure *figure) {
    json_decref(figure->json);
    bv_free(figure->series);
    bv_free(figure->numbers);
    *figure = (bv_figure){0};
}

#include "train/metrics.h"

#include <string.h>

/* Does this line belong to the steps up to `step`? Only whole lines do. */
static bool stays(const char *line, size_t size, int64_t step) {
    json_t *value = NULL;
    bv_error *error = bv_json_parse(line, size, "metrics.jsonl", &value);
    int64_t at = -1;
    if (!error) error = bv_json_get_int(value, "step", &at);
    const bool kept = !error && at >= 0 && at <= step;
    json_decref(value);
    bv_error_free(&error);
    return kept;
}

bv_status bv_metrics_cut(const char *path, int64_t step) {
    if (!bv_file_exists(path)) return BV_OK;
    bv_buffer text = {0}, kept = {0};
    bv_error *error = bv_file_read(path, &text);
    for (size_t at = 0; !error && at < text.size;) {
        const char *line = text.data + at, *end = memchr(line, '\n', text.size - at);
        if (!end) break;
        const size_t size = (size_t)(end - line);
        if (stays(line, size, step)) bv_buffer_append(&kept, line, size + 1);
        at += size + 1;
    }
    if (!error) error = bv_buffer_error(&kept);
    if (!error && kept.size != text.size)
        error = bv_file_write(path, kept.data ? kept.data : "", kept.size);
    bv_buffer_free(&text);
    bv_buffer_free(&kept);
    return error;
}

bv_status bv_metrics_write(bv_append *file, json_t *line) {
    bv_buffer text = {0};
    bv_error *error = bv_json_text(line, 0, &text);
    if (!error) error = bv_append_line(file, text.data);
    bv_buffer_free(&text);
    json_decref(line);
    return error;
}

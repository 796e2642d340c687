#include "train/metrics.h"

#include <string.h>

#define RETURNED "returned"

/* Does this line belong to what was done up to `step`? Only whole lines do. */
static bv_status stays(const char *line, size_t size, uint64_t step, bool due, size_t *returns,
                       bool *kept) {
    json_t *value = NULL;
    bv_error *error = bv_json_parse(line, size, "metrics.jsonl", &value);
    if (bv_error_code(error) == BV_CODE_MEMORY) return error;
    int64_t at = -1;
    if (!error) error = bv_json_get_int(value, "step", &at);
    const bool past = !error && at >= 0 && (uint64_t)at <= step;
    *kept = past && !(due && (uint64_t)at == step && json_object_get(value, "val_loss"));
    const char *event = json_string_value(json_object_get(value, "event"));
    if (*kept && event && !strcmp(event, RETURNED)) ++*returns;
    json_decref(value);
    bv_error_free(&error);
    return BV_OK;
}

bv_status bv_metrics_cut(const char *path, uint64_t step, bool due, size_t *returns) {
    *returns = 0;
    if (!bv_file_exists(path)) return BV_OK;
    bv_buffer text = {0}, kept = {0};
    bv_error *error = bv_file_read(path, &text);
    for (size_t at = 0; !error && at < text.size;) {
        const char *line = text.data + at, *end = memchr(line, '\n', text.size - at);
        if (!end) break;
        const size_t size = (size_t)(end - line);
        bool whole = false;
        error = stays(line, size, step, due, returns, &whole);
        if (whole) bv_buffer_append(&kept, line, size + 1);
        at += size + 1;
    }
    if (!error) error = bv_buffer_error(&kept);
    if (!error && kept.size != text.size)
        error = bv_file_write(path, kept.data ? kept.data : "", kept.size);
    bv_buffer_free(&text);
    bv_buffer_free(&kept);
    return error;
}

json_t *bv_metrics_return(uint64_t step, uint64_t begin, uint64_t end) {
    return json_pack("{sI ss s[II]}", "step", (json_int_t)step, "event", RETURNED, "left_out",
                     (json_int_t)begin, (json_int_t)end);
}

bv_status bv_metrics_write(bv_append *file, json_t *line) {
    bv_buffer text = {0};
    bv_error *error = bv_json_text(line, 0, &text);
    if (!error) error = bv_append_line(file, text.data);
    bv_buffer_free(&text);
    json_decref(line);
    return error;
}

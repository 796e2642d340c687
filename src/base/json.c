#include "base/json.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jansson drops what it has no memory for without a word when values are put together, so the
 * failure is kept here until the value is written. */
static _Thread_local bool lost;

/* jansson 2.14's lexer goes on without the character for which it had no memory, and then reads
 * beyond its text. So while it parses, a reserve serves what is asked for after the first failure,
 * and its source ends there. */
static _Thread_local struct {
    char *memory;
    size_t size, used;
} reserve;

static void *allocate(size_t size) {
    void *pointer = reserve.memory && lost ? NULL : bv_malloc(size);
    if (pointer) return pointer;
    lost = true;
    size = (size + 15) / 16 * 16;
    if (size > reserve.size - reserve.used) return NULL;
    reserve.used += size;
    return reserve.memory + reserve.used - size;
}

static void release(void *pointer) {
    const uintptr_t at = (uintptr_t)pointer, begin = (uintptr_t)reserve.memory;
    if (at < begin || at >= begin + reserve.size) bv_free(pointer);
}

void bv_json_begin(void) {
    json_set_alloc_funcs(allocate, release);
}

static bool take_loss(void) {
    const bool was = lost;
    lost = false;
    return was;
}

typedef struct source {
    const char *text;
    size_t size, at;
} source;

/* One byte at a time, so that nothing is read after a failure. */
static size_t next_byte(void *buffer, size_t room, void *context) {
    source *s = context;
    if (lost || room == 0) return (size_t)-1;
    if (s->at == s->size) return 0;
    *(char *)buffer = s->text[s->at++];
    return 1;
}

/* Editors on Windows put U+FEFF before a text. */
static size_t mark_size(const char *text, size_t size) {
    return size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
}

/* before: lines of the file before the text. */
static bv_status parse(const char *text, size_t size, const char *origin, size_t before,
                       size_t flags, json_t **out) {
    json_error_t where;
    source from = {text, size, before ? 0 : mark_size(text, size)};
    *out = NULL;
    reserve.size = 4 * size + 4096;
    reserve.used = 0;
    reserve.memory = bv_malloc(reserve.size);
    if (!reserve.memory) {
        reserve.size = 0;
        return bv_fail_memory("JSON");
    }
    lost = false;
    *out = json_load_callback(next_byte, &from, flags, &where);
    const bool failed = take_loss();
    if (failed) {
        json_decref(*out);
        *out = NULL;
    }
    bv_free(reserve.memory);
    reserve.memory = NULL;
    reserve.size = 0;
    if (failed) return bv_fail_memory("JSON");
    if (*out) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "%s:%zu:%d: not JSON: %s", origin, before + (size_t)where.line,
                   where.column, where.text);
}

bv_status bv_json_parse(const char *text, size_t size, const char *origin, json_t **out) {
    return parse(text, size, origin, 0, JSON_REJECT_DUPLICATES, out);
}

bv_status bv_json_lines(const bv_buffer *text, const char *path, bv_json_line *each,
                        void *context) {
    size_t number = 1;
    for (size_t at = 0, end; at < text->size; at = end + 1, number++) {
        const char *line = text->data + at, *newline = memchr(line, '\n', text->size - at);
        end = newline ? (size_t)(newline - text->data) : text->size;
        if (strspn(line, " \t\r") >= end - at) continue;
        json_t *value;
        bv_error *error = parse(line, end - at, path, number - 1, JSON_REJECT_DUPLICATES, &value);
        if (!error) error = each(context, value);
        json_decref(value);
        if (error) return bv_while(error, "reading line %zu of %s", number, path);
    }
    return BV_OK;
}

bv_status bv_json_parse_nul(const char *text, size_t size, const char *origin, json_t **out) {
    return parse(text, size, origin, 0, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, out);
}

bv_status bv_json_load(const char *path, json_t **out) {
    bv_buffer text = {0};
    bv_error *error = bv_file_read(path, &text);
    if (!error) error = bv_json_parse(text.data ? text.data : "", text.size, path, out);
    bv_buffer_free(&text);
    return error;
}

static int append(const char *text, size_t size, void *out) {
    bv_buffer_append(out, text, size);
    return 0;
}

/* jansson would write 0.1 as 0.10000000000000001. */
static void put_real(double value, bv_buffer *out) {
    char text[40];
    bv_print_double(text, sizeof text, value);
    bv_buffer_text(out, text);
    if (!strpbrk(text, ".e")) bv_buffer_text(out, ".0"); /* stays a real when read */
}

static void put_line(int indent, int depth, bv_buffer *out) {
    if (indent > 0) bv_buffer_printf(out, "\n%*s", indent * depth, "");
}

/* False when jansson has no memory. */
static bool put(const json_t *value, int indent, int depth, bv_buffer *out) {
    bool ok = true;
    size_t count = 0;
    if (json_is_object(value)) {
        bv_buffer_text(out, "{");
        void *at = json_object_iter((json_t *)value);
        for (; ok && at; at = json_object_iter_next((json_t *)value, at)) {
            bv_buffer_text(out, count++ == 0 ? "" : indent ? "," : ", ");
            put_line(indent, depth + 1, out);
            json_t *key = json_string(json_object_iter_key(at));
            ok = key && put(key, 0, 0, out);
            json_decref(key);
            bv_buffer_text(out, ": ");
            ok = ok && put(json_object_iter_value(at), indent, depth + 1, out);
        }
        if (count) put_line(indent, depth, out);
        bv_buffer_text(out, "}");
    } else if (json_is_array(value)) {
        bv_buffer_text(out, "[");
        for (; ok && count < json_array_size(value); count++) {
            if (count) bv_buffer_text(out, indent ? "," : ", ");
            put_line(indent, depth + 1, out);
            ok = put(json_array_get(value, count), indent, depth + 1, out);
        }
        if (count) put_line(indent, depth, out);
        bv_buffer_text(out, "]");
    } else if (json_is_real(value)) {
        put_real(json_real_value(value), out);
    } else {
        ok = json_dump_callback(value, append, out, JSON_ENCODE_ANY) == 0;
    }
    return ok;
}

bv_status bv_json_text(const json_t *value, int indent, bv_buffer *out) {
    const bool ok = value && put(value, indent, 0, out);
    if (take_loss()) return bv_fail_memory("JSON");
    if (!ok)
        return bv_try(bv_fail(BV_CODE_INPUT, "JSON cannot hold it: a name that is no UTF-8, or a "
                                             "number that is not finite"),
                      "other names for files and folders");
    return bv_buffer_error(out);
}

bv_status bv_json_save(const char *path, const json_t *value) {
    bv_buffer out = {0};
    bv_error *error = bv_json_text(value, 2, &out);
    bv_buffer_text(&out, "\n");
    if (!error) error = bv_buffer_error(&out);
    if (!error) error = bv_file_write(path, out.data, out.size);
    bv_buffer_free(&out);
    return error;
}

json_t *bv_json_string(const void *bytes, size_t size) {
    bv_buffer text = {0};
    bv_text_utf8(&text, bytes, size, "\xef\xbf\xbd");
    json_t *value = text.failed ? NULL : json_stringn(text.data ? text.data : "", text.size);
    lost = lost || text.failed;
    bv_buffer_free(&text);
    return value;
}

json_t *bv_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static bv_error *unknown(const char *key, const char *const *known, size_t count) {
    const char *near = bv_suggest(key, known, count);
    bv_error *error = bv_fail(BV_CODE_INPUT, "unknown member \"%.60s\"", key);
    if (near) return bv_try(error, "\"%s\"", near);
    bv_buffer list = {0};
    for (size_t i = 0; i < count; i++) bv_buffer_printf(&list, "%s\"%s\"", i ? ", " : "", known[i]);
    if (list.data) error = bv_try(error, "one of %s", list.data);
    bv_buffer_free(&list);
    return error;
}

bv_status bv_json_check_members(const json_t *object, const char *const *known, size_t count) {
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        size_t i = 0;
        while (i < count && strcmp(known[i], key) != 0) i++;
        if (i == count) return unknown(key, known, count);
    }
    return BV_OK;
}

static bv_error *missing(const char *key, const char *wanted) {
    return bv_fail(BV_CODE_INPUT, "\"%s\" is missing or not %s", key, wanted);
}

bv_status bv_json_get_int(const json_t *object, const char *key, int64_t *out) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value)) return missing(key, "a whole number");
    *out = json_integer_value(value);
    return BV_OK;
}

bv_status bv_json_get_double(const json_t *object, const char *key, double *out) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) return missing(key, "a number");
    *out = json_number_value(value);
    return BV_OK;
}

bv_status bv_json_get_string(const json_t *object, const char *key, const char **out) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) return missing(key, "a string");
    *out = json_string_value(value);
    return BV_OK;
}

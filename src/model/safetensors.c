#include "model/safetensors.h"

#include "base/json.h"
#include "base/memory.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 100000000 /* bytes; the format's limit */

static int by_name(const void *a, const void *b) {
    return strcmp((*(const bv_named_tensor *const *)a)->name,
                  (*(const bv_named_tensor *const *)b)->name);
}

/* Header text, padded with spaces so that the data begins at a multiple of 8. */
static void write_header(const bv_named_tensor **sorted, size_t count, bv_buffer *out) {
    size_t offset = 0;
    bv_buffer_text(out, "{");
    for (size_t i = 0; i < count; i++) {
        const bv_named_tensor *t = sorted[i];
        const size_t end = offset + bv_named_tensor_elements(t) * sizeof(float);
        bv_buffer_printf(out, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", i ? "," : "", t->name);
        for (int k = 0; k < t->rank; k++) bv_buffer_printf(out, "%s%zu", k ? "," : "", t->shape[k]);
        bv_buffer_printf(out, "],\"data_offsets\":[%zu,%zu]}", offset, end);
        offset = end;
    }
    bv_buffer_text(out, "}");
    while (out->size % 8 && !out->failed) bv_buffer_text(out, " ");
}

static bv_status put(bv_writer *writer, bv_sha256 *hash, const void *bytes, size_t size) {
    bv_sha256_add(hash, bytes, size);
    return bv_writer_write(writer, bytes, size);
}

static bv_status write_all(bv_writer *writer, bv_sha256 *hash, const bv_named_tensor **sorted,
                           size_t count) {
    bv_buffer header = {0};
    write_header(sorted, count, &header);
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)header.size >> 8 * i);
    bv_error *error = bv_buffer_error(&header);
    if (!error) error = put(writer, hash, length, sizeof length);
    if (!error) error = put(writer, hash, header.data, header.size);
    for (size_t i = 0; !error && i < count; i++)
        error =
            put(writer, hash, sorted[i]->data, bv_named_tensor_elements(sorted[i]) * sizeof(float));
    bv_buffer_free(&header);
    return error;
}

bv_status bv_safetensors_write(const char *path, const bv_named_tensor *list, size_t count,
                               char text[BV_SHA256_TEXT_SIZE]) {
    const bv_named_tensor **sorted = bv_calloc(count + 1, sizeof *sorted);
    if (!sorted) return bv_fail_memory("a list of tensors");
    for (size_t i = 0; i < count; i++) {
        BV_ASSERT(list[i].dtype == BV_F32);
        sorted[i] = &list[i];
    }
    qsort(sorted, count, sizeof *sorted, by_name);
    bv_writer *writer = NULL;
    bv_sha256 *hash = NULL;
    bv_error *error = bv_sha256_begin(&hash);
    if (!error) error = bv_writer_open(path, &writer);
    if (!error) error = write_all(writer, hash, sorted, count);
    if (!error) error = bv_writer_commit(&writer);
    bv_writer_abort(&writer);
    if (hash) bv_sha256_end(&hash, text);
    bv_free(sorted);
    return error;
}

/* ---- reading ---- */

typedef struct opened {
    bv_map map;
    json_t *header;
    const unsigned char *data;
    size_t data_size;
} opened;

static void close_file(opened *f) {
    json_decref(f->header);
    bv_map_close(&f->map);
}

static bv_status open_file(const char *path, opened *f) {
    *f = (opened){.map = {.data = (const unsigned char *)""}};
    BV_TRY(bv_map_open(path, &f->map));
    uint64_t length = 0;
    for (int i = 0; i < 8 && f->map.size >= 8; i++) length |= (uint64_t)f->map.data[i] << 8 * i;
    if (f->map.size < 8 || length > f->map.size - 8)
        return bv_fail(BV_CODE_INPUT, "it has %zu bytes: cut off, or no safetensors file",
                       f->map.size);
    if (length > HEADER_MAX)
        return bv_fail(BV_CODE_INPUT, "its header has %llu bytes: no safetensors file",
                       (unsigned long long)length);
    BV_TRY(bv_json_parse((const char *)f->map.data + 8, (size_t)length, path, &f->header));
    f->data = f->map.data + 8 + length;
    f->data_size = f->map.size - 8 - (size_t)length;
    return BV_OK;
}

/* Where a tensor's data lie in the file, after all that the header says of it was checked. */
static bv_status find(const opened *f, const bv_named_tensor *t, const void **data) {
    const json_t *entry = json_object_get(f->header, t->name);
    if (!entry) return bv_fail(BV_CODE_INPUT, "tensor \"%s\" is missing", t->name);
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return bv_fail(BV_CODE_INPUT, "tensor \"%s\" has no shape", t->name);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    bool same = json_array_size(shape) == (size_t)t->rank;
    for (int i = 0; same && i < t->rank; i++)
        same = json_integer_value(json_array_get(shape, (size_t)i)) == (json_int_t)t->shape[i];
    if (!same) {
        bv_buffer text = {0};
        bv_error *error = bv_json_text(shape, 0, &text);
        if (!error)
            error = bv_fail(BV_CODE_INPUT, "tensor \"%s\": the file has %s, the model [%zu, %zu]",
                            t->name, text.data, t->shape[0], t->rank > 1 ? t->shape[1] : 1);
        bv_buffer_free(&text);
        return error;
    }
    if (!dtype || strcmp(dtype, "F32"))
        return bv_fail(BV_CODE_INPUT, "tensor \"%s\" is %s, not F32", t->name, dtype ? dtype : "?");
    const json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    const json_int_t end = json_integer_value(json_array_get(offsets, 1));
    const size_t bytes = bv_named_tensor_elements(t) * sizeof(float);
    if (begin < 0 || end < begin || (uint64_t)end > f->data_size || (size_t)(end - begin) != bytes)
        return bv_fail(BV_CODE_INPUT, "tensor \"%s\": bytes %lld..%lld do not hold its %zu",
                       t->name, (long long)begin, (long long)end, bytes);
    *data = f->data + begin;
    return BV_OK;
}

/* Nothing but the tensors of the list, and what may be said beside them. */
static bv_status check_rest(const opened *f, const bv_named_tensor *list, size_t count) {
    const size_t beside = json_object_get(f->header, "__metadata__") != NULL;
    const size_t there = json_object_size(f->header) - beside;
    size_t bytes = 0;
    if (there != count)
        return bv_fail(BV_CODE_INPUT, "it has %zu tensors, the model %zu", there, count);
    for (size_t i = 0; i < count; i++) bytes += bv_named_tensor_elements(&list[i]) * sizeof(float);
    if (bytes == f->data_size) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "its data have %zu bytes, its tensors %zu", f->data_size, bytes);
}

bv_status bv_safetensors_read(const char *path, const bv_named_tensor *list, size_t count) {
    opened f;
    bv_error *error = open_file(path, &f);
    for (size_t i = 0; !error && i < count; i++) {
        const void *data;
        error = find(&f, &list[i], &data);
        if (!error) memcpy(list[i].data, data, bv_named_tensor_elements(&list[i]) * sizeof(float));
    }
    if (!error) error = check_rest(&f, list, count);
    if (!error) error = bv_map_check(&f.map, path);
    close_file(&f);
    return bv_while(error, "loading %s", path);
}

bv_status bv_safetensors_map(const char *path, bv_named_tensor *list, size_t count, bv_map *map) {
    opened f;
    bv_error *error = open_file(path, &f);
    for (size_t i = 0; !error && i < count; i++) {
        const void *data = NULL;
        error = find(&f, &list[i], &data);
        if (!error && (uintptr_t)data % sizeof(float))
            error = bv_fail(BV_CODE_INPUT, "tensor \"%s\" is not aligned", list[i].name);
        list[i].data = (void *)data; /* read only, like the map */
    }
    if (!error) error = check_rest(&f, list, count);
    json_decref(f.header);
    *map = f.map;
    if (error) bv_map_close(map);
    return bv_while(error, "loading %s", path);
}

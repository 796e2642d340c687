#include "base/buffer.h"

#include "base/memory.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool bv_buffer_reserve(bv_buffer *buffer, size_t extra) {
    if (buffer->failed || extra >= SIZE_MAX - buffer->size) return !(buffer->failed = true);
    const size_t wanted = buffer->size + extra + 1;
    if (wanted <= buffer->capacity) return true;
    size_t capacity = buffer->capacity < SIZE_MAX / 2 ? 2 * buffer->capacity : wanted;
    if (capacity < wanted) capacity = wanted;
    if (capacity < 64) capacity = 64;
    char *larger = bv_realloc(buffer->data, capacity);
    if (!larger) return !(buffer->failed = true);
    buffer->data = larger;
    buffer->capacity = capacity;
    return true;
}

void bv_buffer_append(bv_buffer *buffer, const void *bytes, size_t size) {
    if (!bv_buffer_reserve(buffer, size)) return;
    if (size) memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    buffer->data[buffer->size] = 0;
}

void bv_buffer_text(bv_buffer *buffer, const char *text) {
    bv_buffer_append(buffer, text, strlen(text));
}

void bv_buffer_printf(bv_buffer *buffer, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const int length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    if (length < 0 || !bv_buffer_reserve(buffer, (size_t)length)) return;
    va_start(list, format);
    vsnprintf(buffer->data + buffer->size, (size_t)length + 1, format, list);
    va_end(list);
    buffer->size += (size_t)length;
}

void bv_buffer_clear(bv_buffer *buffer) {
    buffer->size = 0;
    buffer->failed = false;
    if (buffer->data) buffer->data[0] = 0;
}

void bv_buffer_free(bv_buffer *buffer) {
    bv_free(buffer->data);
    *buffer = (bv_buffer){0};
}

bool bv_buffer_equal(const bv_buffer *a, const bv_buffer *b) {
    return a->size == b->size && (!a->size || !memcmp(a->data, b->data, a->size));
}

bv_status bv_buffer_error(const bv_buffer *buffer) {
    return buffer->failed ? bv_fail_memory("a buffer") : BV_OK;
}

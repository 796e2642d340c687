/*
 * Buffer: a growing run of bytes, always followed by a NUL. Failure to grow is sticky, so that a
 * series of appends needs one check at its end (bv_buffer_error).
 */
#ifndef BV_BASE_BUFFER_H
#define BV_BASE_BUFFER_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct bv_buffer {
    char *data; /* NULL while empty and never grown */
    size_t size;
    size_t capacity;
    bool failed;
} bv_buffer; /* {0} is an empty buffer */

void bv_buffer_append(bv_buffer *buffer, const void *bytes, size_t size);
void bv_buffer_text(bv_buffer *buffer, const char *text);
void bv_buffer_printf(bv_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool bv_buffer_reserve(bv_buffer *buffer, size_t extra);
void bv_buffer_clear(bv_buffer *buffer); /* size 0, keeps the memory, clears failed */
void bv_buffer_free(bv_buffer *buffer);
bool bv_buffer_equal(const bv_buffer *a, const bv_buffer *b);
bv_status bv_buffer_error(const bv_buffer *buffer); /* BV_CODE_MEMORY when an append failed */

#endif

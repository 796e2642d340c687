/*
 * JSON glue over jansson: strict loading with position in the error, saving that is atomic, and
 * fetching of members with errors that name the file's member. Values are jansson's, reference
 * counted, one thread at a time.
 */
#ifndef BV_BASE_JSON_H
#define BV_BASE_JSON_H

#include "base/buffer.h"
#include "base/status.h"
#include <jansson.h>
#include <stdint.h>

/* Once, before all else: jansson then allocates through memory.h, and a value of which a part was
 * lost for want of memory is refused when it is written (on the thread that made it). */
void bv_json_begin(void);

/* Rejects duplicate keys; an error names line and column. A byte order mark at the beginning is
 * passed over. */
bv_status bv_json_load(const char *path, json_t **out);
bv_status bv_json_parse(const char *text, size_t size, const char *origin, json_t **out);
/* Lines of a file, each a value of its own, in order; blank ones are passed over. An error, of
 * `each` too, names the line. */
typedef bv_status bv_json_line(void *context, const json_t *line);
bv_status bv_json_lines(const bv_buffer *text, const char *path, bv_json_line *each, void *context);
/* Also strings with zero bytes (\u0000): mind json_string_length. */
bv_status bv_json_parse_nul(const char *text, size_t size, const char *origin, json_t **out);
/* Appends the text: indented by `indent`, or on one line for 0, in insertion order; numbers in the
 * fewest digits that read back equal. No newline at the end. NULL is what could not be put
 * together: BV_CODE_MEMORY if jansson had none, else BV_CODE_INPUT (a string that is no UTF-8). */
bv_status bv_json_text(const json_t *value, int indent, bv_buffer *out);
/* Indented by 2, in insertion order, newline at the end, all or nothing. */
bv_status bv_json_save(const char *path, const json_t *value);

/* What need not be UTF-8, as a program's or a model's output: each byte that is none becomes
 * U+FFFD. A new reference; NULL without memory. */
json_t *bv_json_string(const void *bytes, size_t size);

/* A number; null where it is not finite, which JSON cannot say. A new reference. */
json_t *bv_json_number(double value);

/* The members of an object are among these: another is BV_CODE_INPUT, with the nearest name, or all
 * of them, for a remedy. What is no object has none. */
bv_status bv_json_check_members(const json_t *object, const char *const *known, size_t count);

/* Members of an object; absent or of another type: BV_CODE_INPUT naming `key`. Borrowed. */
bv_status bv_json_get_int(const json_t *object, const char *key, int64_t *out);
bv_status bv_json_get_double(const json_t *object, const char *key,
                             double *out); /* also integers */
bv_status bv_json_get_string(const json_t *object, const char *key, const char **out);

#endif

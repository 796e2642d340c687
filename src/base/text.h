/* Small text helpers: number parsing that refuses trailing garbage, UTF-8, suggestions. */
#ifndef BV_BASE_TEXT_H
#define BV_BASE_TEXT_H

#include "base/buffer.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `what` names the thing in the error: --steps: "12x" is not a whole number. BV_CODE_USAGE. */
bv_status bv_parse_int(const char *what, const char *text, int64_t min, int64_t max, int64_t *out);
bv_status bv_parse_double(const char *what, const char *text, double min, double max, double *out);
bv_status bv_parse_bool(const char *what, const char *text, bool *out); /* true|false|1|0 */

/* With as few digits as read back to the same number; size >= 32. */
void bv_print_double(char *text, size_t size, double value);

/* Bytes of the valid UTF-8 prefix; equals size when all is valid (RFC 3629: no surrogates). */
size_t bv_utf8_valid_prefix(const void *bytes, size_t size);

/* Characters of UTF-8: bytes that do not continue one. */
size_t bv_utf8_characters(const void *bytes, size_t size);

/* Appends bytes that need not be UTF-8, with `mark` in place of each that is none. */
void bv_text_utf8(bv_buffer *out, const void *bytes, size_t size, const char *mark);

/* Appends text that others wrote as a terminal may get it: "?" for control characters, which could
 * do anything there, and for bytes that are no UTF-8. */
void bv_text_visible(bv_buffer *out, const char *text);
/* The first character of `size` > 0 bytes so. Returns the bytes that it took. */
size_t bv_text_visible_character(const char *text, size_t size, char out[5]);

/* Does a name end so, and is there something before it? */
bool bv_ends_with(const char *name, const char *end);

/* The only name that begins with the word, else the nearest by edit distance; NULL when none is
 * near enough to be meant. */
const char *bv_suggest(const char *word, const char *const *names, size_t count);

#endif

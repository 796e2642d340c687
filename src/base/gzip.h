/* Files that may be compressed with gzip (RFC 1952, by zlib). */
#ifndef BV_BASE_GZIP_H
#define BV_BASE_GZIP_H

#include "base/buffer.h"
#include "base/status.h"

/* Appends the content of a file, unpacked if it begins as gzip does. More than size_max bytes, or a
 * damaged file, is BV_CODE_INPUT. */
bv_status bv_gzip_read(const char *path, size_t size_max, bv_buffer *out);

#endif

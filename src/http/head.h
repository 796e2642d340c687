/*
 * The strict look at a raw block of headers, before a parser sees it: whatever proxies and servers
 * are known to read differently (request smuggling) is refused, so that there is one reading.
 * RFC 9112 sections 2.2, 3.2, 5, 6.3. Pure functions.
 */
#ifndef BV_HTTP_HEAD_H
#define BV_HTTP_HEAD_H

#include <stddef.h>

/* Bytes up to and with the first empty line, 0 when it is not there yet. `known` bytes were
 * searched before. */
size_t bv_http_head_end(const char *bytes, size_t size, size_t known);

/* What is wrong with a block that ends in an empty line, or NULL: CR without LF, LF without CR,
 * NUL, a line that begins with a blank (obs-fold), a blank before the colon, not exactly one Host
 * (of HTTP/1.0: at most one), more than one Content-Length or Transfer-Encoding, both of these. */
const char *bv_http_head_check(const char *bytes, size_t size);

#endif

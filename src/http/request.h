/*
 * A request as handlers see it. All texts are borrowed from the exchange that it belongs to and
 * end in NUL; nobody changes them while it lives, so any thread may read.
 */
#ifndef BV_HTTP_REQUEST_H
#define BV_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bv_http_header {
    const char *name; /* in lower case */
    const char *value;
} bv_http_header;

typedef struct bv_http_request {
    const char *method; /* "GET" */
    const char *path;   /* begins with a slash; still percent-encoded; without a query */
    const bv_http_header *headers;
    size_t header_count;
    const char *body; /* a NUL follows */
    size_t body_size;
    int minor;       /* HTTP/1.minor: 0 or 1 */
    bool keep_alive; /* the client would send more */
} bv_http_request;

/* The value of the first header of this name (lower case), or NULL. */
const char *bv_http_request_header(const bv_http_request *request, const char *name);

/* Decodes %XX in place; false when it is not well-formed or gives a NUL. */
bool bv_http_percent_decode(char *text);

#endif

/*
 * Routes: a table of rows, looked through in order. A pattern is a path whose segments are words or
 * :names; a name stands for one segment that is not empty. GET answers HEAD too.
 */
#ifndef BV_HTTP_ROUTER_H
#define BV_HTTP_ROUTER_H

#include "base/buffer.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct bv_http_exchange bv_http_exchange;
typedef void bv_http_handler(void *context, bv_http_exchange *exchange);

typedef struct bv_http_route {
    const char *method;
    const char *path; /* "/api/levels/:level" */
    bv_http_handler *handle;
    bool on_worker;    /* it may block, so it runs on another thread than the server's */
    size_t body_bytes; /* limit of the body; 0: the server's */
} bv_http_route;

#define BV_HTTP_PARAMETERS_MAX 4

typedef struct bv_http_parameter {
    const char *name; /* in the pattern: ends at a slash or the end */
    size_t name_size;
    const char *value; /* decoded, in the match's buffer */
} bv_http_parameter;

typedef struct bv_http_match {
    const bv_http_route *route; /* NULL: none */
    int status;                 /* then: 404, 405, or 400 for a path that cannot be decoded */
    bv_http_parameter parameters[BV_HTTP_PARAMETERS_MAX];
    size_t count;
    bv_buffer text;    /* the decoded path; free with bv_http_match_free */
    bv_buffer allowed; /* of 405: "GET, HEAD, POST" */
} bv_http_match;

/* Sets *match, which must be {0} or freed. 503 without memory. */
void bv_http_route_find(const bv_http_route *routes, size_t count, const char *method,
                        const char *path, bv_http_match *match);
void bv_http_match_free(bv_http_match *match);
const char *bv_http_match_parameter(const bv_http_match *match, const char *name); /* or NULL */

#endif

/*
 * A small blocking HTTP/1.1 client: one connection to one place, kept alive between calls. Plain
 * http only; no redirects, no cookies. For tools, tests, and model endpoints on the own machine or
 * behind a proxy. One thread at a time.
 */
#ifndef BV_HTTP_CLIENT_H
#define BV_HTTP_CLIENT_H

#include "base/buffer.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct bv_http_client bv_http_client;

/* `url` is http://host[:port][/prefix]; the prefix stands before the paths of calls. Connects at
 * the first call. */
bv_status bv_http_client_create(const char *url, bv_http_client **out);
void bv_http_client_destroy(bv_http_client **client); /* NULL is legal */

typedef struct bv_http_call {
    const char *path; /* begins with a slash */
    const void *body; /* JSON, to POST; NULL: none, and GET */
    size_t size;
    const char *headers; /* further ones, each with its \r\n; NULL: none */
    int timeout_ms;      /* for the whole call; 0: 60 s */
    size_t answer_max;   /* bytes of the answer's body; 0: 64 MiB */
    /* Given the body piece by piece instead of collecting it; false ends the call and closes the
     * connection, which is not an error. */
    bool (*piece)(void *context, const char *bytes, size_t size);
    /* Asked while it waits: a signal ends the call (BV_CODE_INTERRUPTED), 0 lets it wait on. */
    int (*interrupted)(void *context);
    void *context; /* of both */
} bv_http_call;

typedef struct bv_http_result {
    int status;
    bv_buffer head; /* status line and headers as they came */
    bv_buffer body; /* free both with bv_http_result_free */
} bv_http_result;

/* An answer of any status is success. BV_CODE_IO: cannot connect, no answer in time, cut off;
 * BV_CODE_INPUT: not HTTP, too large. A connection that the server closed meanwhile is made again
 * once, if it failed before a byte of the answer came. */
bv_status bv_http_client_call(bv_http_client *client, const bv_http_call *call,
                              bv_http_result *result);
void bv_http_result_free(bv_http_result *result);

#endif

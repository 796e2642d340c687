/*
 * A small strict HTTP/1.1 server with event streams, on libuv and llhttp. TLS and HTTP/2 are left
 * to a proxy in front of it.
 *
 * One thread runs the loop: it accepts, reads, parses, writes, and keeps the time. Handlers run on
 * it, or on libuv's worker threads where their route says so; answers may come from any thread
 * (exchange.h), each hand-over wakes the loop. A connection has one request under way at a time:
 * what a client sends ahead waits, up to a limit, beyond which the socket is not read (then its
 * going is noticed only by the next write).
 *
 * Reading goes on while a request is answered, so a client that goes is noticed at once also while
 * nothing is sent. All limits stand in limits.h.
 */
#ifndef BV_HTTP_SERVER_H
#define BV_HTTP_SERVER_H

#include "base/status.h"
#include "http/exchange.h"
#include "http/limits.h"
#include "http/router.h"

typedef struct bv_http_server bv_http_server;

/* Told on the server's thread when an answer has been written or given up (then status is 0). */
typedef struct bv_http_log_line {
    const char *address, *method, *path;
    int status;
    double ms; /* from the end of the request to the end of its answer */
} bv_http_log_line;
typedef void bv_http_log(void *context, const bv_http_log_line *line);

typedef struct bv_http_options {
    const char *host; /* an address or a name; NULL: 127.0.0.1 */
    int port;         /* 0: any free one */
    bv_http_limits limits;
    const bv_http_route *routes; /* must outlive the server */
    size_t route_count;
    void *context; /* given to handlers and callbacks */
    bv_http_log *log;
    /* Called about ten times a second on the server's thread; false stops the server. */
    bool (*tick)(void *context);
} bv_http_options;

/* Binds and listens, so that clients can connect from now on. */
bv_status bv_http_server_create(const bv_http_options *options, bv_http_server **out);
int bv_http_server_port(const bv_http_server *server);
/* Serves until stopped and every exchange is finished. */
bv_status bv_http_server_run(bv_http_server *server);
/* From any thread: accepts nobody any more, lets answers under way end for at most stop_ms, then
 * cancels them. */
void bv_http_server_stop(bv_http_server *server);
void bv_http_server_destroy(bv_http_server **server); /* after run; NULL is legal */

#endif

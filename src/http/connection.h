/*
 * A connection and the exchange on it: shared by server.c (accepting, the loop, the outbox),
 * connection.c (the states) and exchange.c (what handlers call). Inside src/http/ only.
 *
 *     IDLE ──byte──▶ HEAD ──▶ BODY ──▶ HANDLING ──finished──▶ WRITING ──▶ IDLE
 *      any of them ──▶ LINGER (an answer, then closing) ──▶ CLOSED
 *
 * Memory: a connection is freed when its socket is closed, its exchange is finished and no worker
 * runs its handler (refs == 0). Everything belongs to the loop's thread, except what is marked.
 */
#ifndef BV_HTTP_CONNECTION_H
#define BV_HTTP_CONNECTION_H

#include "base/buffer.h"
#include "http/exchange.h"
#include "http/parser.h"
#include "http/server.h"
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

typedef struct bv_http_connection bv_http_connection;

/* What goes from whoever answers to the loop: bytes, and what they do to the exchange. */
typedef struct bv_http_message {
    struct bv_http_message *next;
    bv_http_connection *connection;
    bv_buffer bytes;
    bool begins; /* the first bytes of a stream */
    bool ends;   /* the exchange is finished */
    bool cuts;   /* the connection is closed: memory ran out, or the client is too slow */
    bool is_own; /* embedded in the connection: not freed */
    uv_write_t write;
} bv_http_message;

struct bv_http_exchange {
    bv_http_connection *connection;
    bv_http_server *server;
    bv_http_match match;
    /* of the thread that answers */
    int status;
    bool keep_alive, head_only, chunked;
    bool broken; /* a part was lost for want of memory */
    /* under the server's lock */
    bool gone;
    bv_http_cancel *cancel;
    void *cancel_context;
    _Atomic size_t unsent;
};

enum bv_http_state {
    BV_HTTP_IDLE,
    BV_HTTP_READ_HEAD,
    BV_HTTP_READ_BODY,
    BV_HTTP_HANDLING,
    BV_HTTP_WRITING,
    BV_HTTP_LINGER,
    BV_HTTP_CLOSED,
};

struct bv_http_connection {
    uv_tcp_t tcp;
    uv_work_t work;
    uv_shutdown_t shutdown;
    bv_http_server *server;
    bv_http_connection *next, *previous;
    struct sockaddr_storage peer;
    char address[46];
    enum bv_http_state state;
    int refs; /* the socket, an exchange that is not finished, a worker */
    bv_http_parser *parser;
    bv_http_exchange exchange;
    bv_http_message last; /* the exchange's last message, so that finishing needs no memory */
    uint64_t deadline;    /* of the state, in the loop's milliseconds; 0: none */
    uint64_t write_deadline, ping_at, began_ns;
    size_t writes, queued; /* writes under way; their bytes when last looked at */
    size_t held;           /* memory of its requests and answers, as the server counts it */
    bool is_stream, is_working, close_after, eof, reading;
};

struct bv_http_server {
    bv_http_options options;
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_async_t wake;
    uv_timer_t ticker;
    pthread_t thread;
    int port;
    bv_http_connection *connections;
    int connection_count; /* sockets that are open */
    int alive;            /* connections whose memory is not freed */
    size_t held;          /* memory of requests and answers, of all of them */
    bool stopping;
    bool owes_accept; /* a connection waits that there was no memory for */
    uint64_t stop_at;
    char scratch[65536];  /* what a read fills before it is taken */
    pthread_mutex_t lock; /* recursive: a cancel callback may finish its exchange */
    bv_http_message *outbox, **outbox_end;
    _Atomic bool stop_wanted;
};

/* connection.c */
void bv_http_connection_start(bv_http_connection *c);
void bv_http_connection_tick(bv_http_connection *c, uint64_t now);
void bv_http_connection_take(bv_http_connection *c, bv_http_message *message);
void bv_http_connection_stop(bv_http_connection *c); /* the server stops: idle ones close */
void bv_http_connection_close(bv_http_connection *c);
/* server.c */
void bv_http_server_post(bv_http_server *server, bv_http_message *message); /* any thread */
void bv_http_server_drain(bv_http_server *server);
void bv_http_server_forget(bv_http_connection *c); /* its socket is closed */
void bv_http_server_freed(bv_http_server *server);
/* exchange.c */
void bv_http_exchange_cancel(bv_http_exchange *x);
void bv_http_answer_head(bv_buffer *out, int status, bool close);
void bv_http_answer_overload(bv_buffer *out, int status); /* all of it: come again, and closed */

#endif

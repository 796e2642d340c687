/* The states of a connection (connection.h draws them). All on the loop's thread. */
#include "http/connection.h"

#include "base/clock.h"
#include "base/memory.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void count_held(bv_http_connection *c, size_t held) {
    c->server->held += held - c->held;
    c->held = held;
}

/* What it has sent us, and what it has not taken yet. */
static void measure_held(bv_http_connection *c) {
    count_held(c, bv_http_parser_held(c->parser) + c->exchange.unsent);
}

static void release(bv_http_connection *c) {
    if (--c->refs > 0) return;
    bv_http_server *s = c->server;
    count_held(c, 0);
    bv_http_match_free(&c->exchange.match);
    bv_http_parser_destroy(&c->parser);
    bv_free(c);
    bv_http_server_freed(s);
}

static void set_state(bv_http_connection *c, enum bv_http_state state) {
    const bv_http_limits *l = &c->server->options.limits;
    const int ms[] = {
        [BV_HTTP_IDLE] = l->idle_ms,
        [BV_HTTP_READ_HEAD] = l->head_ms,
        [BV_HTTP_READ_BODY] = l->body_ms,
        [BV_HTTP_HANDLING] = 0,
        [BV_HTTP_WRITING] = 0, /* the writes have their own deadline */
        [BV_HTTP_LINGER] = l->linger_ms,
        [BV_HTTP_CLOSED] = 0,
    };
    c->state = state;
    c->deadline = ms[state] ? uv_now(&c->server->loop) + (uint64_t)ms[state] : 0;
}

static void start_reading(bv_http_connection *c);

/* ---- ending ---- */

static void on_closed(uv_handle_t *handle) {
    bv_http_connection *c = handle->data;
    bv_http_server_forget(c);
    release(c);
}

static void log_answer(bv_http_connection *c, int status) {
    const bv_http_options *o = &c->server->options;
    if (!o->log) return;
    const bv_http_request *r = bv_http_parser_request(c->parser);
    const bv_http_log_line line = {
        .address = c->address,
        .method = r->method ? r->method : "",
        .path = r->path ? r->path : "",
        .status = status,
        .ms = (double)(bv_clock_ns() - c->began_ns) * 1e-6,
    };
    o->log(o->context, &line);
}

void bv_http_connection_close(bv_http_connection *c) {
    if (c->state == BV_HTTP_CLOSED) return;
    const enum bv_http_state was = c->state;
    set_state(c, BV_HTTP_CLOSED);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    if (was == BV_HTTP_HANDLING || was == BV_HTTP_WRITING) log_answer(c, 0);
    if (was == BV_HTTP_HANDLING) bv_http_exchange_cancel(&c->exchange);
}

static void on_shut(uv_shutdown_t *shutdown, int status) {
    (void)shutdown, (void)status;
}

/* Our side is closed, theirs is read for a while: closing at once with unread bytes would reset the
 * connection and lose the answer on its way. */
static void linger(bv_http_connection *c) {
    set_state(c, BV_HTTP_LINGER);
    if (c->eof || uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shut) != 0) {
        bv_http_connection_close(c);
        return;
    }
    start_reading(c);
}

/* ---- requests ---- */

/* Lends the exchange; every path from here finishes it. */
static bv_http_exchange *begin_exchange(bv_http_connection *c) {
    const bv_http_request *r = bv_http_parser_request(c->parser);
    bv_http_exchange *x = &c->exchange;
    const bv_http_match match = x->match;
    memset(x, 0, sizeof *x);
    x->connection = c;
    x->server = c->server;
    x->match = match;
    x->gone = c->eof;
    c->refs++;
    c->is_stream = false;
    c->began_ns = bv_clock_ns();
    set_state(c, BV_HTTP_HANDLING);
    x->head_only = r->method && !strcmp(r->method, "HEAD");
    return x;
}

/* An answer after which the connection closes, since what follows cannot be told apart. */
static void reject(bv_http_connection *c, int status, const char *why) {
    c->close_after = true;
    bv_http_reply_error(begin_exchange(c), status, "%s", why);
}

static void on_worker(uv_work_t *work) {
    bv_http_connection *c = work->data;
    c->exchange.match.route->handle(c->server->options.context, &c->exchange);
}

static void on_all_written(bv_http_connection *c);

/* The handler may have finished long ago, or only lent its exchange to others. */
static void on_worked(uv_work_t *work, int status) {
    (void)status;
    bv_http_connection *c = work->data;
    c->is_working = false;
    if (c->state == BV_HTTP_WRITING && c->writes == 0) on_all_written(c);
    bv_http_server_drain(c->server);
    release(c);
}

static void answer_options(bv_http_exchange *x) {
    char headers[256];
    const char *allowed = x->match.allowed.data ? x->match.allowed.data : "GET, HEAD, POST";
    snprintf(headers, sizeof headers, "Allow: %s\r\n", allowed);
    bv_http_reply(x, &(bv_http_answer){.status = 204, .headers = headers});
}

static void dispatch(bv_http_connection *c) {
    const bv_http_request *r = bv_http_parser_request(c->parser);
    bv_http_exchange *x = begin_exchange(c);
    const bv_http_match *m = &x->match;
    c->close_after = !r->keep_alive || r->minor == 0 || c->server->stopping;
    x->keep_alive = !c->close_after;
    if (!m->route && !strcmp(r->method, "OPTIONS") && (m->status == 405 || *r->path == '*')) {
        answer_options(x);
    } else if (!m->route) {
        static const char *const why[] = {"the path is not well-formed", "there is no such path",
                                          "the path knows no such method", "out of memory"};
        const int i = m->status == 400 ? 0 : m->status == 404 ? 1 : m->status == 405 ? 2 : 3;
        bv_http_reply_error(x, m->status, "%s: %s %s", why[i], r->method, r->path);
    } else if (m->route->on_worker) {
        c->work.data = c;
        c->is_working = uv_queue_work(&c->server->loop, &c->work, on_worker, on_worked) == 0;
        c->refs += c->is_working;
        if (c->is_working) return;
        bv_http_reply_error(x, 503, "no thread for the request");
    } else {
        m->route->handle(c->server->options.context, x);
    }
}

static void write_continue(bv_http_connection *c) {
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    /* So short that the socket takes it whole, or the client has not read for long. */
    uv_buf_t part = uv_buf_init((char *)text, sizeof text - 1);
    if (uv_try_write((uv_stream_t *)&c->tcp, &part, 1) != (int)part.len)
        bv_http_connection_close(c);
}

/* The headers stand: may the body come? */
static void on_head(bv_http_connection *c) {
    const bv_http_options *o = &c->server->options;
    const bv_http_request *r = bv_http_parser_request(c->parser);
    bv_http_match *m = &c->exchange.match;
    bv_http_match_free(m);
    bv_http_route_find(o->routes, o->route_count, r->method, r->path, m);
    set_state(c, BV_HTTP_READ_BODY);
    if (m->route && m->route->body_bytes)
        bv_http_parser_limit_body(c->parser, m->route->body_bytes);
    else
        bv_http_parser_limit_body(c->parser, (size_t)o->limits.body_bytes);
    const char *expect = bv_http_request_header(r, "expect");
    if (!bv_http_parser_has_body(c->parser) || !expect || r->minor == 0) return;
    if (strcasecmp(expect, "100-continue") != 0)
        reject(c, 417, "only 100-continue can be expected");
    else if (bv_http_parser_step(c->parser) != BV_HTTP_BAD && m->route)
        write_continue(c);
    else if (!m->route)
        reject(c, m->status, "there is no such path or method");
}

static void advance(bv_http_connection *c) {
    while (c->state <= BV_HTTP_READ_BODY) {
        switch (bv_http_parser_step(c->parser)) {
        case BV_HTTP_MORE:
            if (c->state == BV_HTTP_IDLE && bv_http_parser_waiting(c->parser))
                set_state(c, BV_HTTP_READ_HEAD);
            start_reading(c);
            return;
        case BV_HTTP_HEAD:
            on_head(c);
            break;
        case BV_HTTP_DONE:
            dispatch(c);
            break;
        case BV_HTTP_BAD:
            reject(c, bv_http_parser_status(c->parser), bv_http_parser_why(c->parser));
            break;
        }
    }
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t wish, uv_buf_t *out) {
    (void)wish;
    bv_http_server *s = ((bv_http_connection *)handle->data)->server;
    *out = uv_buf_init(s->scratch, sizeof s->scratch);
}

/* The client may be gone, or may only have closed its half after its last request: who answers is
 * told, and what is answered still goes out. */
static void on_end(bv_http_connection *c) {
    c->eof = true;
    if (c->state == BV_HTTP_HANDLING) bv_http_exchange_cancel(&c->exchange);
    if (c->state == BV_HTTP_HANDLING || c->state == BV_HTTP_WRITING)
        uv_read_stop((uv_stream_t *)&c->tcp);
    else
        bv_http_connection_close(c);
}

/* Clients that hand in much at once, or begin to and wait, cannot take all memory; what is small
 * still comes through. */
static void limit_held(bv_http_connection *c) {
    const bv_http_limits *l = &c->server->options.limits;
    measure_held(c);
    if (c->state == BV_HTTP_READ_BODY && c->server->held > (size_t)l->held_bytes &&
        c->held > (size_t)l->ahead_bytes)
        reject(c, 503, "too much is handed in at once");
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes) {
    bv_http_connection *c = stream->data;
    bv_http_server *s = c->server;
    if (size == UV_EOF) {
        on_end(c);
    } else if (size < 0) {
        bv_http_connection_close(c);
    } else if (size > 0 && c->state != BV_HTTP_LINGER) {
        if (!bv_http_parser_append(c->parser, bytes->base, (size_t)size)) {
            bv_http_connection_close(c);
        } else if (c->state <= BV_HTTP_READ_BODY) {
            advance(c);
            limit_held(c);
        } else if (bv_http_parser_waiting(c->parser) > (size_t)s->options.limits.ahead_bytes) {
            uv_read_stop(stream);
            c->reading = false;
        }
    }
    bv_http_server_drain(s);
}

static void start_reading(bv_http_connection *c) {
    if (c->reading && !c->eof) return;
    c->reading = true;
    if (c->eof || uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        bv_http_connection_close(c);
}

void bv_http_connection_start(bv_http_connection *c) {
    set_state(c, BV_HTTP_IDLE);
    start_reading(c);
}

/* ---- writing ---- */

static void on_all_written(bv_http_connection *c) {
    if (c->is_working) return; /* the next request may need the worker: on_worked calls again */
    log_answer(c, c->exchange.status);
    if (c->close_after || c->server->stopping) {
        linger(c);
        return;
    }
    set_state(c, BV_HTTP_IDLE);
    bv_http_parser_next(c->parser);
    measure_held(c);
    advance(c);
}

static void on_written(uv_write_t *write, int status) {
    bv_http_message *m = write->data;
    bv_http_connection *c = m->connection;
    c->writes--;
    c->exchange.unsent -= m->bytes.size;
    measure_held(c);
    bv_buffer_free(&m->bytes);
    if (!m->is_own) bv_free(m);
    if (status < 0)
        bv_http_connection_close(c);
    else if (c->state == BV_HTTP_WRITING && c->writes == 0)
        on_all_written(c);
    bv_http_server_drain(c->server);
    release(c);
}

static void drop(bv_http_message *m) {
    m->connection->exchange.unsent -= m->bytes.size;
    bv_buffer_free(&m->bytes);
    if (!m->is_own) bv_free(m);
}

static void write_message(bv_http_connection *c, bv_http_message *m) {
    const bv_http_limits *l = &c->server->options.limits;
    const uv_buf_t bytes = uv_buf_init(m->bytes.data, (unsigned)m->bytes.size);
    m->write.data = m;
    if (c->writes == 0) c->write_deadline = uv_now(&c->server->loop) + (uint64_t)l->write_ms;
    if (uv_write(&m->write, (uv_stream_t *)&c->tcp, &bytes, 1, on_written) != 0) {
        bv_http_connection_close(c);
        drop(m);
        return;
    }
    c->refs++;
    c->writes++;
    c->ping_at = uv_now(&c->server->loop) + (uint64_t)l->ping_ms;
}

/* Clients that ask for much and do not read it cannot take all memory either. */
static void limit_answer(bv_http_connection *c, bv_http_message *m) {
    const bv_http_limits *l = &c->server->options.limits;
    measure_held(c);
    if (c->server->held <= (size_t)l->held_bytes || m->bytes.size <= (size_t)l->ahead_bytes) return;
    c->exchange.unsent -= m->bytes.size;
    bv_buffer_free(&m->bytes);
    bv_http_answer_overload(&m->bytes, 503);
    c->exchange.unsent += m->bytes.size;
    c->exchange.status = 503;
    c->close_after = true;
    m->cuts = m->bytes.failed;
    measure_held(c);
}

/* A message of the exchange arrives; afterwards the exchange may be finished. */
void bv_http_connection_take(bv_http_connection *c, bv_http_message *m) {
    const bool ends = m->ends;
    c->is_stream = c->is_stream || m->begins;
    if (ends && c->state == BV_HTTP_HANDLING) set_state(c, BV_HTTP_WRITING);
    if (ends && !c->is_stream) limit_answer(c, m);
    if (m->cuts) bv_http_connection_close(c);
    if (c->state == BV_HTTP_CLOSED)
        drop(m);
    else if (m->bytes.size)
        write_message(c, m);
    else {
        drop(m);
        if (ends && c->writes == 0) on_all_written(c);
    }
    if (ends) release(c);
}

/* ---- time ---- */

static void ping(bv_http_connection *c) {
    static const char text[] = ": ping\n\n";
    bv_http_message *m = bv_calloc(1, sizeof *m);
    if (!m) return;
    m->connection = c;
    if (c->exchange.chunked)
        bv_buffer_printf(&m->bytes, "%zx\r\n%s\r\n", sizeof text - 1, text);
    else
        bv_buffer_text(&m->bytes, text);
    c->exchange.unsent += m->bytes.size;
    m->cuts = m->bytes.failed;
    bv_http_connection_take(c, m);
}

static void on_deadline(bv_http_connection *c) {
    if (c->state == BV_HTTP_READ_HEAD || c->state == BV_HTTP_READ_BODY)
        reject(c, 408, "the request did not come to its end in time");
    else
        bv_http_connection_close(c);
}

void bv_http_connection_tick(bv_http_connection *c, uint64_t now) {
    const bv_http_limits *l = &c->server->options.limits;
    if (c->state == BV_HTTP_CLOSED) return;
    const size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    if (queued != c->queued) c->write_deadline = now + (uint64_t)l->write_ms;
    c->queued = queued;
    if ((c->writes && now >= c->write_deadline)) {
        bv_http_connection_close(c);
    } else if (c->deadline && now >= c->deadline) {
        on_deadline(c);
    } else if (c->is_stream && c->state == BV_HTTP_HANDLING && !c->exchange.head_only &&
               now >= c->ping_at && !c->writes) {
        ping(c);
    }
}

void bv_http_connection_stop(bv_http_connection *c) {
    c->close_after = true;
    if (c->state == BV_HTTP_IDLE || c->state == BV_HTTP_READ_HEAD) bv_http_connection_close(c);
}

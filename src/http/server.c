#include "http/server.h"

#include "base/memory.h"
#include "http/connection.h"
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TICK_MS 100
#define BACKLOG 4096

static bv_error *fail_uv(int code, const char *what) {
    return bv_fail(code == UV_ENOMEM ? BV_CODE_MEMORY : BV_CODE_IO, "cannot %s: %s", what,
                   uv_strerror(code));
}

/* ---- the outbox: from any thread to the loop ---- */

void bv_http_server_post(bv_http_server *s, bv_http_message *m) {
    pthread_mutex_lock(&s->lock);
    const bool was_empty = !s->outbox;
    *s->outbox_end = m;
    s->outbox_end = &m->next;
    pthread_mutex_unlock(&s->lock);
    /* The loop's own thread empties it before it waits again. */
    if (was_empty && !pthread_equal(pthread_self(), s->thread)) uv_async_send(&s->wake);
}

static bv_http_message *take_first(bv_http_server *s) {
    pthread_mutex_lock(&s->lock);
    bv_http_message *m = s->outbox;
    if (m) s->outbox = m->next;
    if (!s->outbox) s->outbox_end = &s->outbox;
    pthread_mutex_unlock(&s->lock);
    return m;
}

void bv_http_server_drain(bv_http_server *s) {
    for (bv_http_message *m; (m = take_first(s));) bv_http_connection_take(m->connection, m);
}

/* ---- connections ---- */

static bool is_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
    if (a->ss_family != b->ss_family) return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    const struct in6_addr *x = &((const struct sockaddr_in6 *)a)->sin6_addr;
    const struct in6_addr *y = &((const struct sockaddr_in6 *)b)->sin6_addr;
    /* Whoever has an address of IPv6 has the 2^64 that begin like it. */
    return !memcmp(x, y, IN6_IS_ADDR_V4MAPPED(x) ? 16 : 8);
}

static int count_address(const bv_http_server *s, const bv_http_connection *new) {
    int count = 0;
    for (const bv_http_connection *c = s->connections; c; c = c->next)
        count += is_same_address(&c->peer, &new->peer);
    return count;
}

static void link_connection(bv_http_connection *c) {
    bv_http_server *s = c->server;
    c->next = s->connections;
    if (c->next) c->next->previous = c;
    s->connections = c;
    s->connection_count++;
}

void bv_http_server_forget(bv_http_connection *c) {
    bv_http_server *s = c->server;
    if (c->previous) c->previous->next = c->next;
    if (c->next) c->next->previous = c->previous;
    if (s->connections == c) s->connections = c->next;
    s->connection_count--;
}

static void close_when_empty(bv_http_server *s) {
    if (!s->stopping || s->alive || uv_is_closing((uv_handle_t *)&s->wake)) return;
    uv_close((uv_handle_t *)&s->wake, NULL);
    uv_close((uv_handle_t *)&s->ticker, NULL);
}

void bv_http_server_freed(bv_http_server *s) {
    s->alive--;
    close_when_empty(s);
}

/* Too many: a word to the client if its socket takes one, and out. */
static void turn_away(bv_http_connection *c, int status) {
    bv_buffer text = {0};
    bv_http_answer_overload(&text, status);
    uv_buf_t part = uv_buf_init(text.data, (unsigned)text.size);
    if (!text.failed) uv_try_write((uv_stream_t *)&c->tcp, &part, 1);
    bv_buffer_free(&text);
    bv_http_connection_close(c);
}

static void name_peer(bv_http_connection *c) {
    int size = sizeof c->peer;
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&c->peer, &size) == 0)
        uv_ip_name((struct sockaddr *)&c->peer, c->address, sizeof c->address);
}

/* NULL without memory. */
static bv_http_connection *make_connection(bv_http_server *s) {
    bv_http_connection *c = bv_calloc(1, sizeof *c);
    bv_error *error = c ? bv_http_parser_create(&s->options.limits, &c->parser) : BV_OK;
    if (!c || error || uv_tcp_init(&s->loop, &c->tcp) != 0) {
        if (c) bv_http_parser_destroy(&c->parser);
        bv_error_free(&error);
        bv_free(c);
        return NULL;
    }
    c->server = s;
    c->tcp.data = c;
    c->refs = 1;
    s->alive++;
    return c;
}

static void on_connection(uv_stream_t *listener, int status) {
    bv_http_server *s = listener->data;
    const bv_http_limits *l = &s->options.limits;
    if (status < 0) return;
    bv_http_connection *c = make_connection(s);
    s->owes_accept = !c;
    if (!c) return;
    const int accepted = uv_accept(listener, (uv_stream_t *)&c->tcp);
    name_peer(c);
    const int of_address = l->connections_per_address ? count_address(s, c) : 0;
    link_connection(c);
    if (accepted != 0)
        bv_http_connection_close(c);
    else if (s->connection_count > l->connections)
        turn_away(c, 503);
    else if (l->connections_per_address && of_address >= l->connections_per_address)
        turn_away(c, 429);
    else {
        uv_tcp_nodelay(&c->tcp, 1);
        bv_http_connection_start(c);
    }
}

/* ---- stopping and time ---- */

static void begin_stop(bv_http_server *s) {
    if (s->stopping) return;
    s->stopping = true;
    s->stop_at = uv_now(&s->loop) + (uint64_t)s->options.limits.stop_ms;
    uv_close((uv_handle_t *)&s->listener, NULL);
    for (bv_http_connection *c = s->connections, *next; c; c = next) {
        next = c->next;
        bv_http_connection_stop(c);
    }
    close_when_empty(s);
}

static void on_wake(uv_async_t *wake) {
    bv_http_server *s = wake->data;
    bv_http_server_drain(s);
    if (s->stop_wanted) begin_stop(s);
}

static void on_tick(uv_timer_t *timer) {
    bv_http_server *s = timer->data;
    const uint64_t now = uv_now(&s->loop);
    const bool late = s->stopping && now >= s->stop_at;
    for (bv_http_connection *c = s->connections, *next; c; c = next) {
        next = c->next;
        if (late)
            bv_http_connection_close(c);
        else
            bv_http_connection_tick(c, now);
    }
    if (!s->stopping && s->owes_accept) on_connection((uv_stream_t *)&s->listener, 0);
    bv_http_server_drain(s);
    if (!s->stopping && s->options.tick && !s->options.tick(s->options.context)) begin_stop(s);
}

void bv_http_server_stop(bv_http_server *s) {
    s->stop_wanted = true;
    uv_async_send(&s->wake);
}

/* ---- lifetime ---- */

static bv_status resolve(const char *host, int port, struct sockaddr_storage *out) {
    char service[16];
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    snprintf(service, sizeof service, "%d", port);
    const int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0)
        return bv_fail(BV_CODE_USAGE, "\"%s\" is no address to listen on: %s", host,
                       gai_strerror(code));
    memcpy(out, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return BV_OK;
}

static bv_status listen_on(bv_http_server *s) {
    const bv_http_options *o = &s->options;
    struct sockaddr_storage address = {0};
    const char *host = o->host ? o->host : "127.0.0.1";
    int size = sizeof address;
    BV_TRY(resolve(host, o->port, &address));
    int code = uv_tcp_bind(&s->listener, (struct sockaddr *)&address, 0);
    if (code == 0) code = uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
    if (code == 0) code = uv_tcp_getsockname(&s->listener, (struct sockaddr *)&address, &size);
    if (code == UV_EADDRINUSE)
        return bv_try(bv_fail(BV_CODE_USAGE, "port %d of %s is in use", o->port, host),
                      "--port 0 for a free one");
    if (code != 0) return bv_while(fail_uv(code, "listen"), "opening port %d of %s", o->port, host);
    s->port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                  : ((struct sockaddr_in *)&address)->sin_port);
    return BV_OK;
}

static void make_lock(pthread_mutex_t *lock) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(lock, &kind);
    pthread_mutexattr_destroy(&kind);
}

bv_status bv_http_server_create(const bv_http_options *options, bv_http_server **out) {
    bv_http_server *s = bv_calloc(1, sizeof *s);
    if (!s) return bv_fail_memory("a server");
    s->options = *options;
    s->outbox_end = &s->outbox;
    s->listener.data = s->wake.data = s->ticker.data = s;
    int code = uv_loop_init(&s->loop);
    if (code != 0) {
        bv_free(s);
        return fail_uv(code, "make a loop");
    }
    make_lock(&s->lock);
    code = uv_async_init(&s->loop, &s->wake, on_wake);
    if (code == 0) code = uv_timer_init(&s->loop, &s->ticker);
    if (code == 0) code = uv_tcp_init(&s->loop, &s->listener);
    if (code == 0) code = uv_timer_start(&s->ticker, on_tick, TICK_MS, TICK_MS);
    bv_error *error = code == 0 ? listen_on(s) : fail_uv(code, "make a server");
    *out = s;
    if (error) bv_http_server_destroy(out);
    return error;
}

int bv_http_server_port(const bv_http_server *s) {
    return s->port;
}

bv_status bv_http_server_run(bv_http_server *s) {
    /* libuv writes without MSG_NOSIGNAL. The signal goes to the thread that wrote, so it is blocked
     * here, and what is left of it is taken away before the caller's mask is back. */
    sigset_t pipes, before;
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipes, &before);
    s->thread = pthread_self();
    uv_run(&s->loop, UV_RUN_DEFAULT);
    while (sigtimedwait(&pipes, NULL, &(struct timespec){0, 0}) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return BV_OK;
}

static void close_handle(uv_handle_t *handle, void *context) {
    (void)context;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void bv_http_server_destroy(bv_http_server **server) {
    bv_http_server *s = *server;
    if (!s) return;
    BV_ASSERT(s->alive == 0);
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    BV_ASSERT(uv_loop_close(&s->loop) == 0);
    pthread_mutex_destroy(&s->lock);
    bv_free(s);
    *server = NULL;
}

#include "http/client.h"

#include "base/clock.h"
#include "base/memory.h"
#include <errno.h>
#include <llhttp.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX ((size_t)64 << 10)
#define ANSWER_MAX ((size_t)64 << 20)
#define TIMEOUT_MS 60000
#define LOOK_MS 100 /* between looks for an interruption */

struct bv_http_client {
    char *host, *port, *prefix;
    char *authority; /* as the Host header has it */
    int fd;          /* -1: not connected */
    /* of the call that is made */
    const bv_http_call *call;
    uint64_t deadline;
};

/* ---- where to ---- */

bv_status bv_http_client_create(const char *url, bv_http_client **out) {
    const char *at = strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
    if (!at)
        return bv_try(bv_fail(BV_CODE_USAGE, "\"%s\" is not an http:// address", url),
                      "http://127.0.0.1:8000, or a local proxy for https");
    const size_t authority = strcspn(at, "/?#"), host = strcspn(at, ":/?#[]@");
    const char *name = at;
    size_t name_size = host;
    if (*at == '[') name = at + 1, name_size = strcspn(name, "]");
    const char *rest = name + name_size + (*at == '[');
    if (!name_size || rest > at + authority || (*rest == ':' && rest + 1 == at + authority) ||
        (rest < at + authority && *rest != ':'))
        return bv_fail(BV_CODE_USAGE, "\"%s\" is not http://host[:port][/prefix]", url);
    bv_http_client *c = bv_calloc(1, sizeof *c);
    if (!c) return bv_fail_memory("a connection");
    c->fd = -1;
    c->host = bv_strdup(name);
    c->port = bv_strdup(*rest == ':' ? rest + 1 : "80");
    c->authority = bv_strdup(at);
    c->prefix = bv_strdup(at[authority] == '/' ? at + authority : "");
    *out = c;
    if (!c->host || !c->port || !c->authority || !c->prefix) {
        bv_http_client_destroy(out);
        return bv_fail_memory("a connection");
    }
    c->host[name_size] = 0;
    c->port[strcspn(c->port, "/?#")] = 0;
    c->authority[authority] = 0;
    c->prefix[strcspn(c->prefix, "?#")] = 0;
    const size_t size = strlen(c->prefix);
    if (size && c->prefix[size - 1] == '/') c->prefix[size - 1] = 0;
    return BV_OK;
}

static void disconnect(bv_http_client *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

void bv_http_client_destroy(bv_http_client **client) {
    bv_http_client *c = *client;
    if (!c) return;
    disconnect(c);
    bv_free(c->host);
    bv_free(c->port);
    bv_free(c->authority);
    bv_free(c->prefix);
    bv_free(c);
    *client = NULL;
}

/* ---- the socket, with a deadline ---- */

/* Waits until the socket can be read or written. */
static bv_status wait_for(const bv_http_client *c, short events) {
    const bv_http_call *call = c->call;
    for (;;) {
        const uint64_t now = bv_clock_ns();
        struct pollfd wait = {.fd = c->fd, .events = events};
        if (now >= c->deadline) break;
        const int left = (int)((c->deadline - now) / 1000000 + 1);
        const int n = poll(&wait, 1, call->interrupted && left > LOOK_MS ? LOOK_MS : left);
        if (n > 0) return BV_OK;
        if (n < 0 && errno != EINTR) return bv_fail_errno("cannot wait for %s", c->authority);
        const int signal = call->interrupted ? call->interrupted(call->context) : 0;
        if (signal) return bv_fail_interrupted(signal, "interrupted");
    }
    return bv_fail(BV_CODE_IO, "%s did not answer in time", c->authority);
}

static bv_status connect_one(bv_http_client *c, const struct addrinfo *to) {
    int code = 0;
    socklen_t size = sizeof code;
    c->fd = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
    if (c->fd < 0) return bv_fail_errno("cannot make a socket");
    if (connect(c->fd, to->ai_addr, to->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return bv_fail_errno("cannot connect to %s", c->authority);
        BV_TRY(wait_for(c, POLLOUT));
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &size);
        errno = code;
        if (code) return bv_fail_errno("cannot connect to %s", c->authority);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return BV_OK;
}

static bv_status open_connection(bv_http_client *c) {
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const int code = getaddrinfo(c->host, c->port, &hints, &list);
    if (code) return bv_fail(BV_CODE_IO, "no address of %s: %s", c->host, gai_strerror(code));
    bv_error *error = BV_OK;
    for (const struct addrinfo *to = list; to; to = to->ai_next) {
        bv_error_free(&error);
        error = connect_one(c, to);
        if (!error) break;
        disconnect(c);
    }
    freeaddrinfo(list);
    return error;
}

static bv_status send_all(bv_http_client *c, const char *bytes, size_t size) {
    while (size) {
        const ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            BV_TRY(wait_for(c, POLLOUT));
            continue;
        }
        if (n < 0) return bv_fail_errno("cannot send to %s", c->authority);
        bytes += n;
        size -= (size_t)n;
    }
    return BV_OK;
}

/* ---- the answer ---- */

typedef struct answer {
    llhttp_t llhttp;
    const bv_http_call *call;
    bv_http_result *result;
    bool complete, stopped, too_large, any;
} answer;

static int on_headers(llhttp_t *llhttp) {
    answer *a = llhttp->data;
    a->result->status = llhttp->status_code;
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size) {
    answer *a = llhttp->data;
    if (llhttp->status_code < 200) return 0;
    if (a->call->piece) {
        a->stopped = a->stopped || !a->call->piece(a->call->context, at, size);
        return 0;
    }
    const size_t max = a->call->answer_max ? a->call->answer_max : ANSWER_MAX;
    if (size > max - a->result->body.size) {
        a->too_large = true;
        return HPE_USER;
    }
    bv_buffer_append(&a->result->body, at, size);
    return 0;
}

static int on_message(llhttp_t *llhttp) {
    answer *a = llhttp->data;
    a->complete = llhttp->status_code >= 200; /* 100 Continue goes before the answer */
    return a->complete ? HPE_PAUSED : 0;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = on_headers, .on_body = on_body, .on_message_complete = on_message};

/* The first bytes are kept as they came, for whoever asks about headers. */
static void keep_head(answer *a, const char *bytes, size_t size) {
    bv_buffer *head = &a->result->head;
    if (a->result->status >= 200 || head->size >= HEAD_MAX) return;
    bv_buffer_append(head, bytes, size < HEAD_MAX - head->size ? size : HEAD_MAX - head->size);
}

static void cut_head(bv_buffer *head) {
    char *end = head->data ? strstr(head->data, "\r\n\r\n") : NULL;
    if (!end) return;
    end[2] = 0;
    head->size = (size_t)(end + 2 - head->data);
}

static bv_status parse(const bv_http_client *c, answer *a, const char *bytes, size_t size) {
    keep_head(a, bytes, size);
    const llhttp_errno_t code =
        size ? llhttp_execute(&a->llhttp, bytes, size) : llhttp_finish(&a->llhttp);
    if (a->too_large) return bv_fail(BV_CODE_INPUT, "the answer of %s is too large", c->authority);
    if (a->complete || a->stopped) return BV_OK;
    if (code != HPE_OK || a->result->head.size >= HEAD_MAX)
        return bv_fail(BV_CODE_INPUT, "%s does not speak HTTP/1.1: %s", c->authority,
                       llhttp_errno_name(code));
    if (!size) return bv_fail(BV_CODE_IO, "%s closed the connection", c->authority);
    BV_TRY(bv_buffer_error(&a->result->head));
    return bv_buffer_error(&a->result->body);
}

static bv_status receive(bv_http_client *c, answer *a) {
    char bytes[16384];
    llhttp_init(&a->llhttp, HTTP_RESPONSE, &settings);
    a->llhttp.data = a;
    while (!a->complete && !a->stopped) {
        BV_TRY(wait_for(c, POLLIN));
        const ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) return bv_fail_errno("cannot read from %s", c->authority);
        a->any = a->any || n > 0;
        BV_TRY(parse(c, a, bytes, (size_t)n));
    }
    const bool keep = a->complete && !a->stopped && llhttp_should_keep_alive(&a->llhttp);
    if (!keep || bv_buffer_error(&a->result->body)) disconnect(c);
    cut_head(&a->result->head);
    return bv_buffer_error(&a->result->body);
}

/* ---- a call ---- */

static void put_request(const bv_http_client *c, const bv_http_call *call, bv_buffer *out) {
    bv_buffer_printf(out, "%s %s%s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n",
                     call->body ? "POST" : "GET", c->prefix, call->path, c->authority);
    if (call->headers) bv_buffer_text(out, call->headers);
    if (call->body)
        bv_buffer_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                         call->size);
    bv_buffer_text(out, "\r\n");
    if (call->body) bv_buffer_append(out, call->body, call->size);
}

static bv_status try_call(bv_http_client *c, const bv_buffer *request, answer *a) {
    if (c->fd < 0) BV_TRY(open_connection(c));
    BV_TRY(send_all(c, request->data, request->size));
    return receive(c, a);
}

bv_status bv_http_client_call(bv_http_client *c, const bv_http_call *call, bv_http_result *result) {
    const int ms = call->timeout_ms ? call->timeout_ms : TIMEOUT_MS;
    bv_buffer request = {0};
    c->call = call;
    c->deadline = bv_clock_ns() + (uint64_t)ms * 1000000;
    *result = (bv_http_result){0};
    put_request(c, call, &request);
    bv_error *error = bv_buffer_error(&request);
    for (bool again = !error; again;) {
        const bool was_open = c->fd >= 0;
        answer a = {.call = call, .result = result};
        error = try_call(c, &request, &a);
        if (error) disconnect(c);
        again =
            was_open && !a.any && bv_error_code(error) == BV_CODE_IO && bv_clock_ns() < c->deadline;
        if (again) bv_error_free(&error);
    }
    bv_buffer_free(&request);
    if (error) bv_http_result_free(result);
    return error;
}

void bv_http_result_free(bv_http_result *result) {
    bv_buffer_free(&result->head);
    bv_buffer_free(&result->body);
}

/*
 * The server over real sockets: answers, limits, slow and impatient clients, streams from other
 * threads, clients that go, and stopping. Limits are short here, so that waiting for them is not.
 */
#include "support/check.h"

#include "base/clock.h"
#include "base/memory.h"
#include "http/client.h"
#include "http/server.h"
#include "support/requests.h"
#include "support/wire.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define BIG ((size_t)8 << 20)

typedef struct site {
    bv_http_server *server;
    pthread_t thread;
    int port;
    char url[40];
    bv_http_exchange *_Atomic held; /* of /hold and /events */
    _Atomic int cancelled, logged, last_status;
    char *big;
} site;

static site s;

/* ---- the routes ---- */

static void on_hello(void *context, bv_http_exchange *x) {
    (void)context;
    bv_http_reply(
        x, &(bv_http_answer){.status = 200, .type = "text/plain", .body = "hello", .size = 5});
}

static void on_echo(void *context, bv_http_exchange *x) {
    (void)context;
    const bv_http_request *r = bv_http_exchange_request(x);
    bv_http_reply(x, &(bv_http_answer){.status = 200,
                                       .type = "application/octet-stream",
                                       .body = r->body,
                                       .size = r->body_size});
}

static void on_json(void *context, bv_http_exchange *x) {
    (void)context;
    json_t *value;
    if (bv_http_exchange_json(x, &value)) bv_http_reply_json(x, 201, value);
}

static void on_worker(void *context, bv_http_exchange *x) {
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    on_hello(context, x);
}

static void on_big(void *context, bv_http_exchange *x) {
    site *t = context;
    bv_http_reply(
        x, &(bv_http_answer){
               .status = 200, .type = "application/octet-stream", .body = t->big, .size = BIG});
}

static void note_cancel(void *context) {
    ((site *)context)->cancelled++;
}

static void on_hold(void *context, bv_http_exchange *x) {
    site *t = context;
    bv_http_on_cancel(x, note_cancel, t);
    t->held = x;
}

static void on_events(void *context, bv_http_exchange *x) {
    bv_http_stream_begin(x);
    on_hold(context, x);
}

static void on_failure(void *context, bv_http_exchange *x) {
    (void)context;
    bv_http_reply_failure(x, 503, bv_fail(BV_CODE_IO, "the store \xff is \"gone\""));
}

static const bv_http_route routes[] = {
    {"GET", "/hello", on_hello, false, 0},      {"POST", "/echo", on_echo, false, 4 << 20},
    {"POST", "/small", on_echo, false, 0},      {"POST", "/json", on_json, false, 1 << 20},
    {"GET", "/worker", on_worker, true, 0},     {"GET", "/big", on_big, false, 0},
    {"GET", "/hold", on_hold, false, 0},        {"GET", "/events", on_events, false, 0},
    {"GET", "/events/:id", on_events, true, 0}, {"GET", "/failure", on_failure, false, 0},
};

static void on_log(void *context, const bv_http_log_line *line) {
    site *t = context;
    assert_true(line->ms >= 0 && line->address[0]);
    t->last_status = line->status;
    t->logged++;
}

/* ---- the site ---- */

static void *serve(void *context) {
    bv_error *error = bv_http_server_run(((site *)context)->server);
    bv_error_free(&error);
    return NULL;
}

static void begin_with(const bv_http_limits *limits) {
    memset(&s, 0, sizeof s);
    s.big = bv_malloc(BIG);
    memset(s.big, 'b', BIG);
    const bv_http_options options = {.limits = *limits,
                                     .routes = routes,
                                     .route_count = sizeof routes / sizeof *routes,
                                     .context = &s,
                                     .log = on_log};
    assert_ok(bv_http_server_create(&options, &s.server));
    s.port = bv_http_server_port(s.server);
    snprintf(s.url, sizeof s.url, "http://127.0.0.1:%d", s.port);
    assert_int_equal(pthread_create(&s.thread, NULL, serve, &s), 0);
}

static void end(void) {
    bv_http_server_stop(s.server);
    pthread_join(s.thread, NULL);
    bv_http_server_destroy(&s.server);
    bv_free(s.big);
}

static void begin(void) {
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.body_bytes = 1000;
    begin_with(&limits);
}

static bv_http_exchange *wait_held(void) {
    for (int i = 0; i < 500; i++) {
        bv_http_exchange *x = atomic_exchange(&s.held, NULL);
        if (x) return x;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    fail_msg("no exchange came");
    return NULL;
}

static void wait_count(_Atomic int *count, int wanted) {
    for (int i = 0; i < 500 && *count < wanted; i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    assert_int_equal(*count, wanted);
}

/* Sends, and gives what comes back until the server closes. */
static void ask(const char *text, bv_buffer *out) {
    const int fd = wire_open(s.port);
    bv_buffer_clear(out);
    wire_text(fd, text);
    if (!wire_drain(fd, out, 5000)) fail_msg("not closed after: %s", text);
    close(fd);
}

static void expect(const char *text, const char *status, const char *part) {
    bv_buffer out = {0};
    ask(text, &out);
    if (!out.data || strncmp(out.data + 9, status, 3) != 0 || !strstr(out.data, part))
        fail_msg("%s\ngot %s, wanted %s with %s", text, out.data ? out.data : "nothing", status,
                 part);
    bv_buffer_free(&out);
}

/* ---- tests ---- */

#define H "Host: a\r\nConnection: close\r\n"

/* A list of so many numbers, and a string full of what parts them. */
static void expect_values(int count, const char *status, const char *part) {
    bv_buffer body = {0}, text = {0};
    bv_buffer_text(&body, "[\"");
    for (int i = 0; i < 20000; i++) bv_buffer_text(&body, i % 2 ? "{,[" : "\\\"");
    bv_buffer_text(&body, "\"");
    for (int i = 1; i < count; i++) bv_buffer_text(&body, ",0");
    bv_buffer_text(&body, "]");
    bv_buffer_printf(&text, "POST /json HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n%s", body.size,
                     body.data);
    expect(text.data, status, part);
    bv_buffer_free(&body);
    bv_buffer_free(&text);
}

static void test_answers(void **state) {
    (void)state;
    begin();
    expect("GET /hello HTTP/1.1\r\n" H "\r\n", "200", "Content-Length: 5\r\n\r\nhello");
    expect("GET /hello HTTP/1.0\r\n" H "\r\n", "200", "Connection: close\r\n");
    expect("GET /worker HTTP/1.1\r\n" H "\r\n", "200", "hello");
    expect("POST /json HTTP/1.1\r\n" H "Content-Length: 7\r\n\r\n{\"a\":1}", "201", "{\"a\": 1}");
    expect("POST /json HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{]", "400", "body:1:2: not JSON");
    expect_values(9999, "201", "0]");
    expect_values(10001, "400", "body: more than 10000 values");
    expect("GET /no HTTP/1.1\r\n" H "\r\n", "404", "there is no such path: GET /no");
    expect("PUT /echo HTTP/1.1\r\n" H "\r\n", "405", "Allow: POST\r\n");
    expect("OPTIONS /hello HTTP/1.1\r\n" H "\r\n", "204", "Allow: GET, HEAD\r\n");
    expect("OPTIONS * HTTP/1.1\r\n" H "\r\n", "204", "Allow: ");
    expect("GET /failure HTTP/1.1\r\n" H "\r\n", "503", "Retry-After: 2\r\n");
    expect("GET /failure HTTP/1.1\r\n" H "\r\n", "503", "\"server_error\"");
    /* whole messages, also about bytes that are no text */
    expect("GET /failure HTTP/1.1\r\n" H "\r\n", "503", "the store \xef\xbf\xbd is \\\"gone");
    expect("GET /hello HTTP/1.1\r\n" H "\r\n", "200", " 200 OK\r\n");
    expect("GET /no HTTP/1.1\r\n" H "\r\n", "404", " 404 Not Found\r\n");
    bv_buffer out = {0};
    ask("HEAD /hello HTTP/1.1\r\n" H "\r\n", &out);
    assert_non_null(strstr(out.data, "Content-Length: 5\r\n\r\n"));
    assert_null(strstr(out.data, "hello"));
    bv_buffer_free(&out);
    wait_count(&s.logged, 17);
    end();
}

/* Refusals arrive, with the connection closed after them. */
static void test_refusals(void **state) {
    (void)state;
    begin();
    static const char *const bad[] = {
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: a\n\n\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" H
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "GET /hello HTTP/1.1\r\n" H "X : y\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" H "X: y\r\n z\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) expect(bad[i], "400", "\"error\"");
    expect("POST /small HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n", "413", "too large");
    end();
}

static void test_keep_alive_and_pipelining(void **state) {
    (void)state;
    begin();
    const int fd = wire_open(s.port);
    bv_buffer out = {0};
    bv_buffer many = {0};
    for (int i = 0; i < 20; i++) {
        bv_buffer_text(&many, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
        bv_buffer_printf(&many, "%03dGET /worker HTTP/1.1\r\nHost: a\r\n\r\n", i);
    }
    bv_buffer_text(&many, "GET /no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_true(wire_send(fd, many.data, many.size));
    assert_true(wire_drain(fd, &out, 5000));
    const char *at = out.data;
    for (int i = 0; i < 20; i++) {
        char part[16];
        snprintf(part, sizeof part, "\r\n\r\n%03d", i);
        assert_non_null(at = strstr(at, part));
        assert_non_null(at = strstr(at, "hello"));
    }
    assert_non_null(strstr(at, "HTTP/1.1 404"));
    bv_buffer_free(&many);
    bv_buffer_free(&out);
    close(fd);
    end();
}

static void test_continue(void **state) {
    (void)state;
    begin();
    const int fd = wire_open(s.port);
    bv_buffer out = {0};
    wire_text(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    wire_expect(fd, &out, "HTTP/1.1 100 Continue\r\n\r\n");
    wire_text(fd, "ok");
    wire_expect(fd, &out, "\r\n\r\nok");
    close(fd);
    bv_buffer_free(&out);
    expect("POST /small HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n",
           "413", "too large");
    expect("POST /no HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", "404",
           "no such path");
    expect("POST /echo HTTP/1.1\r\n" H "Expect: wonders\r\nContent-Length: 2\r\n\r\n", "417",
           "100-continue");
    end();
}

static void test_big_bodies(void **state) {
    (void)state;
    begin();
    bv_http_client *client;
    bv_http_result r;
    assert_ok(bv_http_client_create(s.url, &client));
    for (int i = 0; i < 3; i++) {
        assert_ok(bv_http_client_call(client, &(bv_http_call){.path = "/big"}, &r));
        assert_int_equal(r.status, 200);
        assert_true(r.body.size == BIG && !memcmp(r.body.data, s.big, BIG));
        bv_http_result_free(&r);
        const bv_http_call echo = {.path = "/echo", .body = s.big, .size = 4 << 20};
        assert_ok(bv_http_client_call(client, &echo, &r));
        assert_true(r.status == 200 && r.body.size == 4 << 20);
        bv_http_result_free(&r);
        /* The answer arrives although most of the body was not read. */
        const bv_http_call large = {.path = "/small", .body = s.big, .size = 1 << 16};
        assert_ok(bv_http_client_call(client, &large, &r));
        assert_int_equal(r.status, 413);
        bv_http_result_free(&r);
    }
    const bv_http_call limited = {.path = "/big", .answer_max = 1000};
    assert_fails(bv_http_client_call(client, &limited, &r), BV_CODE_INPUT, "too large");
    bv_http_client_destroy(&client);
    end();
}

/* Many who send much and never end: memory is bounded, who comes with little is served, and later
 * all is as before. */
static void test_held(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.held_bytes = 4 << 20;
    begin_with(&limits);
    bv_buffer out = {0};
    int fds[12], refused = 0;
    for (int i = 0; i < 12; i++) {
        fds[i] = wire_open(s.port);
        wire_text(fds[i], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        wire_send(fds[i], s.big, 999999);
        bv_buffer_clear(&out);
        if (i >= 4 && wire_read(fds[i], &out, 300) > 0) {
            assert_non_null(strstr(out.data, "HTTP/1.1 503 "));
            assert_non_null(strstr(out.data, "Retry-After: "));
            refused++;
        }
    }
    assert_in_range(refused, 6, 9);
    expect("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nsmall", "200", "small");
    for (int i = 0; i < 12; i++) close(fds[i]);
    nanosleep(&(struct timespec){0, 200000000}, NULL);
    const int fd = wire_open(s.port);
    bv_buffer_clear(&out);
    wire_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    wire_send(fd, s.big, 1000000);
    wire_expect(fd, &out, "HTTP/1.1 200 ");
    close(fd);
    bv_buffer_free(&out);
    end();
}

/* Answers that nobody reads are memory, too. */
static void test_unread(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.held_bytes = 4 * (int)BIG;
    begin_with(&limits);
    bv_buffer out = {0};
    int fds[8], refused = 0;
    for (int i = 0; i < 8; i++) {
        fds[i] = wire_open(s.port);
        wire_text(fds[i], "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    expect("GET /hello HTTP/1.1\r\n" H "\r\n", "200", "hello");
    for (int i = 0; i < 8; i++) {
        bv_buffer_clear(&out);
        wire_expect(fds[i], &out, "\r\n\r\n");
        refused += strstr(out.data, "HTTP/1.1 503 ") && strstr(out.data, "Retry-After: ");
        close(fds[i]);
    }
    assert_int_equal(refused, 5);
    ask("GET /big HTTP/1.1\r\n" H "\r\n", &out);
    assert_true(out.size > BIG);
    bv_buffer_free(&out);
    end();
}

static void test_slow_clients(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.head_ms = limits.body_ms = limits.idle_ms = limits.write_ms = 300;
    begin_with(&limits);
    bv_buffer out = {0};
    int fd = wire_open(s.port);
    assert_true(wire_drain(fd, &out, 3000)); /* says nothing: closed without a word */
    assert_int_equal(out.size, 0);
    close(fd);
    expect("GET /hello HT", "408", "in time");
    expect("POST /echo HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc", "408", "in time");
    /* A byte now and then does not help. */
    fd = wire_open(s.port);
    const double began = bv_clock_seconds();
    for (int i = 0; i < 40 && wire_text(fd, i ? "a" : "GET /"); i++)
        if (wire_read(fd, &out, 50) >= 0) break;
    assert_true(bv_clock_seconds() - began < 1.5);
    close(fd);
    /* Asks for much, reads nothing. */
    fd = wire_open(s.port);
    s.last_status = -1;
    wire_text(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    nanosleep(&(struct timespec){1, 0}, NULL);
    bv_buffer_clear(&out);
    wire_drain(fd, &out, 1000);
    assert_true(out.size < BIG);
    assert_int_equal(s.last_status, 0);
    close(fd);
    bv_buffer_free(&out);
    end();
}

static void test_stream(void **state) {
    (void)state;
    begin();
    const int fd = wire_open(s.port);
    bv_buffer out = {0};
    wire_text(fd, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    bv_http_exchange *x = wait_held();
    assert_true(bv_http_stream_event(x, "verdict", "line one\nline two"));
    wire_expect(fd, &out, "event: verdict\ndata: line one\ndata: line two\n\n\r\n");
    assert_true(bv_http_stream_event(x, NULL, ""));
    wire_expect(fd, &out, "data: \n\n");
    bv_http_stream_end(x);
    wire_expect(fd, &out, "\r\n0\r\n\r\n");
    /* And the connection serves on. */
    wire_text(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_expect(fd, &out, "hello");
    assert_non_null(strstr(out.data, "Content-Type: text/event-stream\r\n"));
    assert_int_equal(s.cancelled, 0);
    close(fd);
    bv_buffer_free(&out);
    end();
}

static void test_ping(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.ping_ms = 200;
    begin_with(&limits);
    const int fd = wire_open(s.port);
    bv_buffer out = {0};
    wire_text(fd, "GET /events/7 HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_expect(fd, &out, ": ping\n\n\r\n8\r\n: ping\n\n");
    bv_http_stream_end(wait_held());
    close(fd);
    bv_buffer_free(&out);
    end();
}

/* Nothing follows the head, or it would be taken for the next answer. */
static void test_head_of_stream(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.ping_ms = 100;
    begin_with(&limits);
    const int fd = wire_open(s.port);
    bv_buffer out = {0};
    wire_text(fd, "HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n"
                  "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    bv_http_exchange *x = wait_held();
    nanosleep(&(struct timespec){0, 400000000}, NULL);
    assert_false(bv_http_stream_event(x, NULL, "nobody reads it"));
    bv_http_stream_end(x);
    wire_expect(fd, &out, "hello");
    const char *next = strstr(out.data, "\r\n\r\n");
    assert_non_null(next);
    assert_memory_equal(next + 4, "HTTP/1.1 200", 12);
    close(fd);
    bv_buffer_free(&out);
    end();
}

/* Noticed when it happens, not by a look now and then or a time that runs out, which here would be
 * in hours: while nothing is sent, and by a half-closed socket too, which still gets what is
 * answered as a whole. */
static void test_clients_that_go(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.head_ms = limits.body_ms = limits.idle_ms = limits.write_ms = 36000000;
    limits.ping_ms = limits.linger_ms = 36000000;
    begin_with(&limits);
    static const char *const requests[] = {"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n",
                                           "GET /events HTTP/1.1\r\nHost: a\r\n\r\n"};
    for (int i = 0; i < 4; i++) {
        const int fd = wire_open(s.port);
        wire_text(fd, requests[i % 2]);
        bv_http_exchange *x = wait_held();
        if (i < 2)
            close(fd);
        else
            shutdown(fd, SHUT_WR);
        wait_count(&s.cancelled, i + 1);
        assert_false(bv_http_on_cancel(x, note_cancel, &s));
        if (i % 2) {
            assert_false(bv_http_stream_event(x, NULL, "lost"));
            bv_http_stream_end(x);
        } else {
            bv_http_reply_error(x, 500, "lost");
        }
        if (i < 2) continue;
        bv_buffer out = {0};
        assert_true(wire_drain(fd, &out, 5000));
        assert_non_null(strstr(out.data, i % 2 ? "0\r\n\r\n" : "lost"));
        assert_true(i % 2 == 0 || !strstr(out.data, "lost"));
        bv_buffer_free(&out);
        close(fd);
    }
    end();
}

/* Requests, then the end of the client's half: all are answered, on the loop and by workers. */
static void test_half_closed(void **state) {
    (void)state;
    static const char text[] = "GET /worker HTTP/1.1\r\nHost: a\r\n\r\n"
                               "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
                               "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";
    begin();
    for (int i = 0; i < 20; i++) {
        bv_buffer out = {0};
        const int fd = wire_open(s.port);
        wire_text(fd, text);
        shutdown(fd, SHUT_WR);
        bv_http_exchange *x = wait_held();
        assert_false(bv_http_on_cancel(x, note_cancel, &s));
        bv_http_stream_end(x);
        assert_true(wire_drain(fd, &out, 5000));
        const char *second = strstr(out.data + 1, "HTTP/1.1 200");
        assert_non_null(second);
        assert_non_null(strstr(second, "hi"));
        assert_non_null(strstr(second + 1, "text/event-stream"));
        bv_buffer_free(&out);
        close(fd);
    }
    end();
}

/* A client that does not read is cut off, and whoever sends is told. */
static void test_backpressure(void **state) {
    (void)state;
    begin();
    const int fd = wire_open(s.port);
    wire_text(fd, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    bv_http_exchange *x = wait_held();
    char *data = bv_malloc(65537);
    memset(data, 'd', 65536);
    data[65536] = 0;
    int sent = 0;
    while (sent < 2000 && bv_http_stream_event(x, NULL, data)) sent++;
    assert_true(sent < 2000);
    wait_count(&s.cancelled, 1);
    bv_http_stream_end(x);
    bv_free(data);
    close(fd);
    end();
}

static void *send_events(void *context) {
    bv_http_exchange *x = context;
    for (int i = 0; i < 200; i++)
        if (!bv_http_stream_event(x, NULL, "token")) break;
    bv_http_stream_end(x);
    return NULL;
}

/* Many streams, each fed by a thread of its own, half of whose clients go in the middle. */
static void test_many_threads(void **state) {
    (void)state;
    begin();
    enum { COUNT = 24 };
    pthread_t threads[COUNT];
    int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = wire_open(s.port);
        wire_text(fds[i], "GET /events/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_int_equal(pthread_create(&threads[i], NULL, send_events, wait_held()), 0);
        if (i % 2) close(fds[i]);
    }
    for (int i = 0; i < COUNT; i += 2) {
        bv_buffer out = {0};
        assert_true(wire_drain(fds[i], &out, 5000));
        int events = 0;
        for (const char *at = out.data; (at = strstr(at, "data: token\n\n")); at++) events++;
        assert_int_equal(events, 200);
        bv_buffer_free(&out);
        close(fds[i]);
    }
    for (int i = 0; i < COUNT; i++) pthread_join(threads[i], NULL);
    end();
}

static void test_many_connections(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.connections = 60;
    limits.connections_per_address = 50;
    begin_with(&limits);
    int fds[50];
    bv_buffer out = {0};
    for (int i = 0; i < 50; i++) fds[i] = wire_open(s.port);
    for (int i = 0; i < 50; i++) {
        wire_text(fds[i], "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        bv_buffer_clear(&out);
        wire_expect(fds[i], &out, "hello");
    }
    const int extra = wire_open(s.port);
    bv_buffer_clear(&out);
    assert_true(wire_drain(extra, &out, 3000));
    assert_memory_equal(out.data, "HTTP/1.1 429", 12);
    close(extra);
    for (int i = 0; i < 50; i++) close(fds[i]);
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    expect("GET /hello HTTP/1.1\r\n" H "\r\n", "200", "hello");
    bv_buffer_free(&out);
    end();
}

/* What is under way ends; what does not is cut off after stop_ms. */
static void test_stop(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.stop_ms = 400;
    begin_with(&limits);
    bv_buffer out = {0};
    const int idle = wire_open(s.port), busy = wire_open(s.port), stuck = wire_open(s.port);
    wire_text(busy, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    bv_http_exchange *x = wait_held();
    wire_text(stuck, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    bv_http_exchange *y = wait_held();
    bv_http_server_stop(s.server);
    assert_true(wire_drain(idle, &out, 3000));
    bv_http_reply(x,
                  &(bv_http_answer){.status = 200, .type = "text/plain", .body = "end", .size = 3});
    wire_expect(busy, &out, "\r\n\r\nend");
    wait_count(&s.cancelled, 1);
    bv_http_stream_end(y);
    pthread_join(s.thread, NULL);
    close(idle), close(busy), close(stuck);
    bv_buffer_free(&out);
    bv_http_server_destroy(&s.server);
    bv_free(s.big);
}

/* ---- connections of made-up requests ---- */

#define SEED 23u

/* In pieces, each of which the server may see alone. */
static bool send_in_pieces(int fd, const bv_buffer *bytes, uint32_t number) {
    for (size_t at = 0, i = 0; at < bytes->size; i++) {
        const size_t most = mangle_word(SEED, 1, number, (uint32_t)i) % 3 ? 40 : 4000;
        const size_t wanted = 1 + mangle_word(SEED, 2, number, (uint32_t)i) % most;
        const size_t n = wanted < bytes->size - at ? wanted : bytes->size - at;
        if (!wire_send(fd, bytes->data + at, n)) return false;
        at += n;
    }
    return true;
}

/* Each answer in its turn, its body being what the request's meaning says. */
static void check_answers(const requests *r, const char *answers) {
    const char *meaning = r->meaning.data;
    for (uint32_t i = 0; i < r->count; i++) {
        const bool post = meaning[0] == 'P';
        const char *body = strstr(meaning, " body ") + 6, *end = strstr(body, " keep 1\n");
        const char *head = strstr(answers, "\r\n\r\n");
        const size_t size = post ? (size_t)(end - body) : 5;
        if (strncmp(answers, "HTTP/1.1 200 ", 13) != 0 || !head ||
            memcmp(head + 4, post ? body : "hello", size) != 0)
            fail_msg("connection %u, answer %u: %s", r->number, i, answers);
        answers = head + 4 + size;
        meaning = end + 8;
    }
    assert_string_equal(answers, "");
}

/* Several requests without waiting, cut anywhere, are answered in turn. */
static void test_connections(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    requests r = {0};
    bv_buffer out = {0};
    begin_with(&limits);
    for (uint32_t n = 0; n < 200; n++) {
        const int fd = wire_open(s.port);
        requests_make(&r, SEED, n);
        assert_true(send_in_pieces(fd, &r.bytes, n));
        shutdown(fd, SHUT_WR);
        bv_buffer_clear(&out);
        assert_true(wire_drain(fd, &out, 5000));
        check_answers(&r, out.data);
        close(fd);
    }
    requests_free(&r);
    bv_buffer_free(&out);
    end();
}

/* Whatever comes is answered or closed, and the next one is served. */
static void test_mangled(void **state) {
    (void)state;
    bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;
    limits.head_ms = limits.body_ms = limits.idle_ms = 100;
    requests r = {0};
    bv_buffer bad = {0}, out = {0};
    size_t refused = 0;
    begin_with(&limits);
    for (uint32_t n = 0; n < 400; n++) {
        const int fd = wire_open(s.port);
        requests_make(&r, SEED, n);
        mangle(&r.bytes, SEED, 3, n, &bad);
        send_in_pieces(fd, &bad, n); /* it may close before all has gone */
        if (n % 4) shutdown(fd, SHUT_WR);
        bv_buffer_clear(&out);
        if (n % 8) {
            if (!wire_drain(fd, &out, 5000)) fail_msg("mutation %u: still open", n);
            if (out.size && strncmp(out.data, "HTTP/1.1 ", 9) != 0)
                fail_msg("mutation %u: %s", n, out.data);
            refused += out.size && (strstr(out.data, "HTTP/1.1 4") || strstr(out.data, " 50"));
        }
        close(fd); /* or without reading an answer */
    }
    assert_true(refused > 50);
    expect("GET /hello HTTP/1.1\r\n" H "\r\n", "200", "hello");
    requests_free(&r);
    bv_buffer_free(&bad);
    bv_buffer_free(&out);
    end();
}

static void test_ports(void **state) {
    (void)state;
    begin();
    bv_http_server *other;
    bv_http_options options = {.port = s.port, .limits = BV_HTTP_LIMITS_DEFAULT};
    assert_fails(bv_http_server_create(&options, &other), BV_CODE_USAGE, "in use");
    options.host = "no.such.host.invalid";
    assert_fails(bv_http_server_create(&options, &other), BV_CODE_USAGE, "no address to listen");
    options = (bv_http_options){.host = "::1", .limits = BV_HTTP_LIMITS_DEFAULT};
    bv_error *error = bv_http_server_create(&options, &other); /* without IPv6 an error */
    if (!error) assert_true(bv_http_server_port(other) > 0);
    if (!error) bv_http_server_destroy(&other);
    bv_error_free(&error);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_keep_alive_and_pipelining),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_big_bodies),
        cmocka_unit_test(test_slow_clients),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_unread),
        cmocka_unit_test(test_head_of_stream),
        cmocka_unit_test(test_clients_that_go),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_many_connections),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_mangled),
        cmocka_unit_test(test_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The client against a server that says whatever it likes: legal answers of all kinds, in pieces,
 * and mangled ones, each of which ends the call with an answer or an error, in time.
 */
#include "support/check.h"

#include "http/client.h"
#include "support/mangle.h"
#include "support/wire.h"
#include <pthread.h>

#define SEED 29u
#define TIMEOUT_MS 500

/* Takes connections one after another, reads until a request's head ends, and answers. */
typedef struct talker {
    int socket, port;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    bv_buffer answer;
    size_t piece; /* bytes that are sent at once */
} talker;

static talker t;

static void take_request(int fd) {
    bv_buffer in = {0};
    while (wire_read(fd, &in, 5000) > 0 && !strstr(in.data, "\r\n\r\n")) {
    }
    bv_buffer_free(&in);
}

static void *talk(void *context) {
    (void)context;
    for (int fd; (fd = accept(t.socket, NULL, NULL)) >= 0; close(fd)) {
        take_request(fd);
        pthread_mutex_lock(&t.mutex);
        for (size_t at = 0; at < t.answer.size; at += t.piece) {
            const size_t left = t.answer.size - at;
            if (!wire_send(fd, t.answer.data + at, left < t.piece ? left : t.piece)) break;
        }
        pthread_mutex_unlock(&t.mutex);
        shutdown(fd, SHUT_WR);
        take_request(fd); /* until the client closes */
    }
    return NULL;
}

static void begin(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    memset(&t, 0, sizeof t);
    pthread_mutex_init(&t.mutex, NULL);
    t.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(t.socket, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(t.socket, 8), 0);
    assert_int_equal(getsockname(t.socket, (struct sockaddr *)&at, &size), 0);
    t.port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&t.thread, NULL, talk, NULL), 0);
}

static void end(void) {
    shutdown(t.socket, SHUT_RDWR);
    pthread_join(t.thread, NULL);
    close(t.socket);
    pthread_mutex_destroy(&t.mutex);
    bv_buffer_free(&t.answer);
}

/* On a connection of its own. */
static bv_error *call(const char *answer, size_t size, size_t piece, bv_http_result *r) {
    char url[40];
    bv_http_client *client;
    pthread_mutex_lock(&t.mutex);
    bv_buffer_clear(&t.answer);
    bv_buffer_append(&t.answer, answer, size);
    t.piece = piece;
    pthread_mutex_unlock(&t.mutex);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", t.port);
    assert_ok(bv_http_client_create(url, &client));
    bv_error *error = bv_http_client_call(
        client, &(bv_http_call){.path = "/", .timeout_ms = TIMEOUT_MS, .answer_max = 100000}, r);
    bv_http_client_destroy(&client);
    return error;
}

static const struct {
    const char *answer;
    int status; /* 0: an error */
    const char *body;
} cases[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 200,
     "hello"},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end"},
    {"HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\na", 201, "a"},
    {"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", 500, ""},
    {"", 0, ""},
    {"hello", 0, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", 0, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello", 0, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", 0, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello", 0, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello", 0, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", 0, ""},
    {"HTTP/1.1 100 Continue\r\n\r\n", 0, ""},
    {"HTTP/2 200 OK\r\n\r\n", 0, ""},
};
#define CASES (sizeof cases / sizeof *cases)

static void test_answers(void **state) {
    (void)state;
    begin();
    for (size_t i = 0; i < CASES; i++)
        for (size_t piece = 1; piece < 200; piece = 4 * piece + 3) {
            bv_http_result r = {0};
            bv_error *error = call(cases[i].answer, strlen(cases[i].answer), piece, &r);
            if (error ? cases[i].status != 0 : r.status != cases[i].status)
                fail_msg("%s\nin pieces of %zu: %d %s", cases[i].answer, piece, r.status,
                         bv_error_text(error));
            if (!error) assert_string_equal(r.body.data ? r.body.data : "", cases[i].body);
            bv_error_free(&error);
            bv_http_result_free(&r);
        }
    end();
}

static void test_mangled(void **state) {
    (void)state;
    bv_buffer bad = {0};
    size_t refused = 0, taken = 0;
    begin();
    for (uint32_t n = 0; n < 1500; n++) {
        const bv_buffer good = {.data = (char *)cases[n % CASES].answer,
                                .size = strlen(cases[n % CASES].answer)};
        bv_http_result r = {0};
        mangle(&good, SEED, 1, n, &bad);
        bv_error *error = call(bad.data ? bad.data : "", bad.size, 1 + n % 50, &r);
        const bv_code code = bv_error_code(error);
        if (error && code != BV_CODE_IO && code != BV_CODE_INPUT)
            fail_msg("seed %u, mutation %u: %s", SEED, n, bv_error_text(error));
        if (!error) assert_true(r.status >= 200 && r.body.size <= bad.size);
        refused += error != NULL, taken += error == NULL;
        bv_error_free(&error);
        bv_http_result_free(&r);
    }
    assert_true(refused > 100 && taken > 100);
    end();
    bv_buffer_free(&bad);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_mangled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Bare sockets for tests of servers: send exactly these bytes, see exactly what comes back.
 * Loopback only. For tests only.
 */
#ifndef BV_TESTS_SUPPORT_WIRE_H
#define BV_TESTS_SUPPORT_WIRE_H

#include "base/buffer.h"
#include "support/check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

static inline int wire_open(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* False when the other side has closed. */
static inline bool wire_send(int fd, const char *bytes, size_t size) {
    while (size) {
        const ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0) return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static inline bool wire_text(int fd, const char *text) {
    return wire_send(fd, text, strlen(text));
}

/* Reads once, for at most `ms`: bytes read, 0 at the end, -1 for nothing in time. */
static inline int wire_read(int fd, bv_buffer *out, int ms) {
    char bytes[65536];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, ms) <= 0) return -1;
    const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n > 0) bv_buffer_append(out, bytes, (size_t)n);
    return n > 0 ? (int)n : 0;
}

/* Reads until `text` has come; fails the test after five seconds. */
static inline void wire_expect(int fd, bv_buffer *out, const char *text) {
    while (!out->data || !strstr(out->data, text))
        if (wire_read(fd, out, 5000) <= 0) {
            print_error("got: %s\n", out->data ? out->data : "(nothing)");
            fail_msg("\"%s\" did not come", text);
        }
}

/* Reads until the other side closes; false when it has not after `ms` of silence. */
static inline bool wire_drain(int fd, bv_buffer *out, int ms) {
    int n;
    while ((n = wire_read(fd, out, ms)) > 0) {
    }
    return n == 0;
}

#endif

/*
 * The server's limits, one row each: name, value unless set otherwise, and what it bounds. Times
 * are milliseconds. Every limit that a client can run into has a status of its own.
 */
#ifndef BV_HTTP_LIMITS_H
#define BV_HTTP_LIMITS_H

/* clang-format off */
#define BV_HTTP_LIMITS(X)                                                                          \
    X(head_bytes, 16384, "request line and headers: 431, of the line alone 414")                   \
    X(headers, 64, "number of headers: 431")                                                       \
    X(body_bytes, 1 << 20, "body of a request, unless its route says otherwise: 413")              \
    X(ahead_bytes, 65536, "bytes of later requests that are read while one is answered")           \
    X(held_bytes, 256 << 20, "requests and answers of all together; 503 for large ones")           \
    X(stream_bytes, 1 << 20, "unsent bytes of a stream: a slower client is cut off")               \
    X(connections, 10000, "open connections: 503")                                                 \
    X(connections_per_address, 1024, "open connections of one address: 429")                       \
    X(head_ms, 10000, "from a request's first byte to the end of its headers: 408")                \
    X(body_ms, 60000, "from there to the end of its body: 408")                                    \
    X(idle_ms, 60000, "between requests: closed")                                                  \
    X(write_ms, 30000, "without the client taking a byte: closed")                                 \
    X(ping_ms, 15000, "of silence in an event stream: a comment is sent")                          \
    X(linger_ms, 1000, "for a client to read an answer after which we close")                      \
    X(stop_ms, 10000, "for answers under way when the server stops: cut off")
/* clang-format on */

#define BV_HTTP_LIMIT_MEMBER(name, value, text) int name;
#define BV_HTTP_LIMIT_DEFAULT(name, value, text) .name = (value),

typedef struct bv_http_limits {
    BV_HTTP_LIMITS(BV_HTTP_LIMIT_MEMBER)
} bv_http_limits;

#define BV_HTTP_LIMITS_DEFAULT                                                                     \
    (bv_http_limits) {                                                                             \
        BV_HTTP_LIMITS(BV_HTTP_LIMIT_DEFAULT)                                                      \
    }

#endif

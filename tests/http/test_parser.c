/*
 * Bytes to requests, without sockets: every probe that other servers are known to read in two ways
 * must be refused, everything legal read as it is meant, and the reading may not depend on how the
 * bytes were cut into pieces. Mutations, of the probes and of made-up connections of several
 * requests, are a function of the printed seed.
 */
#include "support/check.h"

#include "base/buffer.h"
#include "http/parser.h"
#include "support/faults.h"
#include "support/mangle.h"
#include "support/requests.h"

#define SEED 17u

static const bv_http_limits limits = BV_HTTP_LIMITS_DEFAULT;

/* What a connection's bytes mean, as text: a line a request, and how it ended. Why something was
 * refused may depend on the pieces, that it was may not; so the reason is given only for a whole.
 */
static void read_from(const char *bytes, size_t size, size_t first, size_t piece, bv_buffer *out) {
    bv_http_parser *p;
    bv_buffer_clear(out);
    assert_ok(bv_http_parser_create(&limits, &p));
    for (size_t at = 0; at <= size; at += at || !first ? piece : first) {
        const size_t wanted = at || !first ? piece : first;
        const size_t n = at + wanted < size ? wanted : size - at;
        assert_true(bv_http_parser_append(p, bytes + at, n));
        for (bv_http_step step; (step = bv_http_parser_step(p)) != BV_HTTP_MORE;) {
            const bv_http_request *r = bv_http_parser_request(p);
            if (step == BV_HTTP_BAD) {
                const char *why = first || piece < size ? "" : bv_http_parser_why(p);
                bv_buffer_printf(out, "%d %s", bv_http_parser_status(p), why);
                bv_http_parser_destroy(&p);
                return;
            }
            if (step == BV_HTTP_HEAD) {
                bv_http_parser_limit_body(p, (size_t)limits.body_bytes); /* as connections do */
                continue;
            }
            bv_buffer_printf(out, "%s %s headers %zu body ", r->method, r->path, r->header_count);
            bv_buffer_append(out, r->body, r->body_size);
            bv_buffer_printf(out, " keep %d\n", r->keep_alive);
            for (size_t i = 0; i < r->header_count; i++)
                assert_true(strlen(r->headers[i].name) > 0 && r->headers[i].value);
            bv_http_parser_next(p);
        }
    }
    bv_buffer_printf(out, "more\n");
    bv_http_parser_destroy(&p);
}

static void read_all(const char *bytes, size_t size, size_t piece, bv_buffer *out) {
    read_from(bytes, size, 0, piece, out);
}

#define H "Host: a\r\n"
#define C H "Transfer-Encoding: chunked\r\n\r\n"

typedef struct probe {
    const char *bytes, *meaning; /* how the meaning begins */
} probe;

static const probe probes[] = {
    {"GET / HTTP/1.1\r\n" H "\r\n", "GET / headers 1 body  keep 1\nmore"},
    {"GET /a?b=c HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "GET /a headers 2 body  keep 0"},
    {"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET / "},
    {"GET http://x:1/p?q HTTP/1.1\r\n" H "\r\n", "GET /p headers "},
    {"GET http://x HTTP/1.1\r\n" H "\r\n", "GET / headers 1 "},
    {"GET http://x?q=http://y/z HTTP/1.1\r\n" H "\r\n", "GET / headers 1 "},
    {"POST /e HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" H "\r\n",
     "POST /e headers 2 body abc keep 1\nGET /2 "},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
     "POST / headers 2 body abc keep 1\nmore"},
    {"GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\n" H
     "\r\n",
     "GET / headers 3 body  keep 1\nGET /2"},
    {"GET / HTTP/1.0\r\n" H "\r\n", "GET / headers 1 body  keep 0"},
    {"GET / HTTP/1.0\r\n\r\n", "GET / headers 0 body  keep 0"},
    {"GET / HTTP/1.1\r\n" H "X:\r\nY: \t b \t\r\n\r\n", "GET / headers 3 "},
    /* what is refused */
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "400 both"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400 more than"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", "400"},
    {"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", "400 a line feed"},
    {"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400 a line feed"},
    {"GET / HTTP/1.1\r\n" H "X : b\r\n\r\n", "400 a blank before the colon"},
    {"GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", "400 a header that goes on"},
    {"GET / HTTP/1.1\r\n" H "\rX: a\r\n\r\n", "400 a carriage return"},
    {"GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", "400 a carriage return"},
    {"GET / HTTP/1.1\r\n" H ": a\r\n\r\n", "400 a header without a name"},
    {"GET / HTTP/1.1\r\n" H "nocolon\r\n\r\n", "400 a header without a name"},
    {" GET / HTTP/1.1\r\n" H "\r\n", "400 a blank before the request"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", "400"},
    {"POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
    {"GET / HTTP/1.1\r\n\r\n", "400 no Host"},
    {"GET / HTTP/1.1\r\nX: HTTP/1.0\r\n\r\n", "400 no Host"},
    {"GET / HTTP/1.0\r\n" H H "\r\n", "400 more than one Host"},
    {"GET / HTTP/1.1\r\n" H H "\r\n", "400 more than one Host"},
    {"POST / HTTP/1.1\r\n" H
     "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\nab\r\n0\r\n\r\n",
     "400"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\n\r\n",
     "400 extensions"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nabX\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
     "400 headers after"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", "400"},
    /* lengths that would overflow somebody's integer, or that not everybody reads as a number */
    {"POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n", "413"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551615\r\n\r\n", "4"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551619\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 4294967299\r\n\r\nabc", "413"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1048577\r\n\r\nabc", "413"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1048576\r\n\r\nabc", "more"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3e0\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1_0\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3 3\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\nabc", "400"},
    {"POST / HTTP/1.1\r\n" C "7fffffffffffffff\r\n", "413"},
    {"POST / HTTP/1.1\r\n" C "ffffffffffffffff\r\nab", "413"},
    {"POST / HTTP/1.1\r\n" C "10000000000000002\r\nab\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "100000002\r\nab\r\n0\r\n\r\n", "413"},
    {"POST / HTTP/1.1\r\n" C "2\r\nab\r\nffffffffffffffff\r\nab\r\n0\r\n\r\n", "413"},
    {"POST / HTTP/1.1\r\n" C "0x2\r\nab\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "+2\r\nab\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C " 2\r\nab\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "2 \r\nab\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "\r\nab\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "1\r\nab\r\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "2\r\nab0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "2\r\nab\r\n0\r\n\n", "400 a line feed"},
    {"POST / HTTP/1.1\r\n" C "2\r\nab\n0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "2\r\nab\r\n0\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "2\r\nab\r0\r\n\r\n", "400"},
    {"POST / HTTP/1.1\r\n" C "2\r\nab\r\n0\r\r\n", "400"},
    {"GET / HTTP/2.0\r\n" H "\r\n", "505"},
    {"GET / HTTP/1.9\r\n" H "\r\n", "505"},
    {"GET /\r\n" H "\r\n", "505"},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "4"},
    {"FOO / HTTP/1.1\r\n" H "\r\n", "501"},
    {"get / HTTP/1.1\r\n" H "\r\n", "501"},
    {"GET a HTTP/1.1\r\n" H "\r\n", "400"},
    {"GET /\x7f HTTP/1.1\r\n" H "\r\n", "400"},
    {"GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", "400"},
    {"CONNECT x:1 HTTP/1.1\r\n" H "\r\n", "400"},
    {"\x16\x03\x01\x02\r\n\r\n", "400"},
};

#define PROBES (sizeof probes / sizeof *probes)

static void test_probes(void **state) {
    (void)state;
    for (size_t i = 0; i < PROBES; i++) {
        bv_buffer whole = {0}, bytes = {0}, threes = {0};
        const size_t size = strlen(probes[i].bytes);
        read_all(probes[i].bytes, size, size, &whole);
        if (strncmp(whole.data, probes[i].meaning, strlen(probes[i].meaning)) != 0)
            fail_msg("%s\nmeant: %s\nwanted: %s", probes[i].bytes, whole.data, probes[i].meaning);
        read_all(probes[i].bytes, size, 1, &bytes);
        read_all(probes[i].bytes, size, 3, &threes);
        assert_memory_equal(whole.data, bytes.data, bytes.size);
        assert_memory_equal(whole.data, threes.data, threes.size);
        bv_buffer_free(&whole);
        bv_buffer_free(&bytes);
        bv_buffer_free(&threes);
    }
}

static void test_nul(void **state) {
    (void)state;
    static const char bytes[] = "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n";
    bv_buffer out = {0};
    read_all(bytes, sizeof bytes - 1, sizeof bytes, &out);
    assert_memory_equal(out.data, "400 a NUL", 9);
    bv_buffer_free(&out);
}

static void expect_long(const char *line, size_t repeat, const char *piece, const char *status) {
    bv_buffer bytes = {0}, out = {0};
    bv_buffer_text(&bytes, line);
    for (size_t i = 0; i < repeat; i++) bv_buffer_text(&bytes, piece);
    bv_buffer_text(&bytes, "\r\n\r\n");
    read_all(bytes.data, bytes.size, bytes.size, &out);
    assert_memory_equal(out.data, status, 3);
    bv_buffer_clear(&out);
    read_all(bytes.data, bytes.size, 700, &out);
    assert_memory_equal(out.data, status, 3);
    bv_buffer_free(&bytes);
    bv_buffer_free(&out);
}

static void test_limits(void **state) {
    (void)state;
    expect_long("GET /", 20000, "a", "414");
    expect_long("GET / HTTP/1.1\r\n" H "X: ", 20000, "a", "431");
    expect_long("GET / HTTP/1.1\r\n" H "X: y", 70, "\r\nA: b", "431");
    expect_long("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 300000,
                "5\r\nabcde\r\n", "413");
}

static void test_body_limit_at_the_head(void **state) {
    (void)state;
    bv_http_parser *p;
    static const char text[] = "POST / HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\n";
    assert_ok(bv_http_parser_create(&limits, &p));
    assert_true(bv_http_parser_append(p, text, sizeof text - 1));
    assert_int_equal(bv_http_parser_step(p), BV_HTTP_HEAD);
    assert_true(bv_http_parser_has_body(p));
    bv_http_parser_limit_body(p, 10);
    assert_int_equal(bv_http_parser_step(p), BV_HTTP_BAD);
    assert_int_equal(bv_http_parser_status(p), 413);
    bv_http_parser_destroy(&p);
}

/* Cut in two at each byte, which is where a socket may cut. */
static void test_cut_anywhere(void **state) {
    (void)state;
    bv_buffer whole = {0}, cut = {0};
    for (size_t i = 0; i < PROBES; i++) {
        const size_t size = strlen(probes[i].bytes);
        read_all(probes[i].bytes, size, size, &whole);
        for (size_t at = 1; at < size; at++) {
            read_from(probes[i].bytes, size, at, size, &cut);
            if (whole.size < cut.size || memcmp(whole.data, cut.data, cut.size) != 0)
                fail_msg("%s\ncut at %zu: \"%s\" and \"%s\"", probes[i].bytes, at, whole.data,
                         cut.data);
        }
    }
    bv_buffer_free(&whole);
    bv_buffer_free(&cut);
}

/* Several requests on a connection are read as they were meant, however they are cut; and mangled
 * ones, cut in two ways, are read the same. */
static void test_connections(void **state) {
    (void)state;
    requests r = {0};
    bv_buffer out = {0}, bad = {0}, pieces = {0};
    size_t refused = 0;
    for (uint32_t n = 0; n < 1000; n++) {
        requests_make(&r, SEED, n);
        bv_buffer_text(&r.meaning, "more\n");
        for (uint32_t k = 0; k < 8; k++) {
            const size_t first = mangle_word(SEED, 2000, n, k) % r.bytes.size;
            read_from(r.bytes.data, r.bytes.size, first, k ? 1 + k * k : r.bytes.size, &out);
            if (out.size != r.meaning.size || memcmp(out.data, r.meaning.data, out.size) != 0)
                fail_msg("seed %u, connection %u, cut %u:\n%s\nread as:\n%s", SEED, n, k,
                         r.bytes.data, out.data);
        }
        for (uint32_t k = 0; k < 8; k++) {
            mangle(&r.bytes, SEED, 3000 + n, k, &bad);
            read_all(bad.data, bad.size, bad.size ? bad.size : 1, &out);
            read_all(bad.data, bad.size, 1 + mangle_word(SEED, 4000, n, k) % 40, &pieces);
            if (out.size < pieces.size || memcmp(out.data, pieces.data, pieces.size) != 0)
                fail_msg("seed %u, connection %u, mutation %u: \"%s\" and \"%s\"", SEED, n, k,
                         out.data, pieces.data);
            refused += strstr(out.data, "more\n") == NULL;
        }
    }
    assert_true(refused > 1000);
    requests_free(&r);
    bv_buffer_free(&out);
    bv_buffer_free(&bad);
    bv_buffer_free(&pieces);
}

/* Whatever comes: no crash, and the same meaning whole and in pieces. */
static void test_mangled(void **state) {
    (void)state;
    size_t refused = 0, read = 0;
    for (uint32_t i = 0; i < PROBES; i++) {
        for (uint32_t n = 0; n < 200; n++) {
            bv_buffer bad = {0}, whole = {0}, pieces = {0};
            const bv_buffer good = {.data = (char *)probes[i].bytes,
                                    .size = strlen(probes[i].bytes)};
            mangle(&good, SEED, i, n, &bad);
            read_all(bad.data, bad.size, bad.size ? bad.size : 1, &whole);
            read_all(bad.data, bad.size, 1 + mangle_word(SEED, i, n, 99) % 7, &pieces);
            if (whole.size < pieces.size || memcmp(whole.data, pieces.data, pieces.size) != 0)
                fail_msg("seed %u, probe %u, mutation %u: \"%s\" and \"%s\"", SEED, i, n,
                         whole.data, pieces.data);
            refused += whole.data[0] == '4' || whole.data[0] == '5';
            read += strncmp(whole.data, "GET", 3) == 0 || strncmp(whole.data, "POST", 4) == 0;
            bv_buffer_free(&bad);
            bv_buffer_free(&whole);
            bv_buffer_free(&pieces);
        }
    }
    assert_true(refused > 100 && read > 100);
}

/* Each allocation fails once: a refusal or the request, nothing lost. */
static void test_no_memory(void **state) {
    (void)state;
    static const char text[] = "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc";
    for (int n = 0;; n++) {
        bv_http_parser *p = NULL;
        faults_allocation(n);
        bv_error *error = bv_http_parser_create(&limits, &p);
        bool ok = !error && bv_http_parser_append(p, text, sizeof text - 1);
        while (ok) {
            const bv_http_step step = bv_http_parser_step(p);
            if (step == BV_HTTP_DONE) break;
            if (step == BV_HTTP_BAD) assert_int_equal(bv_http_parser_status(p), 503);
            ok = step == BV_HTTP_HEAD;
        }
        const bool struck = faults_off();
        bv_error_free(&error);
        bv_http_parser_destroy(&p);
        assert_true(ok != struck);
        if (!struck) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probes),       cmocka_unit_test(test_nul),
        cmocka_unit_test(test_limits),       cmocka_unit_test(test_body_limit_at_the_head),
        cmocka_unit_test(test_mangled),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

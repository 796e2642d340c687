/* Connections' worth of legal HTTP requests whose meaning is known: a function of (seed, number).
 * Bodies by length and in chunks, one request after another without waiting. For tests only. */
#ifndef BV_TESTS_SUPPORT_REQUESTS_H
#define BV_TESTS_SUPPORT_REQUESTS_H

#include "support/mangle.h"

typedef struct requests {
    bv_buffer bytes;   /* as they go over the wire */
    bv_buffer meaning; /* a line each: "POST /echo headers 2 body abc keep 1" */
    uint32_t seed, number, drawn;
    uint32_t count; /* of requests */
} requests;

static inline uint32_t requests_draw(requests *r, uint32_t below) {
    return mangle_word(r->seed, 1000, r->number, r->drawn++) % below;
}

static inline void requests_free(requests *r) {
    bv_buffer_free(&r->bytes);
    bv_buffer_free(&r->meaning);
}

/* In chunks of random sizes, which may be written with zeros before them and in capitals. */
static inline void requests_put_chunks(requests *r, const char *body, size_t size) {
    static const char *const forms[] = {"%zx\r\n", "%zX\r\n", "000%zx\r\n"};
    for (size_t at = 0; at < size;) {
        const size_t left = size - at, n = 1 + requests_draw(r, left < 300 ? (uint32_t)left : 300);
        bv_buffer_printf(&r->bytes, forms[requests_draw(r, 3)], n);
        bv_buffer_append(&r->bytes, body + at, n);
        bv_buffer_text(&r->bytes, "\r\n");
        at += n;
    }
    bv_buffer_text(&r->bytes, "0\r\n\r\n");
}

static inline void requests_put_body(requests *r) {
    char body[1000];
    const size_t size = requests_draw(r, 4) ? requests_draw(r, 40) : requests_draw(r, sizeof body);
    /* What looks like the protocol, in a body, is not. */
    static const char letters[] = "\r\n0aGET / HTTP/1.1:";
    for (size_t i = 0; i < size; i++) body[i] = letters[requests_draw(r, sizeof letters - 1)];
    if (requests_draw(r, 2)) {
        bv_buffer_printf(&r->bytes, "Content-Length: %zu\r\n\r\n", size);
        bv_buffer_append(&r->bytes, body, size);
    } else {
        bv_buffer_text(&r->bytes, requests_draw(r, 2) ? "Transfer-Encoding: chunked\r\n\r\n"
                                                      : "tRANSFER-eNCODING:  Chunked \r\n\r\n");
        requests_put_chunks(r, body, size);
    }
    bv_buffer_append(&r->meaning, body, size);
}

static inline void requests_put(requests *r) {
    static const char *const headers[] = {"X: y\r\n", "Accept:*/*\r\n", "a-B_c.1!:\t\r\n",
                                          "Cookie: a=b; c=\"d\"\r\n", "Upgrade: h2c\r\n"};
    const bool post = requests_draw(r, 3) > 0;
    const uint32_t further = requests_draw(r, 6), query = requests_draw(r, 2);
    if (requests_draw(r, 8) == 0) bv_buffer_text(&r->bytes, "\r\n");
    bv_buffer_printf(&r->bytes, "%s%s%s HTTP/1.1\r\nHost: a\r\n",
                     post ? "POST /echo" : "GET /hello", query ? "?" : "", query ? "q=%20" : "");
    for (uint32_t i = 0; i < further; i++) bv_buffer_text(&r->bytes, headers[requests_draw(r, 5)]);
    bv_buffer_printf(&r->meaning, "%s headers %u body ", post ? "POST /echo" : "GET /hello",
                     1 + further + post);
    if (post)
        requests_put_body(r);
    else
        bv_buffer_text(&r->bytes, "\r\n");
    bv_buffer_text(&r->meaning, " keep 1\n");
}

/* {0} is legal for `r`; what it had is gone. */
static inline void requests_make(requests *r, uint32_t seed, uint32_t number) {
    bv_buffer_clear(&r->bytes);
    bv_buffer_clear(&r->meaning);
    r->seed = seed, r->number = number, r->drawn = 0;
    r->count = 1 + requests_draw(r, 5);
    for (uint32_t i = 0; i < r->count; i++) requests_put(r);
}

#endif

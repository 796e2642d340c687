/*
 * Bytes of a connection to requests, one after another: a strict look at the headers (head.h), then
 * llhttp. It knows no sockets and no time, so it is fuzzed as it stands.
 *
 *     append bytes;  MORE ──append──▶ step
 *                    HEAD             the headers stand: decide about the body, step on
 *                    DONE             the request stands until bv_http_parser_next
 *                    BAD              refuse with `status` and `why`, then close
 *
 * Bytes of later requests wait in the parser. Refused beside what head.h refuses: trailers, chunk
 * extensions, transfer encodings other than chunked, versions other than 1.0 and 1.1. Upgrades are
 * ignored, as RFC 9110 section 7.8 allows. One thread at a time; while a request stands, other
 * threads may read it and bytes may be appended.
 */
#ifndef BV_HTTP_PARSER_H
#define BV_HTTP_PARSER_H

#include "base/status.h"
#include "http/limits.h"
#include "http/request.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum bv_http_step {
    BV_HTTP_MORE,
    BV_HTTP_HEAD,
    BV_HTTP_DONE,
    BV_HTTP_BAD,
} bv_http_step;

typedef struct bv_http_parser bv_http_parser;

/* The limits must outlive the parser. */
bv_status bv_http_parser_create(const bv_http_limits *limits, bv_http_parser **out);
void bv_http_parser_destroy(bv_http_parser **parser); /* NULL is legal */

bool bv_http_parser_append(bv_http_parser *parser, const char *bytes, size_t size);
size_t bv_http_parser_waiting(const bv_http_parser *parser); /* bytes that no step has taken */
size_t bv_http_parser_held(const bv_http_parser *parser);    /* memory of what was appended */
bv_http_step bv_http_parser_step(bv_http_parser *parser);
void bv_http_parser_next(bv_http_parser *parser); /* after DONE: forgets the request */

/* From HEAD on. The body's limit is that of the limits unless set at HEAD. */
const bv_http_request *bv_http_parser_request(const bv_http_parser *parser);
bool bv_http_parser_has_body(const bv_http_parser *parser);
void bv_http_parser_limit_body(bv_http_parser *parser, size_t bytes);

/* After BAD. */
int bv_http_parser_status(const bv_http_parser *parser);
const char *bv_http_parser_why(const bv_http_parser *parser);

#endif

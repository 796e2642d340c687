/*
 * An exchange is one request and its answer. A handler is lent it and must finish it exactly once,
 * at once or later, from any thread:
 *
 *     bv_http_reply...(x, ...)                                   one whole answer
 *     bv_http_stream_begin(x), ..._event, ..._end                an answer in pieces
 *
 * Finishing stays legal, and a duty, after the client has gone: the exchange lives until then.
 * Calls for one exchange are made by one thread at a time; what they send is handed to the server's
 * thread. A client that closes or half-closes its side has gone: the cancel callback tells at once.
 * A whole answer is sent all the same, since it may only have closed its half; of a stream no more.
 */
#ifndef BV_HTTP_EXCHANGE_H
#define BV_HTTP_EXCHANGE_H

#include "base/json.h"
#include "base/status.h"
#include "http/request.h"
#include "http/router.h"

const bv_http_request *bv_http_exchange_request(const bv_http_exchange *x);
/* The decoded segment that stood at :name in the route's path; NULL: no such name. */
const char *bv_http_exchange_parameter(const bv_http_exchange *x, const char *name);
const char *bv_http_exchange_address(const bv_http_exchange *x); /* "127.0.0.1", "::1" */
/* The body as JSON; a reply has been made when it is none, or has more than 10,000 values (false).
 * Free with json_decref. */
bool bv_http_exchange_json(bv_http_exchange *x, json_t **out);

typedef struct bv_http_answer {
    int status;
    const char *type; /* e.g. "text/html; charset=utf-8"; NULL: no body */
    const void *body; /* copied */
    size_t size;
    const char *headers; /* further ones, each with its \r\n; NULL: none */
} bv_http_answer;

/* Each of these finishes the exchange. */
void bv_http_reply(bv_http_exchange *x, const bv_http_answer *answer);
void bv_http_reply_json(bv_http_exchange *x, int status, json_t *value); /* takes the reference */
/* {"error": {"message": ..., "type": ...}} */
void bv_http_reply_error(bv_http_exchange *x, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with 429 and Retry-After. */
void bv_http_reply_limit(bv_http_exchange *x, uint64_t seconds, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The error's text, with 400 for what the client did wrong and 500 for the rest, unless `status` is
 * not 0; 503 comes with Retry-After. Frees the error. */
void bv_http_reply_failure(bv_http_exchange *x, int status, bv_error *error);

/* Told once, on the server's thread, as soon as the client has gone or the server stops; never
 * after the exchange was finished (finishing waits for a callback that runs). It may finish the
 * exchange. False: the client has gone already, and nobody will be told. */
typedef void bv_http_cancel(void *context);
bool bv_http_on_cancel(bv_http_exchange *x, bv_http_cancel *cancel, void *context);

/* An event stream (text/event-stream, WHATWG HTML section 9.2), kept alive by comments. False when
 * the client has gone, asked for the head alone, or takes too little: then it is cut off. */
void bv_http_stream_begin(bv_http_exchange *x);
bool bv_http_stream_event(bv_http_exchange *x, const char *event, const char *data);
void bv_http_stream_end(bv_http_exchange *x); /* finishes the exchange */

#endif

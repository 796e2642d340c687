#include "base/memory.h"
#include "http/connection.h"
#include <ctype.h>
#include <llhttp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define VALUES_MAX 10000 /* of a body in JSON */
#define NO_STORE "Cache-Control: no-store\r\n"

const bv_http_request *bv_http_exchange_request(const bv_http_exchange *x) {
    return bv_http_parser_request(x->connection->parser);
}

const char *bv_http_exchange_parameter(const bv_http_exchange *x, const char *name) {
    return bv_http_match_parameter(&x->match, name);
}

const char *bv_http_exchange_address(const bv_http_exchange *x) {
    return x->connection->address;
}

/* Whether there are more values in it than a body may have: each takes up to a hundred times its
 * bytes. What begins or parts them is counted, outside of strings. */
static bool has_too_many_values(const char *text, size_t size) {
    bool in_string = false;
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            in_string = !in_string;
        else if (in_string)
            i += text[i] == '\\';
        else
            count += text[i] == ',' || text[i] == '[' || text[i] == '{';
    }
    return count > VALUES_MAX;
}

bool bv_http_exchange_json(bv_http_exchange *x, json_t **out) {
    const bv_http_request *r = bv_http_exchange_request(x);
    if (has_too_many_values(r->body, r->body_size)) {
        bv_http_reply_error(x, 400, "body: more than %d values", VALUES_MAX);
        return false;
    }
    bv_error *error = bv_json_parse(r->body, r->body_size, "body", out);
    if (error) bv_http_reply_failure(x, 0, error);
    return !error;
}

/* ---- whole answers ---- */

/* "Not Found" of NOT_FOUND; OK stays. */
static void put_reason(bv_buffer *out, int status) {
    const char *name = llhttp_status_name((llhttp_status_t)status);
    bool begins = true;
    for (; name && *name; name++) {
        const bool keep = begins || status == 200;
        const char c = *name == '_' ? ' ' : keep ? *name : (char)tolower((unsigned char)*name);
        bv_buffer_append(out, &c, 1);
        begins = c == ' ';
    }
}

void bv_http_answer_head(bv_buffer *out, int status, bool close) {
    const time_t now = time(NULL);
    struct tm utc;
    char date[40];
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    bv_buffer_printf(out, "HTTP/1.1 %d ", status);
    put_reason(out, status);
    bv_buffer_printf(out, "\r\nDate: %s\r\n", date);
    if (close) bv_buffer_text(out, "Connection: close\r\n");
}

void bv_http_answer_overload(bv_buffer *out, int status) {
    bv_http_answer_head(out, status, true);
    bv_buffer_text(out, "Retry-After: 2\r\nContent-Length: 0\r\n\r\n");
}

/* The exchange's last message: it needs no memory but that of its bytes. */
static void finish(bv_http_exchange *x, bv_buffer *bytes) {
    bv_http_server *s = x->server;
    pthread_mutex_lock(&s->lock); /* waits for a cancel callback that runs */
    x->cancel = NULL;
    pthread_mutex_unlock(&s->lock);
    bv_http_message *m = &x->connection->last;
    *m = (bv_http_message){.connection = x->connection,
                           .ends = true,
                           .is_own = true,
                           .cuts = bytes->failed || x->broken};
    m->bytes = *bytes;
    x->unsent += bytes->size;
    bv_http_server_post(s, m);
}

void bv_http_reply(bv_http_exchange *x, const bv_http_answer *answer) {
    bv_buffer out = {0};
    x->status = answer->status;
    bv_http_answer_head(&out, answer->status, !x->keep_alive);
    if (answer->headers) bv_buffer_text(&out, answer->headers);
    if (answer->type) bv_buffer_printf(&out, "Content-Type: %s\r\n", answer->type);
    const bool may_have_body =
        answer->status >= 200 && answer->status != 204 && answer->status != 304;
    if (may_have_body) bv_buffer_printf(&out, "Content-Length: %zu\r\n", answer->size);
    bv_buffer_text(&out, "\r\n");
    if (may_have_body && !x->head_only) bv_buffer_append(&out, answer->body, answer->size);
    finish(x, &out);
}

static void reply_json(bv_http_exchange *x, int status, json_t *value, const char *headers) {
    bv_buffer text = {0};
    bv_error *error = bv_json_text(value, 0, &text);
    json_decref(value);
    static const char lost[] = "{\"error\": {\"message\": \"out of memory\", "
                               "\"type\": \"server_error\"}}";
    bv_http_answer answer = {.status = status,
                             .type = "application/json",
                             .body = text.data,
                             .size = text.size,
                             .headers = headers};
    if (error) answer = (bv_http_answer){503, "application/json", lost, sizeof lost - 1, NULL};
    bv_error_free(&error);
    bv_http_reply(x, &answer);
    bv_buffer_free(&text);
}

void bv_http_reply_json(bv_http_exchange *x, int status, json_t *value) {
    reply_json(x, status, value, NO_STORE);
}

/* seconds: of Retry-After; 0: none, but with 503 */
static void reply_message(bv_http_exchange *x, int status, uint64_t seconds, const char *message) {
    const char *type = status < 500 ? "invalid_request_error" : "server_error";
    const char *allowed = x->match.allowed.data;
    char headers[256] = NO_STORE;
    if (status == 405) snprintf(headers, sizeof headers, "Allow: %s\r\n", allowed ? allowed : "");
    if (status == 401) snprintf(headers, sizeof headers, NO_STORE "WWW-Authenticate: Bearer\r\n");
    if (seconds || status == 503)
        snprintf(headers, sizeof headers, NO_STORE "Retry-After: %llu\r\n",
                 seconds ? (unsigned long long)seconds : 2);
    reply_json(x, status,
               json_pack("{s{so ss}}", "error", "message", bv_json_string(message, strlen(message)),
                         "type", type),
               headers);
}

static void reply_format(bv_http_exchange *x, int status, uint64_t seconds, const char *format,
                         va_list list) {
    char message[1024];
    vsnprintf(message, sizeof message, format, list);
    reply_message(x, status, seconds, message);
}

void bv_http_reply_error(bv_http_exchange *x, int status, const char *format, ...) {
    va_list list;
    va_start(list, format);
    reply_format(x, status, 0, format, list);
    va_end(list);
}

void bv_http_reply_limit(bv_http_exchange *x, uint64_t seconds, const char *format, ...) {
    va_list list;
    va_start(list, format);
    reply_format(x, 429, seconds, format, list);
    va_end(list);
}

void bv_http_reply_failure(bv_http_exchange *x, int status, bv_error *error) {
    const bv_code code = bv_error_code(error);
    if (!status) status = code == BV_CODE_USAGE || code == BV_CODE_INPUT ? 400 : 500;
    reply_message(x, status, 0, bv_error_text(error));
    bv_error_free(&error);
}

/* ---- cancelling ---- */

bool bv_http_on_cancel(bv_http_exchange *x, bv_http_cancel *cancel, void *context) {
    pthread_mutex_lock(&x->server->lock);
    const bool here = !x->gone;
    if (here) x->cancel = cancel, x->cancel_context = context;
    pthread_mutex_unlock(&x->server->lock);
    return here;
}

void bv_http_exchange_cancel(bv_http_exchange *x) {
    bv_http_server *s = x->server;
    pthread_mutex_lock(&s->lock);
    bv_http_cancel *cancel = x->gone ? NULL : x->cancel;
    x->gone = true;
    x->cancel = NULL;
    if (cancel) cancel(x->cancel_context); /* under the lock: finish() waits for it */
    pthread_mutex_unlock(&s->lock);
}

static bool is_gone(bv_http_exchange *x) {
    pthread_mutex_lock(&x->server->lock);
    const bool gone = x->gone;
    pthread_mutex_unlock(&x->server->lock);
    return gone;
}

/* ---- streams ---- */

static bool post(bv_http_exchange *x, bv_buffer *bytes, bool begins) {
    bv_http_message *m = bv_calloc(1, sizeof *m);
    if (!m) {
        bv_buffer_free(bytes);
        x->broken = true;
        return false;
    }
    m->connection = x->connection;
    m->bytes = *bytes;
    m->begins = begins;
    x->unsent += bytes->size;
    m->cuts =
        bytes->failed || (!begins && x->unsent > (size_t)x->server->options.limits.stream_bytes);
    const bool ok = !m->cuts;
    bv_http_server_post(x->server, m);
    return ok;
}

void bv_http_stream_begin(bv_http_exchange *x) {
    const bv_http_request *r = bv_http_exchange_request(x);
    bv_buffer out = {0};
    x->status = 200;
    x->chunked = r->minor == 1;
    if (!x->chunked) x->keep_alive = false;
    bv_http_answer_head(&out, 200, !x->keep_alive);
    bv_buffer_text(&out, "Content-Type: text/event-stream\r\n" NO_STORE);
    /* nginx would collect events otherwise. */
    bv_buffer_text(&out, "X-Accel-Buffering: no\r\n");
    bv_buffer_text(&out, x->chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    post(x, &out, true);
}

static bool send_bytes(bv_http_exchange *x, const bv_buffer *bytes) {
    if (x->head_only || is_gone(x)) return false;
    bv_buffer out = {0};
    if (x->chunked) bv_buffer_printf(&out, "%zx\r\n", bytes->size);
    bv_buffer_append(&out, bytes->data, bytes->size);
    if (x->chunked) bv_buffer_text(&out, "\r\n");
    return post(x, &out, false);
}

bool bv_http_stream_event(bv_http_exchange *x, const char *event, const char *data) {
    bv_buffer text = {0};
    if (event) bv_buffer_printf(&text, "event: %s\n", event);
    for (const char *line = data;; line++) {
        const size_t size = strcspn(line, "\r\n");
        bv_buffer_printf(&text, "data: %.*s\n", (int)size, line);
        line += size;
        if (*line == '\r' && line[1] == '\n') line++;
        if (!*line) break;
    }
    bv_buffer_text(&text, "\n");
    const bool ok = !text.failed && send_bytes(x, &text);
    bv_buffer_free(&text);
    return ok;
}

void bv_http_stream_end(bv_http_exchange *x) {
    bv_buffer out = {0};
    if (x->chunked && !x->head_only) bv_buffer_text(&out, "0\r\n\r\n");
    finish(x, &out);
}

#include "http/parser.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "http/head.h"
#include <ctype.h>
#include <llhttp.h>
#include <string.h>

/* Where a header's name and value stand in the copy of the head. */
typedef struct span {
    size_t name, name_size, value, value_size;
} span;

enum state { AT_HEAD, AT_BODY, AT_END, AT_ERROR };

struct bv_http_parser {
    const bv_http_limits *limits;
    llhttp_t llhttp;
    enum state state;
    bv_buffer in; /* bytes from the connection; the first `used` are taken */
    size_t used, searched;
    bv_buffer head; /* a copy, cut into texts once it is parsed */
    span target, *spans;
    bv_http_header *headers;
    size_t count;
    bv_buffer body;
    size_t body_limit;
    char body_last; /* the byte before those that llhttp sees next */
    bool headers_complete, message_complete;
    bv_http_request request;
    int status;
    const char *why;
};

static int refuse(bv_http_parser *p, int status, const char *why) {
    if (p->state != AT_ERROR) p->status = status, p->why = why;
    p->state = AT_ERROR;
    return -1;
}

/* ---- what llhttp calls ---- */

static size_t offset(const bv_http_parser *p, const char *at) {
    return (size_t)(at - p->head.data);
}

static int on_url(llhttp_t *llhttp, const char *at, size_t size) {
    bv_http_parser *p = llhttp->data;
    if (!p->target.value_size) p->target.value = offset(p, at);
    p->target.value_size += size;
    return 0;
}

static int on_field(llhttp_t *llhttp, const char *at, size_t size) {
    bv_http_parser *p = llhttp->data;
    if (p->headers_complete) return refuse(p, 400, "headers after the body (trailers)");
    if (p->count == (size_t)p->limits->headers) return refuse(p, 431, "too many headers");
    p->spans[p->count++] = (span){.name = offset(p, at), .name_size = size};
    return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t size) {
    bv_http_parser *p = llhttp->data;
    span *s = &p->spans[p->count - 1];
    if (!s->value) s->value = offset(p, at);
    s->value_size += size;
    return 0;
}

/* Stops here, so that the body's limit can be set; an upgrade is not taken up. */
static int on_headers_complete(llhttp_t *llhttp) {
    bv_http_parser *p = llhttp->data;
    p->headers_complete = true;
    llhttp->upgrade = 0;
    return HPE_PAUSED;
}

static int on_chunk_extension(llhttp_t *llhttp, const char *at, size_t size) {
    (void)at, (void)size;
    return refuse(llhttp->data, 400, "extensions of chunks");
}

/* A chunk that is too large is refused by what it says, before its bytes come. */
static int on_chunk_header(llhttp_t *llhttp) {
    bv_http_parser *p = llhttp->data;
    const bool fits = llhttp->content_length <= p->body_limit - p->body.size;
    return fits ? 0 : refuse(p, 413, "the body is too large");
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size) {
    bv_http_parser *p = llhttp->data;
    if (size > p->body_limit - p->body.size) return refuse(p, 413, "the body is too large");
    bv_buffer_append(&p->body, at, size);
    return p->body.failed ? refuse(p, 503, "no memory for the body") : 0;
}

static int on_message_complete(llhttp_t *llhttp) {
    ((bv_http_parser *)llhttp->data)->message_complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_url = on_url,
                                           .on_header_field = on_field,
                                           .on_header_value = on_value,
                                           .on_headers_complete = on_headers_complete,
                                           .on_chunk_extension_name = on_chunk_extension,
                                           .on_chunk_header = on_chunk_header,
                                           .on_body = on_body,
                                           .on_message_complete = on_message_complete};

/* ---- lifetime ---- */

bv_status bv_http_parser_create(const bv_http_limits *limits, bv_http_parser **out) {
    bv_http_parser *p = bv_calloc(1, sizeof *p);
    if (!p) return bv_fail_memory("a connection");
    p->limits = limits;
    p->spans = bv_calloc((size_t)limits->headers + 1, sizeof *p->spans);
    p->headers = bv_calloc((size_t)limits->headers + 1, sizeof *p->headers);
    if (!p->spans || !p->headers) {
        bv_http_parser_destroy(&p);
        return bv_fail_memory("a connection");
    }
    *out = p;
    return BV_OK;
}

void bv_http_parser_destroy(bv_http_parser **parser) {
    bv_http_parser *p = *parser;
    if (!p) return;
    bv_buffer_free(&p->in);
    bv_buffer_free(&p->head);
    bv_buffer_free(&p->body);
    bv_free(p->spans);
    bv_free(p->headers);
    bv_free(p);
    *parser = NULL;
}

bool bv_http_parser_append(bv_http_parser *p, const char *bytes, size_t size) {
    if (p->used) {
        memmove(p->in.data, p->in.data + p->used, p->in.size - p->used);
        p->in.size -= p->used;
        p->used = 0;
    }
    bv_buffer_append(&p->in, bytes, size);
    return !p->in.failed;
}

size_t bv_http_parser_waiting(const bv_http_parser *p) {
    return p->in.size - p->used;
}

size_t bv_http_parser_held(const bv_http_parser *p) {
    return p->in.capacity + p->head.capacity + p->body.capacity;
}

void bv_http_parser_next(bv_http_parser *p) {
    BV_ASSERT(p->state == AT_END);
    if (p->used == p->in.size) bv_buffer_free(&p->in), p->used = 0;
    bv_buffer_free(&p->head);
    bv_buffer_free(&p->body);
    p->request = (bv_http_request){0};
    p->state = AT_HEAD;
}

/* ---- steps ---- */

/* Texts out of spans, in place: names in lower case, values without blanks at their end. Legal once
 * llhttp has read the head. */
static char *cut(char *data, size_t at, size_t size) {
    while (size && (data[at + size - 1] == ' ' || data[at + size - 1] == '\t')) size--;
    data[at + size] = 0;
    return data + at;
}

/* https://host/path is /path: absolute-form, RFC 9112 section 3.2.2. An empty path is "/"; what was
 * before it makes room. */
static char *skip_authority(char *target) {
    char *host = strstr(target, "://");
    if (*target == '/' || !host) return target;
    char *path = host + 3 + strcspn(host + 3, "/?");
    if (*path == '/') return path;
    *--path = '/';
    return path;
}

static bool cut_head(bv_http_parser *p) {
    char *data = p->head.data;
    p->request = (bv_http_request){.method = llhttp_method_name((llhttp_method_t)p->llhttp.method),
                                   .headers = p->headers,
                                   .header_count = p->count,
                                   .body = "",
                                   .minor = p->llhttp.http_minor,
                                   .keep_alive = llhttp_should_keep_alive(&p->llhttp)};
    char *target = skip_authority(cut(data, p->target.value, p->target.value_size));
    if (*target != '/' && strcmp(target, "*") != 0) return false;
    target[strcspn(target, "?")] = 0;
    p->request.path = target;
    for (size_t i = 0; i < p->count; i++) {
        const span *s = &p->spans[i];
        char *name = cut(data, s->name, s->name_size);
        for (char *c = name; *c; c++) *c = (char)tolower((unsigned char)*c);
        p->headers[i] =
            (bv_http_header){name, s->value_size ? cut(data, s->value, s->value_size) : ""};
    }
    return true;
}

static bv_http_step bad(bv_http_parser *p, int status, const char *why) {
    refuse(p, status, why);
    return BV_HTTP_BAD;
}

static const char *check_version(const bv_http_parser *p) {
    const char *encoding = bv_http_request_header(&p->request, "transfer-encoding");
    if (p->llhttp.http_major != 1 || p->llhttp.http_minor > 1) return "only HTTP/1.1 is spoken";
    if (encoding && (p->llhttp.http_minor == 0 || strcasecmp(encoding, "chunked") != 0))
        return "only the transfer encoding chunked is understood";
    return NULL;
}

static bv_http_step parse_head(bv_http_parser *p, size_t size) {
    const char *wrong = bv_http_head_check(p->in.data + p->used, size);
    if (wrong) return bad(p, 400, wrong);
    bv_buffer_clear(&p->head);
    bv_buffer_append(&p->head, p->in.data + p->used, size);
    if (p->head.failed) return bad(p, 503, "no memory for the headers");
    llhttp_init(&p->llhttp, HTTP_REQUEST, &settings);
    p->llhttp.data = p;
    p->count = 0;
    p->target = (span){0};
    memset(p->spans, 0, (size_t)p->limits->headers * sizeof *p->spans);
    p->headers_complete = p->message_complete = false;
    p->body_limit = (size_t)p->limits->body_bytes;
    const llhttp_errno_t code = llhttp_execute(&p->llhttp, p->head.data, size);
    if (p->state == AT_ERROR) return BV_HTTP_BAD;
    if (code == HPE_INVALID_VERSION) return bad(p, 505, "only HTTP/1.1 is spoken");
    if (code == HPE_INVALID_METHOD) return bad(p, 501, "the method is not known");
    /* Both readings of where the headers end must agree. */
    const char *end = llhttp_get_error_pos(&p->llhttp);
    if (code != HPE_PAUSED || !p->headers_complete || end != p->head.data + size)
        return bad(p, 400, llhttp_get_error_reason(&p->llhttp));
    if (!cut_head(p)) return bad(p, 400, "the target is not a path");
    if ((wrong = check_version(p))) return bad(p, p->llhttp.http_major == 1 ? 400 : 505, wrong);
    p->used += size;
    p->state = AT_BODY;
    llhttp_resume(&p->llhttp);
    return BV_HTTP_HEAD;
}

static bv_http_step step_head(bv_http_parser *p) {
    /* Empty lines before a request are skipped: RFC 9112 section 2.2. */
    while (p->in.size - p->used >= 2 && !memcmp(p->in.data + p->used, "\r\n", 2))
        p->used += 2, p->searched = 0;
    const char *from = p->in.data ? p->in.data + p->used : "";
    const size_t waiting = p->in.size - p->used, limit = (size_t)p->limits->head_bytes;
    const size_t size = bv_http_head_end(from, waiting, p->searched);
    p->searched = size ? 0 : waiting;
    if (size ? size > limit : waiting > limit) {
        if (!memmem(from, limit, "\r\n", 2)) return bad(p, 414, "the request line is too long");
        return bad(p, 431, "the headers are too long");
    }
    return size ? parse_head(p, size) : BV_HTTP_MORE;
}

/* llhttp takes a bare line feed for the end of a chunked body; others read on. `end` is behind it.
 */
static bool is_strict_end(const bv_http_parser *p, const char *from, const char *end) {
    if (!(p->llhttp.flags & F_CHUNKED)) return true;
    return (end - from >= 2 ? end[-2] : p->body_last) == '\r';
}

static bv_http_step step_body(bv_http_parser *p) {
    const char *from = p->in.data + p->used;
    const size_t waiting = p->in.size - p->used;
    /* Also without a byte: a request without a body ends here. */
    const llhttp_errno_t code = llhttp_execute(&p->llhttp, from, waiting);
    if (p->state == AT_ERROR) return BV_HTTP_BAD;
    if (code == HPE_OK) {
        if (waiting) p->body_last = from[waiting - 1];
        p->used = p->in.size;
        return BV_HTTP_MORE;
    }
    if (code != HPE_PAUSED || !p->message_complete)
        return bad(p, 400, llhttp_get_error_reason(&p->llhttp));
    const char *end = llhttp_get_error_pos(&p->llhttp);
    if (!is_strict_end(p, from, end)) return bad(p, 400, "a line feed ends the body");
    p->used += (size_t)(end - from);
    p->state = AT_END;
    if (p->body.data) p->request.body = p->body.data;
    p->request.body_size = p->body.size;
    return BV_HTTP_DONE;
}

bv_http_step bv_http_parser_step(bv_http_parser *p) {
    switch (p->state) {
    case AT_HEAD:
        return step_head(p);
    case AT_BODY:
        return step_body(p);
    case AT_END:
        return BV_HTTP_DONE;
    case AT_ERROR:
        break;
    }
    return BV_HTTP_BAD;
}

/* ---- what stands ---- */

const bv_http_request *bv_http_parser_request(const bv_http_parser *p) {
    return &p->request;
}

bool bv_http_parser_has_body(const bv_http_parser *p) {
    return (p->llhttp.flags & F_CHUNKED) || p->llhttp.content_length > 0;
}

void bv_http_parser_limit_body(bv_http_parser *p, size_t bytes) {
    p->body_limit = bytes;
    if (p->llhttp.content_length > bytes && !(p->llhttp.flags & F_CHUNKED))
        refuse(p, 413, "the body is too large");
}

int bv_http_parser_status(const bv_http_parser *p) {
    return p->status;
}

const char *bv_http_parser_why(const bv_http_parser *p) {
    return p->why && *p->why ? p->why : "the request is not HTTP/1.1";
}

#include "http/router.h"

#include "http/request.h"
#include <string.h>

/* The decoded path: segments with a NUL after each, so that a %2F stays inside its segment. */
static bool decode(const char *path, bv_buffer *text) {
    bv_buffer_text(text, path);
    if (text->failed) return false;
    char *to = text->data;
    for (char *from = text->data + 1; from;) {
        char *slash = strchr(from, '/');
        if (slash) *slash++ = 0;
        if (!bv_http_percent_decode(from)) return false;
        const size_t size = strlen(from) + 1;
        memmove(to, from, size);
        to += size;
        from = slash;
    }
    text->size = (size_t)(to - text->data);
    return true;
}

static bool matches(const char *pattern, bv_http_match *m) {
    const char *segment = m->text.data, *end = m->text.data + m->text.size;
    m->count = 0;
    for (const char *at = pattern; *at == '/'; segment += strlen(segment) + 1) {
        const size_t size = strcspn(++at, "/");
        if (segment == end) return false;
        if (*at == ':') {
            if (!*segment || m->count == BV_HTTP_PARAMETERS_MAX) return false;
            m->parameters[m->count++] = (bv_http_parameter){at + 1, size - 1, segment};
        } else if (strlen(segment) != size || memcmp(segment, at, size) != 0) {
            return false;
        }
        at += size;
    }
    return segment == end;
}

static bool answers(const bv_http_route *route, const char *method) {
    return !strcmp(route->method, method) ||
           (!strcmp(method, "HEAD") && !strcmp(route->method, "GET"));
}

static void allow(bv_http_match *m, const char *method) {
    if (m->allowed.size) bv_buffer_text(&m->allowed, ", ");
    bv_buffer_text(&m->allowed, strcmp(method, "GET") != 0 ? method : "GET, HEAD");
}

void bv_http_route_find(const bv_http_route *routes, size_t count, const char *method,
                        const char *path, bv_http_match *m) {
    *m = (bv_http_match){.status = 404};
    if (*path != '/') return; /* OPTIONS * */
    if (!decode(path, &m->text)) {
        m->status = m->text.failed ? 503 : 400;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!matches(routes[i].path, m)) continue;
        if (answers(&routes[i], method)) {
            m->route = &routes[i];
            return;
        }
        m->status = 405;
        allow(m, routes[i].method);
    }
    if (m->allowed.failed) m->status = 503;
}

void bv_http_match_free(bv_http_match *m) {
    bv_buffer_free(&m->text);
    bv_buffer_free(&m->allowed);
    *m = (bv_http_match){0};
}

const char *bv_http_match_parameter(const bv_http_match *m, const char *name) {
    for (size_t i = 0; i < m->count; i++)
        if (strlen(name) == m->parameters[i].name_size &&
            !memcmp(name, m->parameters[i].name, m->parameters[i].name_size))
            return m->parameters[i].value;
    return NULL;
}

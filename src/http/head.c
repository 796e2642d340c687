#include "http/head.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

size_t bv_http_head_end(const char *bytes, size_t size, size_t known) {
    const size_t from = known > 3 ? known - 3 : 0;
    if (size < 4) return 0;
    const char *found = memmem(bytes + from, size - from, "\r\n\r\n", 4);
    return found ? (size_t)(found - bytes) + 4 : 0;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static const char *check_bytes(const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == 0) return "a NUL in the headers";
        if (bytes[i] == '\r' && (i + 1 == size || bytes[i + 1] != '\n'))
            return "a carriage return without a line feed";
        if (bytes[i] == '\n' && (i == 0 || bytes[i - 1] != '\r'))
            return "a line feed without a carriage return";
    }
    return NULL;
}

static bool is_named(const char *line, size_t length, const char *name) {
    return length == strlen(name) && strncasecmp(line, name, length) == 0;
}

/* Such requests need no Host: load balancers ask so whether a server is there. */
static bool is_old(const char *bytes, const char *line_end) {
    static const char version[] = " HTTP/1.0\r";
    const size_t length = sizeof version - 1;
    return (size_t)(line_end - bytes) >= length && !memcmp(line_end - length, version, length);
}

const char *bv_http_head_check(const char *bytes, size_t size) {
    const char *wrong = check_bytes(bytes, size);
    int hosts = 0, lengths = 0, encodings = 0;
    const char *end = bytes + size;
    const char *line = memchr(bytes, '\n', size);
    const bool old = line && is_old(bytes, line);
    if (is_blank(bytes[0])) return "a blank before the request";
    while (!wrong && line && ++line < end - 2) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        const char *colon = memchr(line, ':', (size_t)(next - line));
        if (is_blank(*line)) return "a header that goes on in the next line";
        if (!colon || colon == line) return "a header without a name";
        if (is_blank(colon[-1])) return "a blank before the colon of a header";
        const size_t length = (size_t)(colon - line);
        hosts += is_named(line, length, "host");
        lengths += is_named(line, length, "content-length");
        encodings += is_named(line, length, "transfer-encoding");
        line = next;
    }
    if (wrong) return wrong;
    if (hosts > 1 || (!hosts && !old)) return hosts ? "more than one Host" : "no Host";
    if (lengths > 1) return "more than one Content-Length";
    if (encodings > 1) return "more than one Transfer-Encoding";
    if (lengths && encodings) return "both Content-Length and Transfer-Encoding";
    return NULL;
}

#include "http/request.h"

#include <string.h>

const char *bv_http_request_header(const bv_http_request *request, const char *name) {
    for (size_t i = 0; i < request->header_count; i++)
        if (!strcmp(request->headers[i].name, name)) return request->headers[i].value;
    return NULL;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool bv_http_percent_decode(char *text, bool is_query) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '+' && is_query) {
            *to++ = ' ';
        } else if (*from == '%') {
            const int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
            if (low < 0 || (high == 0 && low == 0)) return false;
            *to++ = (char)(high << 4 | low);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
    return true;
}

bool bv_http_request_query(const bv_http_request *request, const char *name, char *out,
                           size_t size) {
    const size_t length = strlen(name);
    for (const char *at = request->query; *at;) {
        const size_t member = strcspn(at, "&");
        if (member > length && at[length] == '=' && !strncmp(at, name, length)) {
            const size_t value = member - length - 1;
            if (value >= size) return false;
            memcpy(out, at + length + 1, value);
            out[value] = 0;
            return bv_http_percent_decode(out, true);
        }
        at += member + (at[member] == '&');
    }
    return false;
}

#include "engine/text_stream.h"

#include <string.h>

/* Cuts the text before the first stop string that is in it; looks only where one may be new: it
 * ends behind the first `old` bytes, and begins with what was not shown. */
static void find_stop(bv_text_stream *s, size_t old) {
    size_t first = s->text.size;
    for (size_t i = 0; i < s->stop_count; i++) {
        const size_t length = strlen(s->stops[i]);
        const size_t from = old >= s->shown + length ? old - length + 1 : s->shown;
        const char *at = memmem(s->text.data + from, s->text.size - from, s->stops[i], length);
        if (at && (size_t)(at - s->text.data) < first) first = (size_t)(at - s->text.data);
        if (at) s->stopped = true;
    }
    if (s->stopped) s->text.size = first;
}

bv_status bv_text_stream_add(bv_text_stream *s, uint32_t token) {
    const size_t old = s->text.size;
    BV_TRY(bv_tokenizer_decode(s->tokenizer, &token, 1, &s->text));
    BV_TRY(bv_buffer_error(&s->text));
    if (s->text.data) find_stop(s, old);
    return BV_OK;
}

/* Bytes at the end that may be the beginning of a stop string. */
static size_t held_back(const bv_text_stream *s) {
    size_t most = 0;
    if (!s->text.data) return 0;
    for (size_t i = 0; i < s->stop_count; i++) {
        size_t n = strlen(s->stops[i]) - 1;
        if (n > s->text.size - s->shown) n = s->text.size - s->shown;
        while (n > most && memcmp(s->text.data + s->text.size - n, s->stops[i], n) != 0) n--;
        if (n > most) most = n;
    }
    return most;
}

/* Bytes at the end that begin a character and do not end it. */
static size_t unfinished_character(const char *text, size_t size) {
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        const unsigned char c = (unsigned char)text[size - back];
        if (c < 0x80) return 0;
        if (c < 0xc0) continue;
        if (c > 0xf4) return 0; /* begins none */
        const size_t length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        return length > back ? back : 0;
    }
    return 0;
}

const char *bv_text_stream_take(bv_text_stream *s, bool last, size_t *size) {
    const char *from = s->text.data ? s->text.data + s->shown : "";
    *size = s->text.size - s->shown;
    if (!last && !s->stopped && *size) {
        *size -= held_back(s);
        *size -= unfinished_character(from, *size);
    }
    s->shown += *size;
    return from;
}

/*
 * From tokens to text as it may be shown: whole UTF-8 characters, and nothing that could still turn
 * out to be a stop string. One stream a sequence; one thread at a time.
 */
#ifndef BV_ENGINE_TEXT_STREAM_H
#define BV_ENGINE_TEXT_STREAM_H

#include "text/tokenizer.h"

typedef struct bv_text_stream {
    const bv_tokenizer *tokenizer;
    const char *const *stops; /* borrowed, none empty */
    size_t stop_count;
    bv_buffer text; /* all so far; ends before a stop string that was met */
    size_t shown;   /* bytes of text that were taken */
    bool stopped;
} bv_text_stream; /* {.tokenizer = ...} is an empty one; free with bv_buffer_free(&s.text) */

/* Appends a token; sets `stopped` when a stop string is complete. */
bv_status bv_text_stream_add(bv_text_stream *stream, uint32_t token);
/* What may be shown now and was not: size bytes, borrowed until the next add. At the end of the
 * text (last) all that is left, whatever it is. */
const char *bv_text_stream_take(bv_text_stream *stream, bool last, size_t *size);

#endif

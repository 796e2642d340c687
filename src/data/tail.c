#include "data/tail.h"

#include "base/memory.h"
#include "base/text.h"
#include <stdatomic.h>

#define WINDOW ((size_t)1 << 20)

/* The text in windows of WINDOW bytes, each moved on to where a character begins. */
typedef struct counting {
    bv_pool *pool;
    const bv_documents *documents;
    const char *text;
    size_t size, windows;
    size_t *characters;    /* by window */
    _Atomic bool is_other; /* no UTF-8 */
} counting;

static size_t begin_of(const counting *c, size_t window) {
    size_t at = window * WINDOW;
    while (at < c->size && ((unsigned char)c->text[at] & 0xc0) == 0x80) at++;
    return at < c->size ? at : c->size;
}

static void count_windows(void *context, int part, int parts) {
    counting *c = context;
    (void)part, (void)parts;
    for (size_t own = 0, i; !c->is_other; own++) {
        if ((i = c->pool ? bv_pool_next(c->pool) : own) >= c->windows) break;
        const size_t begin = i ? begin_of(c, i) : 0, end = begin_of(c, i + 1);
        if (bv_utf8_valid_prefix(c->text + begin, end - begin) < end - begin) c->is_other = true;
        c->characters[i] = bv_utf8_characters(c->text + begin, end - begin);
        bv_documents_forget(c->documents, c->text + begin, end - begin);
    }
}

/* Where the character begins before which there are `left`. */
static size_t find(const counting *c, size_t left) {
    size_t window = 0;
    for (; window < c->windows && left >= c->characters[window]; window++)
        left -= c->characters[window];
    size_t at = window ? begin_of(c, window) : 0;
    for (; at < c->size; at++) {
        if (((unsigned char)c->text[at] & 0xc0) == 0x80) continue;
        if (left-- == 0) break;
    }
    return at;
}

bv_status bv_tail_find(bv_pool *pool, const bv_documents *documents, const char *text, size_t size,
                       double fraction, size_t *at) {
    counting c = {.pool = pool, .documents = documents, .text = text, .size = size};
    c.windows = size / WINDOW + 1;
    c.characters = bv_calloc(c.windows, sizeof *c.characters);
    if (!c.characters) return bv_fail_memory("counting characters");
    bv_pool_run(pool, count_windows, &c);
    size_t characters = 0;
    for (size_t i = 0; i < c.windows; i++) characters += c.characters[i];
    *at = c.is_other ? (size_t)((double)size * (1 - fraction))
                     : find(&c, (size_t)((double)characters * (1 - fraction)));
    bv_free(c.characters);
    return BV_OK;
}

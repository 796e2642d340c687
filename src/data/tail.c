#include "data/tail.h"

/* Where the character begins before which there are `left`. */
static size_t find(const bv_survey *s, size_t left) {
    size_t window = 0;
    for (; window < s->windows && left >= s->characters[window]; window++)
        left -= s->characters[window];
    size_t at = bv_survey_window_begin(s, window);
    for (; at < s->end; at++) {
        if ((s->map->data[at] & 0xc0) == 0x80) continue;
        if (left-- == 0) break;
    }
    return at;
}

size_t bv_tail_find(const bv_survey *s, double fraction) {
    size_t characters = 0;
    for (size_t i = 0; i < s->windows; i++) characters += s->characters[i];
    return find(s, (size_t)((double)characters * (1 - fraction)));
}

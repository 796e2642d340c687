#include "data/survey.h"

#include "base/memory.h"
#include "base/text.h"
#include <stdbool.h>
#include <string.h>

#define WINDOW ((size_t)1 << 20)
#define BLOCK ((size_t)4 << 10) /* is looked at three times while it is near */

void bv_survey_free(bv_survey *s) {
    bv_free(s->characters);
    s->characters = NULL;
    s->windows = s->capacity = 0;
}

static bool continues(const bv_survey *s, size_t at) {
    return at < s->end && (s->map->data[at] & 0xc0) == 0x80;
}

size_t bv_survey_window_begin(const bv_survey *s, size_t window) {
    if (window == 0) return s->begin;
    if (window >= s->windows) return s->end;
    size_t at = s->begin + window * WINDOW;
    while (continues(s, at)) at++;
    return at;
}

static void found(_Atomic size_t *where, size_t at) {
    size_t first = *where;
    while (at < first && !atomic_compare_exchange_weak(where, &first, at)) continue;
}

/* The characters of a block, which begins and ends with whole ones. */
static size_t look(bv_survey *s, size_t at, size_t size) {
    const unsigned char *p = s->map->data + at;
    unsigned char high = 0, least = 255;
    for (size_t i = 0; i < size; i++) {
        high |= p[i];
        least = p[i] < least ? p[i] : least;
    }
    if (least == 0) found(&s->nul, at + (size_t)((const unsigned char *)memchr(p, 0, size) - p));
    if (high < 0x80) return size;
    const size_t good = bv_utf8_valid_prefix(p, size);
    if (good < size) found(&s->other, at + good);
    return bv_utf8_characters(p, size);
}

static void look_through(bv_survey *s, size_t window) {
    const size_t begin = bv_survey_window_begin(s, window),
                 end = bv_survey_window_begin(s, window + 1);
    size_t characters = 0;
    for (size_t at = begin, next; at < end; at = next) {
        next = end - at < BLOCK ? end : at + BLOCK;
        while (next < end && continues(s, next)) next++;
        characters += look(s, at, next - at);
    }
    s->characters[window] = characters;
    bv_map_forget(s->map, begin, end);
}

typedef struct work {
    bv_survey *survey;
    bv_survey_beside *beside;
    void *context;
} work;

static void run_part(void *context, int part, int parts) {
    const work *w = context;
    bv_survey *s = w->survey;
    (void)parts;
    if (part == 0 && w->beside) w->beside(w->context);
    for (size_t i; (i = s->next++) < s->windows;) look_through(s, i);
}

static bool make_room(bv_survey *s) {
    if (s->windows <= s->capacity) return true;
    bv_free(s->characters);
    s->characters = bv_calloc(s->windows, sizeof *s->characters);
    s->capacity = s->characters ? s->windows : 0;
    return s->characters;
}

bv_status bv_survey_run(bv_survey *s, bv_pool *pool, const bv_map *map, size_t begin, size_t end,
                        bv_survey_beside *beside, void *context) {
    work w = {s, beside, context};
    s->map = map;
    s->begin = begin;
    s->end = end;
    s->windows = (end - begin) / WINDOW + 1;
    s->nul = s->other = SIZE_MAX;
    s->next = 0;
    const bool room = make_room(s);
    if (!room) s->windows = 0;
    bv_pool_run(s->windows > 1 ? pool : NULL, run_part, &w);
    return room ? BV_OK : bv_fail_memory("counting characters");
}

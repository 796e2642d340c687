/*
 * A look through a stretch of a file before it is used as text: whether there are NUL bytes,
 * whether it is UTF-8, how many characters each megabyte has. Windows may be looked at by many
 * threads at once, each by one; what was looked at is given back to the system.
 */
#ifndef BV_DATA_SURVEY_H
#define BV_DATA_SURVEY_H

#include "base/file.h"
#include "base/pool.h"
#include "base/status.h"
#include <stdatomic.h>

typedef struct bv_survey {
    const bv_map *map; /* borrowed */
    size_t begin, end; /* in the map */
    size_t windows, capacity;
    size_t *characters;   /* by window; all bytes but continuations, also of what is no UTF-8 */
    _Atomic size_t nul;   /* in the map: where the first NUL is; SIZE_MAX without one */
    _Atomic size_t other; /* likewise the first byte that is no UTF-8 */
    _Atomic size_t next;  /* window that nobody has taken */
} bv_survey;

/* Done on one thread while the others look. */
typedef void bv_survey_beside(void *context);

/* survey: {0}, or one that is used again. pool: NULL for one thread. beside: NULL for nothing; it
 * is done also without memory for the survey. */
bv_status bv_survey_run(bv_survey *survey, bv_pool *pool, const bv_map *map, size_t begin,
                        size_t end, bv_survey_beside *beside, void *context);
/* Where in the map a window begins: with a character, if there are any. */
size_t bv_survey_window_begin(const bv_survey *survey, size_t window);
void bv_survey_free(bv_survey *survey);

#endif

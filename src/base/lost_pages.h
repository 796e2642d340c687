/*
 * Pages that a mapped file loses. Where somebody cuts a file short while it is mapped, reading what
 * stood behind its new end is SIGBUS, which would end the program with all its work half done.
 * Inside a range that is watched such a page reads as zeros instead, and the range remembers it:
 * who read there asks before what was read counts for anything. Any other SIGBUS ends the program
 * as ever. Any thread.
 */
#ifndef BV_BASE_LOST_PAGES_H
#define BV_BASE_LOST_PAGES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bv_watched_range bv_watched_range;

/* A range of whole pages that is mapped for reading; NULL without memory. */
bv_watched_range *bv_watch_begin(const void *data, size_t size);
/* Before the range is unmapped. NULL is legal. */
void bv_watch_end(bv_watched_range **range);
/* Was a page of it lost, so that zeros were read? NULL: false. */
bool bv_watch_lost(const bv_watched_range *range);

#endif

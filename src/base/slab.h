/*
 * A slab: zeroed memory of many sizes side by side on huge pages, freed together. A large block of
 * its own ends within a huge page, and what is behind the last whole one lies on small pages: who
 * reads it once waits for their addresses to be translated, up to a quarter of the time of a
 * product of one row (docs/speed-log.md, the nineteenth look). Of one thread at a time.
 */
#ifndef BV_BASE_SLAB_H
#define BV_BASE_SLAB_H

#include <stddef.h>

/* Zeroes are an empty one. */
typedef struct bv_slab {
    struct bv_slab_block *last;
    size_t taken; /* bytes that were asked for */
} bv_slab;

/* Aligned to 64 bytes; NULL without memory. Of large blocks only what was touched is in use. */
void *bv_slab_take(bv_slab *slab, size_t size);
void bv_slab_free(bv_slab *slab); /* everything that was taken */

#endif

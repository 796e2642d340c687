/*
 * A cache of small JSON records by content hash, kept in a file: one record a line, appended when
 * it is known, so that an interrupted evaluation goes on where it stopped. A line that cannot be
 * read (the end of a file whose writer was killed) is as good as absent. Thread-safe; processes may
 * share a file.
 */
#ifndef BV_ARENA_RECORD_CACHE_H
#define BV_ARENA_RECORD_CACHE_H

#include "base/json.h"
#include "base/status.h"

typedef struct bv_record_cache bv_record_cache;

/* Makes the folder and the file as needed. */
bv_status bv_record_cache_open(const char *path, bv_record_cache **out);
void bv_record_cache_close(bv_record_cache **cache); /* NULL is legal */

/* The record of a key as a new reference, or NULL. */
json_t *bv_record_cache_get(bv_record_cache *cache, const char *key);
/* Takes the reference to an object; it is written before this returns. */
bv_status bv_record_cache_put(bv_record_cache *cache, const char *key, json_t *record);

#endif

/* The parts of loading a level (level.c): level.json, and the files beside it. Each fills its part
 * of *level, whose arena exists; texts go into the arena. */
#ifndef BV_ARENA_LEVEL_READ_H
#define BV_ARENA_LEVEL_READ_H

#include "arena/level.h"
#include "base/json.h"

/* What level.json says about files, for the second part. */
typedef struct bv_level_config {
    int64_t visible, hidden; /* tests as declared */
    const char *generator;   /* file names, NULL: none */
    const char *checker;
} bv_level_config;

bv_status bv_level_read_config(bv_level *level, const char *json, size_t size, const char *origin,
                               bv_level_config *config);
bv_status bv_level_read_files(bv_level *level, const char *folder, const bv_level_config *config);

/* Reads folder/name: a regular file of at most size_max bytes, to which no link leads. */
bv_status bv_level_read_file(const char *folder, const char *name, size_t size_max, bv_buffer *out);

/* "2026-12-31T23:59:59Z" as milliseconds since 1970 (RFC 3339 in UTC; no fractions, no leap
 * second). */
bool bv_level_parse_deadline(const char *text, int64_t *ms);

#endif

#ifndef BV_ARENA_LANGUAGE_H
#define BV_ARENA_LANGUAGE_H
#include "arena/sandbox.h"
typedef struct bv_language {
    const char *name;
    const char *extension;
    const char *source;
    const char *const *compile; /* NULL: none */
    const char *artefact;
    const char *const *run;
} bv_language;
size_t bv_language_count(void);
const bv_language *bv_language_at(size_t i);
const bv_language *bv_language_find(const char *name);
const bv_language *bv_language_by_file(const char *name);
#endif

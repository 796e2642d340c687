/* The built-in descriptions of languages, src/arena/languages, as texts (made by CMake). */
#ifndef BV_ARENA_LANGUAGES_H
#define BV_ARENA_LANGUAGES_H

#include <stddef.h>

typedef struct bv_language_text {
    const char *name; /* of the file */
    const char *text;
} bv_language_text;
extern const bv_language_text bv_language_texts[];
extern const size_t bv_language_text_count;

#endif

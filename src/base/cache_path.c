#include "base/cache_path.h"

#include "base/file.h"
#include "base/memory.h"
#include <stdlib.h>

char *bv_cache_path(const char *name) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    /* The XDG base directory specification: a relative path is to be ignored. */
    const bool given = cache && *cache == '/';
    if (!given && (!home || !*home)) return NULL;
    char *folder = bv_path_join(given ? cache : home, given ? "beaver" : ".cache/beaver");
    char *path = folder ? bv_path_join(folder, name) : NULL;
    bv_free(folder);
    return path;
}

/* Where what can be made again is kept: $XDG_CACHE_HOME/beaver, or ~/.cache/beaver. */
#ifndef BV_BASE_CACHE_PATH_H
#define BV_BASE_CACHE_PATH_H

/* The path of `name` in it (nothing is made), or NULL when neither XDG_CACHE_HOME nor HOME is set;
 * free with bv_free. */
char *bv_cache_path(const char *name);

#endif

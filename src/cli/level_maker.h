/* What makes hidden tests, as commands that judge by levels set it up: --cache, --fresh, and
 * --threads. */
#ifndef BV_CLI_LEVEL_MAKER_H
#define BV_CLI_LEVEL_MAKER_H

#include "arena/level_tests.h"
#include "cli/flags.h"

#define BV_LEVEL_MAKER_FLAGS                                                                       \
    BV_STRING_FLAG("cache", "DIR", NULL,                                                           \
                   "where hidden tests that were made are kept; otherwise "                        \
                   "$XDG_CACHE_HOME/beaver/levels"),                                               \
        BV_SWITCH_FLAG("fresh", "makes hidden tests without the cache")

typedef struct bv_level_maker_use {
    bv_level_maker maker;
    char *folder; /* what maker.cache is */
} bv_level_maker_use;

/* After the sandbox's pool: its slots are to be made while there are no threads. *use must be {0};
 * end it whatever is returned. */
bv_status bv_level_maker_begin(const bv_flags *flags, bv_sandbox_pool *pool,
                               bv_level_maker_use *use);
void bv_level_maker_end(bv_level_maker_use *use);

#endif

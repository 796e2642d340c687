#include "cli/level_maker.h"

#include "base/cache_path.h"
#include "base/memory.h"
#include "cli/cli.h"

bv_status bv_level_maker_begin(const bv_flags *flags, bv_sandbox_pool *pool,
                               bv_level_maker_use *use) {
    const char *folder = bv_flags_string(flags, "cache");
    use->maker = (bv_level_maker){.pool = pool, .log = bv_cli_log};
    if (folder && bv_flags_bool(flags, "fresh"))
        return bv_fail(BV_CODE_USAGE, "--fresh and --cache contradict each other");
    /* Who has no home has no cache, and judges as well. */
    if (!bv_flags_bool(flags, "fresh"))
        use->folder = folder ? bv_strdup(folder) : bv_cache_path("levels");
    if (folder && !use->folder) return bv_fail_memory("a path");
    use->maker.cache = use->folder;
    return bv_pool_create((int)bv_flags_int(flags, "threads"), &use->maker.threads);
}

void bv_level_maker_end(bv_level_maker_use *use) {
    bv_pool_destroy(&use->maker.threads);
    bv_free(use->folder);
    *use = (bv_level_maker_use){0};
}

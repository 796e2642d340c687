/*
 * What a level's programs made (inputs and answers), kept in a folder, one file a level, by the
 * hash of everything that it follows from: the level (level.json, tests, programs) and how the
 * languages of its generator and first reference are run on this machine. A changed level finds
 * nothing; a file that is damaged, cut off or another's is as good as absent. Files are written to
 * a temporary name, synced and renamed, and nobody but their owner may read the folder, which no
 * box sees: one that others may look into is not used. Processes may share a folder, which may be
 * removed at any time.
 */
#ifndef BV_ARENA_LEVEL_CACHE_H
#define BV_ARENA_LEVEL_CACHE_H

#include "arena/level.h"

/* Fills in what level->tests lack; *found is false when the folder does not have it. */
bv_status bv_level_cache_get(const char *folder, bv_level *level, bool *found);
/* Keeps what was made for a level whose tests are complete. Makes the folder as needed. */
bv_status bv_level_cache_put(const char *folder, const bv_level *level);

#endif

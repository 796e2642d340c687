/* A new level's folder: a small working example of every part, to be replaced. */
#ifndef BV_ARENA_LEVEL_SCAFFOLD_H
#define BV_ARENA_LEVEL_SCAFFOLD_H

#include "base/status.h"

/* Makes the folder, which must not exist (BV_CODE_USAGE), whole or not at all. */
bv_status bv_level_scaffold(const char *folder);

#endif

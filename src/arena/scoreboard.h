/* The scoreboard: people and models side by side, from the best score of each in each level. */
#ifndef BV_ARENA_SCOREBOARD_H
#define BV_ARENA_SCOREBOARD_H

#include "base/json.h"
#include "store/store.h"

/* The first `count` by points (equal points: who reached them earlier), as JSON: rank, name, kind,
 * points, solved, last_ms, levels (name to score). Users without a judged submission are left out.
 */
bv_status bv_scoreboard_json(bv_store *store, int64_t count, json_t **out);

#endif

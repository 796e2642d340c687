/*
 * The scoreboard: people and models side by side, from the best score of each in each level. More
 * points are ahead; of equal points those that were reached earlier, by the last judging that
 * raised a score. Users without a judged submission are left out.
 *
 * A row, as JSON: rank, name, kind, points, solved, last_ms (0: no score yet), levels (name to
 * score).
 */
#ifndef BV_ARENA_SCOREBOARD_H
#define BV_ARENA_SCOREBOARD_H

#include "base/buffer.h"
#include "base/json.h"
#include "store/store.h"

/* The first `count` rows. */
bv_status bv_scoreboard_json(bv_store *store, int64_t count, json_t **out);
/* The numbers of all users, int64_t, in the scoreboard's order. */
bv_status bv_scoreboard_order(bv_store *store, bv_buffer *out);
/* A user's row but for its rank; NULL when there is none. */
bv_status bv_scoreboard_user_json(bv_store *store, int64_t user_id, json_t **out);

#endif

#include "arena/scoreboard.h"

#include <string.h>

typedef struct board {
    json_t *rows;
    json_t *last; /* borrowed: the row of the user that comes */
    int64_t last_user, rank;
} board;

/* Rows of one user follow each other. */
static bv_status take(void *context, const bv_row *row) {
    board *b = context;
    if (bv_row_int(row, 0) != b->last_user) {
        b->last_user = bv_row_int(row, 0);
        b->last = json_pack(
            "{sI ss ss sI sI sI s{}}", "rank", (json_int_t)++b->rank, "name", bv_row_text(row, 1),
            "kind", bv_row_text(row, 2), "points", (json_int_t)bv_row_int(row, 3), "solved",
            (json_int_t)bv_row_int(row, 4), "last_ms", (json_int_t)bv_row_int(row, 5), "levels");
        if (json_array_append_new(b->rows, b->last)) return bv_fail_memory("the scoreboard");
    }
    json_object_set_new(json_object_get(b->last, "levels"), bv_row_text(row, 6),
                        json_integer(bv_row_int(row, 7)));
    return BV_OK;
}

bv_status bv_scoreboard_json(bv_store *s, int64_t count, json_t **out) {
    board b = {.rows = json_array()};
    bv_error *error = bv_store_query(
        s,
        "SELECT t.user_id, u.name, u.kind, t.total, t.solved, t.last_ms, c.level, c.score FROM "
        "(SELECT user_id, CAST(SUM(score) AS BIGINT) AS total, "
        "SUM(CASE WHEN score = points THEN 1 ELSE 0 END) AS solved, MAX(reached_ms) AS last_ms "
        "FROM arena_scores GROUP BY user_id ORDER BY total DESC, last_ms, user_id LIMIT $1) t "
        "JOIN arena_users u ON u.id = t.user_id JOIN arena_scores c ON c.user_id = t.user_id "
        "ORDER BY t.total DESC, t.last_ms, t.user_id, c.level",
        BV_VALUES(bv_int(count)), take, &b);
    if (error) json_decref(b.rows);
    *out = error ? NULL : b.rows;
    return error;
}

#include "arena/scoreboard.h"

/* A failed attempt at another level is no rise: it has its row in arena_scores, with no points. */
#define TOTALS                                                                                     \
    "SELECT user_id, CAST(SUM(score) AS BIGINT) AS total, "                                        \
    "CAST(SUM(solved) AS BIGINT) AS solved, "                                                      \
    "MAX(CASE WHEN score > 0 THEN reached_ms ELSE 0 END) AS last_ms FROM arena_scores "
#define ORDER "total DESC, last_ms, user_id"
#define ROWS(totals)                                                                               \
    "SELECT t.user_id, u.name, u.kind, t.total, t.solved, t.last_ms, c.level, c.score FROM "       \
    "(" totals ") t JOIN arena_users u ON u.id = t.user_id "                                       \
    "JOIN arena_scores c ON c.user_id = t.user_id "                                                \
    "ORDER BY t.total DESC, t.last_ms, t.user_id, c.level"

typedef struct board {
    json_t *rows;
    json_t *last; /* borrowed: the row of the user that comes */
    int64_t last_user;
} board;

/* Rows of one user follow each other. */
static bv_status take(void *context, const bv_row *row) {
    board *b = context;
    if (bv_row_int(row, 0) != b->last_user) {
        b->last_user = bv_row_int(row, 0);
        b->last =
            json_pack("{sI ss ss sI sI sI s{}}", "rank", (json_int_t)json_array_size(b->rows) + 1,
                      "name", bv_row_text(row, 1), "kind", bv_row_text(row, 2), "points",
                      (json_int_t)bv_row_int(row, 3), "solved", (json_int_t)bv_row_int(row, 4),
                      "last_ms", (json_int_t)bv_row_int(row, 5), "levels");
        if (json_array_append_new(b->rows, b->last)) return bv_fail_memory("the scoreboard");
    }
    json_object_set_new(json_object_get(b->last, "levels"), bv_row_text(row, 6),
                        json_integer(bv_row_int(row, 7)));
    return BV_OK;
}

static bv_status query(bv_store *s, const char *sql, int64_t value, json_t **out) {
    board b = {.rows = json_array()};
    bv_error *error = bv_store_query(s, sql, BV_VALUES(bv_int(value)), take, &b);
    if (error) json_decref(b.rows);
    *out = error ? NULL : b.rows;
    return error;
}

bv_status bv_scoreboard_json(bv_store *s, int64_t count, json_t **out) {
    return query(s, ROWS(TOTALS "GROUP BY user_id ORDER BY " ORDER " LIMIT $1"), count, out);
}

bv_status bv_scoreboard_user_json(bv_store *s, int64_t user_id, json_t **out) {
    json_t *rows = NULL;
    BV_TRY(query(s, ROWS(TOTALS "WHERE user_id = $1 GROUP BY user_id"), user_id, &rows));
    *out = json_incref(json_array_get(rows, 0));
    json_object_del(*out, "rank");
    json_decref(rows);
    return BV_OK;
}

static bv_status take_id(void *context, const bv_row *row) {
    const int64_t id = bv_row_int(row, 0);
    bv_buffer_append(context, &id, sizeof id);
    return BV_OK;
}

bv_status bv_scoreboard_order(bv_store *s, bv_buffer *out) {
    BV_TRY(
        bv_store_query(s, TOTALS "GROUP BY user_id ORDER BY " ORDER, BV_NO_VALUES, take_id, out));
    return bv_buffer_error(out);
}

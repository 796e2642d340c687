#include "arena/submissions.h"

#include "arena/queue.h"
#include <string.h>

/* ---- handing in ---- */

typedef struct creation {
    const bv_submission *submission;
    const bv_submission_limits *limits;
    int64_t now_turn; /* of the whole queue, read before */
    int64_t id;
    const char *why;
} creation;

static bv_status count(bv_store *s, const char *sql, int64_t user_id, int64_t *out) {
    return bv_store_query_int(s, sql, BV_VALUES(bv_int(user_id)), out, NULL);
}

/* Sets c->why to the limit that stands in the way. */
static bv_status check_limits(creation *c, bv_store *s) {
    const int64_t user_id = c->submission->user_id;
    int64_t waiting, recent;
    BV_TRY(count(s, "SELECT COUNT(*) FROM arena_submissions WHERE user_id = $1 AND state <> 2",
                 user_id, &waiting));
    BV_TRY(count(s,
                 "SELECT COUNT(*) FROM arena_submissions "
                 "WHERE user_id = $1 AND created_ms > {now_ms} - 60000",
                 user_id, &recent));
    c->why = NULL;
    if (waiting >= c->limits->waiting) c->why = "too many of your submissions wait to be judged";
    if (recent >= c->limits->per_minute) c->why = "too many submissions in a minute";
    return BV_OK;
}

/* The user's row is locked, so that two at the same time cannot both be the last that is allowed.
 */
static bv_status create(void *context, bv_store *s) {
    creation *c = context;
    const bv_submission *u = c->submission;
    int64_t last;
    c->id = 0;
    BV_TRY(count(s, "SELECT id FROM arena_users WHERE id = $1 {for_update}", u->user_id, &last));
    BV_TRY(check_limits(c, s));
    if (c->why) return BV_OK;
    BV_TRY(count(s, "SELECT COALESCE(MAX(turn), 0) FROM arena_submissions WHERE user_id = $1",
                 u->user_id, &last));
    return bv_store_query_int(
        s,
        "INSERT INTO arena_submissions (user_id, level, language, source, created_ms, turn) "
        "VALUES ($1, $2, $3, $4, {now_ms}, $5) RETURNING id",
        BV_VALUES(bv_int(u->user_id), bv_text(u->level), bv_text(u->language),
                  bv_blob(u->source, u->size), bv_int(bv_queue_turn(c->now_turn, last))),
        &c->id, NULL);
}

bv_status bv_submission_create(bv_store *s, const bv_submission *submission,
                               const bv_submission_limits *limits, int64_t *id, const char **why) {
    creation c = {.submission = submission, .limits = limits};
    /* Asked once without a lock, so that who floods does not hold up who may write. */
    BV_TRY(check_limits(&c, s));
    if (!c.why) BV_TRY(bv_queue_now(s, &c.now_turn));
    if (!c.why) BV_TRY(bv_store_transact(s, BV_STORE_LOCKED, create, &c));
    *id = c.id;
    *why = c.why;
    return BV_OK;
}

/* ---- reading ---- */

/* Nothing is lost silently: a member that jansson has no memory for makes the text fail later. */
static json_t *to_json(const bv_row *row) {
    const int64_t state = bv_row_int(row, 4);
    json_t *o = json_pack("{sI ss ss sI ss}", "id", (json_int_t)bv_row_int(row, 0), "level",
                          bv_row_text(row, 1), "language", bv_row_text(row, 2), "created_ms",
                          (json_int_t)bv_row_int(row, 3), "state",
                          bv_submission_state_name((bv_submission_state)state));
    if (bv_row_is_null(row, 5)) return o;
    json_object_set_new(o, "verdict", json_string(bv_row_text(row, 5)));
    json_object_set_new(o, "score", json_integer(bv_row_int(row, 6)));
    json_object_set_new(o, "points", json_integer(bv_row_int(row, 7)));
    json_object_set_new(o, "judged_ms", json_integer(bv_row_int(row, 8)));
    return o;
}

#define COLUMNS                                                                                    \
    "s.id, s.level, s.language, s.created_ms, s.state, v.verdict, v.score, v.points, v.judged_ms"
#define TABLES "FROM arena_submissions s LEFT JOIN arena_verdicts v ON v.submission_id = s.id "

typedef struct reading {
    json_t *out;
    int64_t state;
    bool with_source;
} reading;

static bv_status take_one(void *context, const bv_row *row) {
    reading *r = context;
    r->out = to_json(row);
    r->state = bv_row_int(row, 4);
    if (!r->out) return bv_fail_memory("a submission");
    const char *detail = bv_row_text(row, 9);
    json_t *value = NULL;
    if (*detail) BV_TRY(bv_json_parse(detail, strlen(detail), "detail", &value));
    if (value) json_object_set_new(r->out, "detail", value);
    if (!r->with_source) return BV_OK;
    size_t size;
    const char *source = bv_row_blob(row, 10, &size);
    json_object_set_new(r->out, "source", json_stringn(source, size));
    return BV_OK;
}

bv_status bv_submission_json(bv_store *s, int64_t user_id, int64_t id, bool with_source,
                             json_t **out, int64_t *state) {
    reading r = {.with_source = with_source, .state = -1};
    bv_error *error = bv_store_query(
        s, "SELECT " COLUMNS ", v.detail, s.source " TABLES "WHERE s.id = $1 AND s.user_id = $2",
        BV_VALUES(bv_int(id), bv_int(user_id)), take_one, &r);
    *out = r.out;
    if (state) *state = r.state;
    if (error) json_decref(r.out), *out = NULL;
    return error;
}

static bv_status take_many(void *context, const bv_row *row) {
    return json_array_append_new(context, to_json(row)) ? bv_fail_memory("submissions") : BV_OK;
}

bv_status bv_submission_list_json(bv_store *s, int64_t user_id, int64_t limit, json_t **out) {
    *out = json_array();
    bv_error *error = bv_store_query(
        s, "SELECT " COLUMNS " " TABLES "WHERE s.user_id = $1 ORDER BY s.id DESC LIMIT $2",
        BV_VALUES(bv_int(user_id), bv_int(limit)), take_many, *out);
    if (error) json_decref(*out), *out = NULL;
    return error;
}

bv_status bv_submission_state_of(bv_store *s, int64_t user_id, int64_t id, int64_t *state) {
    bool found;
    BV_TRY(bv_store_query_int(s,
                              "SELECT state FROM arena_submissions WHERE id = $1 AND user_id = $2",
                              BV_VALUES(bv_int(id), bv_int(user_id)), state, &found));
    if (!found) *state = -1;
    return BV_OK;
}

#include "arena/queue.h"

#include <stdio.h>

/* ---- turns ---- */

bv_status bv_queue_now(bv_store *s, int64_t *turn) {
    return bv_store_query_int(
        s, "SELECT COALESCE(MAX(turn), 0) FROM arena_submissions WHERE state <> 0", BV_NO_VALUES,
        turn, NULL);
}

int64_t bv_queue_turn(int64_t now, int64_t last) {
    if (last == 0) return now + 1;
    const int64_t earliest = now - BV_QUEUE_CREDIT;
    return (last > earliest ? last : earliest) + 1;
}

/* ---- taking ---- */

typedef struct taking {
    bv_lease *lease;
    bool found;
} taking;

static bv_status take(void *context, const bv_row *row) {
    taking *t = context;
    size_t size;
    const void *source = bv_row_blob(row, 5, &size);
    *t->lease = (bv_lease){.submission_id = bv_row_int(row, 0),
                           .user_id = bv_row_int(row, 1),
                           .fence = bv_row_int(row, 4),
                           .waited_ms = bv_row_int(row, 6)};
    snprintf(t->lease->level, sizeof t->lease->level, "%s", bv_row_text(row, 2));
    snprintf(t->lease->language, sizeof t->lease->language, "%s", bv_row_text(row, 3));
    bv_buffer_append(&t->lease->source, source, size);
    t->found = true;
    return bv_buffer_error(&t->lease->source);
}

#define TAKE                                                                                       \
    "UPDATE arena_submissions SET state = 1, fence = fence + 1, judge = $1, "                      \
    "lease_until_ms = {now_ms} + $2 WHERE id = (SELECT id FROM arena_submissions "
#define RETURNING                                                                                  \
    " LIMIT 1 {skip_locked}) RETURNING id, user_id, level, language, fence, source, "              \
    "{now_ms} - created_ms"

#define KNOWN " AND ($3 = '' OR $3 LIKE '%,' || level || ',%') "

/* What a judge left behind goes first: it has waited longest. */
static const char *const take_sql[] = {
    TAKE "WHERE state = 1 AND lease_until_ms < {now_ms}" KNOWN "ORDER BY lease_until_ms" RETURNING,
    TAKE "WHERE state = 0" KNOWN "ORDER BY turn, id" RETURNING,
};

bv_status bv_queue_take(bv_store *s, const char *judge, const char *levels, int64_t lease_ms,
                        bv_lease *lease, bool *found) {
    taking t = {.lease = lease};
    *lease = (bv_lease){0};
    bv_error *error = BV_OK;
    for (int i = 0; !error && !t.found && i < 2; i++)
        error = bv_store_query(
            s, take_sql[i],
            BV_VALUES(bv_text(judge), bv_int(lease_ms), bv_text(levels ? levels : "")), take, &t);
    *found = t.found && !error;
    if (error) bv_lease_free(lease);
    return error;
}

void bv_lease_free(bv_lease *lease) {
    bv_buffer_free(&lease->source);
}

/* ---- holding ---- */

static bv_status hold(bv_store *s, const char *sql, const bv_lease *lease, int64_t ms, bool *held) {
    int64_t changed;
    BV_TRY(bv_store_exec(s, sql,
                         BV_VALUES(bv_int(lease->submission_id), bv_int(lease->fence), bv_int(ms)),
                         &changed));
    *held = changed == 1;
    return BV_OK;
}

#define HELD " WHERE id = $1 AND fence = $2 AND state = 1"

bv_status bv_queue_renew(bv_store *s, const bv_lease *lease, int64_t lease_ms, bool *held) {
    return hold(
        s, "UPDATE arena_submissions SET lease_until_ms = {now_ms} + $3" HELD " AND judge <> ''",
        lease, lease_ms, held);
}

/* It is nobody's from then on: a renewal that comes late would let it wait as long as a lease. */
bv_status bv_queue_postpone(bv_store *s, const bv_lease *lease, bool *held) {
    const int64_t tries = lease->fence < 10 ? lease->fence : 10;
    return hold(s, "UPDATE arena_submissions SET lease_until_ms = {now_ms} + $3, judge = ''" HELD,
                lease, INT64_C(250) << tries, held);
}

/* ---- recording ---- */

typedef struct recording {
    const bv_lease *lease;
    const char *judge;
    const bv_verdict *verdict;
    bool held;
    bv_queue_next *next; /* NULL: nothing is taken */
} recording;

/* The best score counts, and when it was reached; and that it was once all that there was to reach.
 */
static bv_status keep_score(bv_store *s, const recording *r) {
    const bool solved = r->verdict->score == r->verdict->points;
    return bv_store_exec(
        s,
        "INSERT INTO arena_scores (user_id, level, score, reached_ms, tries, solved) "
        "VALUES ($1, $2, $3, {now_ms}, 1, $4) ON CONFLICT (user_id, level) DO UPDATE SET "
        "reached_ms = CASE WHEN excluded.score > arena_scores.score "
        "THEN excluded.reached_ms ELSE arena_scores.reached_ms END, "
        "score = CASE WHEN excluded.score > arena_scores.score "
        "THEN excluded.score ELSE arena_scores.score END, "
        "solved = CASE WHEN excluded.solved > arena_scores.solved "
        "THEN excluded.solved ELSE arena_scores.solved END, "
        "tries = arena_scores.tries + 1",
        BV_VALUES(bv_int(r->lease->user_id), bv_text(r->lease->level), bv_int(r->verdict->score),
                  bv_int(solved)),
        NULL);
}

static bv_status record(void *context, bv_store *s) {
    recording *r = context;
    const bv_verdict *v = r->verdict;
    int64_t changed;
    BV_TRY(bv_store_exec(s, "UPDATE arena_submissions SET state = 2" HELD,
                         BV_VALUES(bv_int(r->lease->submission_id), bv_int(r->lease->fence)),
                         &changed));
    r->held = changed == 1;
    if (!r->held) return BV_OK;
    BV_TRY(bv_store_exec(
        s,
        "INSERT INTO arena_verdicts (submission_id, verdict, score, points, "
        "detail, judge, fence, judged_ms, waited_us, compile_us, run_us, "
        "check_us, runs) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, {now_ms}, $8, $9, $10, $11, $12)",
        BV_VALUES(bv_int(r->lease->submission_id), bv_text(v->verdict), bv_int(v->score),
                  bv_int(v->points), bv_text(v->detail), bv_text(r->judge), bv_int(r->lease->fence),
                  bv_int(v->cost.waited_us), bv_int(v->cost.compile_us), bv_int(v->cost.run_us),
                  bv_int(v->cost.check_us), bv_int(v->cost.runs)),
        NULL));
    return v->points ? keep_score(s, r) : BV_OK;
}

/* Tried again, it begins with nothing taken. */
static bv_status record_and_take(void *context, bv_store *s) {
    recording *r = context;
    BV_TRY(record(context, s));
    if (!r->next) return BV_OK;
    bv_lease_free(&r->next->lease);
    return bv_queue_take(s, r->judge, r->next->levels, r->next->lease_ms, &r->next->lease,
                         &r->next->found);
}

bv_status bv_queue_record(bv_store *s, const bv_lease *lease, const char *judge,
                          const bv_verdict *verdict, bool *held, bv_queue_next *next) {
    recording r = {.lease = lease, .judge = judge, .verdict = verdict, .next = next};
    bv_error *error = bv_store_transact(s, BV_STORE_LOCKED, record_and_take, &r);
    *held = !error && r.held;
    if (error && next) {
        next->found = false;
        bv_lease_free(&next->lease);
    }
    return error;
}

/* ---- size ---- */

bv_status bv_queue_measure(bv_store *s, bv_queue_size *size) {
    BV_TRY(bv_store_query_int(s, "SELECT COUNT(*) FROM arena_submissions WHERE state = 0",
                              BV_NO_VALUES, &size->waiting, NULL));
    return bv_store_query_int(s, "SELECT COUNT(*) FROM arena_submissions WHERE state = 1",
                              BV_NO_VALUES, &size->running, NULL);
}

#include "arena/tables.h"

/* Times are milliseconds since 1970, UTC. The partial indexes hold the queue only, however many
 * submissions are done. */
static const char *const steps[] = {
    "CREATE TABLE arena_users ("
    "  id {id}, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,"
    "  kind TEXT NOT NULL CHECK (kind IN ('person', 'model')),"
    "  key_hash TEXT NOT NULL UNIQUE, created_ms BIGINT NOT NULL);"
    "CREATE TABLE arena_submissions ("
    "  id {id}, user_id BIGINT NOT NULL REFERENCES arena_users (id),"
    "  level TEXT NOT NULL, language TEXT NOT NULL, source {blob} NOT NULL,"
    "  created_ms BIGINT NOT NULL, state BIGINT NOT NULL DEFAULT 0, turn BIGINT NOT NULL,"
    "  fence BIGINT NOT NULL DEFAULT 0, lease_until_ms BIGINT NOT NULL DEFAULT 0,"
    "  judge TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX arena_waiting ON arena_submissions (turn, id) WHERE state = 0;"
    "CREATE INDEX arena_running ON arena_submissions (lease_until_ms) WHERE state = 1;"
    "CREATE INDEX arena_submissions_turn_of ON arena_submissions (user_id, turn);"
    "CREATE INDEX arena_submissions_time_of ON arena_submissions (user_id, created_ms);"
    "CREATE INDEX arena_unjudged_of ON arena_submissions (user_id) WHERE state <> 2;"
    "CREATE INDEX arena_submissions_turn ON arena_submissions (turn) WHERE state <> 0;"
    "CREATE TABLE arena_verdicts ("
    "  submission_id BIGINT PRIMARY KEY REFERENCES arena_submissions (id),"
    "  verdict TEXT NOT NULL, score BIGINT NOT NULL, points BIGINT NOT NULL,"
    "  detail TEXT NOT NULL, judge TEXT NOT NULL, fence BIGINT NOT NULL,"
    "  judged_ms BIGINT NOT NULL);"
    "CREATE TABLE arena_scores ("
    "  user_id BIGINT NOT NULL REFERENCES arena_users (id), level TEXT NOT NULL,"
    "  score BIGINT NOT NULL, points BIGINT NOT NULL, reached_ms BIGINT NOT NULL,"
    "  tries BIGINT NOT NULL, PRIMARY KEY (user_id, level))",
    "ALTER TABLE arena_verdicts ADD COLUMN waited_us BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE arena_verdicts ADD COLUMN compile_us BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE arena_verdicts ADD COLUMN run_us BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE arena_verdicts ADD COLUMN check_us BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE arena_verdicts ADD COLUMN runs BIGINT NOT NULL DEFAULT 0",
    /* Who has once had all points keeps that, whatever the level gives later. */
    "CREATE INDEX arena_submissions_of ON arena_submissions (user_id, id);"
    "ALTER TABLE arena_scores ADD COLUMN solved BIGINT NOT NULL DEFAULT 0;"
    "UPDATE arena_scores SET solved = 1 WHERE EXISTS ("
    "  SELECT 1 FROM arena_submissions s JOIN arena_verdicts v ON v.submission_id = s.id"
    "  WHERE s.user_id = arena_scores.user_id AND s.level = arena_scores.level"
    "  AND v.points > 0 AND v.score = v.points)",
    "ALTER TABLE arena_scores DROP COLUMN points",
};

bv_status bv_arena_tables_prepare(bv_store *store) {
    return bv_store_migrate(store, "arena", steps, sizeof steps / sizeof *steps);
}

const char *bv_submission_state_name(bv_submission_state state) {
    static const char *const names[] = {"waiting", "running", "done"};
    BV_ASSERT((unsigned)state < sizeof names / sizeof *names);
    return names[state];
}

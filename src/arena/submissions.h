/*
 * Submissions: what a user hands in, and what may be read of it afterwards. When
 * bv_submission_create has returned success the submission is in the store and will be judged
 * (tables.h, law 1).
 */
#ifndef BV_ARENA_SUBMISSIONS_H
#define BV_ARENA_SUBMISSIONS_H

#include "arena/tables.h"
#include "base/json.h"
#include "store/store.h"

typedef struct bv_submission_limits {
    int waiting;    /* of one user that are not judged yet */
    int per_minute; /* of one user */
} bv_submission_limits;
#define BV_SUBMISSION_LIMITS_DEFAULT                                                               \
    (bv_submission_limits) {                                                                       \
        .waiting = 10, .per_minute = 30                                                            \
    }

typedef struct bv_submission {
    int64_t user_id;
    const char *level, *language; /* borrowed, as is the source */
    const void *source;
    size_t size;
} bv_submission;

/* *id is 0 when a limit stands in the way; *why then says which (static). Fair turns (queue.h) are
 * given here. */
bv_status bv_submission_create(bv_store *store, const bv_submission *submission,
                               const bv_submission_limits *limits, int64_t *id, const char **why);

/* As JSON: id, level, language, created_ms, state, and when it is done verdict, score, points,
 * judged_ms, detail. Only the user's own; NULL in *out when there is none. With the source on
 * request. *state (NULL is legal): as of bv_submission_state_of. */
bv_status bv_submission_json(bv_store *store, int64_t user_id, int64_t id, bool with_source,
                             json_t **out, int64_t *state);
/* The user's newest ones, newest first, without details. */
bv_status bv_submission_list_json(bv_store *store, int64_t user_id, int64_t count, json_t **out);

/* -1: there is none. */
bv_status bv_submission_state_of(bv_store *store, int64_t user_id, int64_t id, int64_t *state);

#endif

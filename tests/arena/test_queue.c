/*
 * The queue on both kinds of store: limits, fair turns, leases and fences, one verdict each, and
 * scores. PostgreSQL where its server is installed.
 */
#include "support/check.h"

#include "arena/accounts.h"
#include "arena/queue.h"
#include "arena/scoreboard.h"
#include "arena/submissions.h"
#include "support/stores.h"
#include <pthread.h>
#include <time.h>

static int made; /* users, for their names */

static bv_store *open_store(size_t i) {
    bv_store *s;
    assert_ok(bv_store_open(urls[i], false, &s));
    assert_ok(bv_arena_tables_prepare(s));
    assert_ok(bv_store_exec(s, "DELETE FROM arena_verdicts", BV_NO_VALUES, NULL));
    assert_ok(bv_store_exec(s, "DELETE FROM arena_scores", BV_NO_VALUES, NULL));
    assert_ok(bv_store_exec(s, "DELETE FROM arena_submissions", BV_NO_VALUES, NULL));
    return s;
}

#define EACH_STORE(s)                                                                              \
    for (size_t i_ = 0; i_ < url_count; i_++)                                                      \
        for (bv_store *s = open_store(i_); s; bv_store_close(&s))

static int64_t make_user(bv_store *s) {
    bv_account account;
    char key[BV_ACCOUNT_KEY_SIZE], name[32];
    snprintf(name, sizeof name, "user %d", made++);
    assert_ok(bv_account_create(s, name, made % 2, &account, key));
    return account.id;
}

static const bv_submission_limits wide = {.waiting = 1000, .per_minute = 1000};

static int64_t submit_to(bv_store *s, int64_t user, const char *level) {
    const bv_submission submission = {user, level, "c", "int main;", 9};
    int64_t id;
    const char *why;
    assert_ok(bv_submission_create(s, &submission, &wide, &id, &why));
    assert_true(id > 0);
    return id;
}

static int64_t submit(bv_store *s, int64_t user) {
    return submit_to(s, user, "echo");
}

static bool take(bv_store *s, int64_t lease_ms, bv_lease *lease) {
    bool found;
    assert_ok(bv_queue_take(s, "test", NULL, lease_ms, lease, &found));
    return found;
}

static bool record(bv_store *s, bv_lease *lease, const char *verdict, int64_t score) {
    bool held;
    const bv_verdict v = {verdict, score, 10, "{\"message\": \"m\"}", {0}};
    assert_ok(bv_queue_record(s, lease, "test", &v, &held, NULL));
    bv_lease_free(lease);
    return held;
}

/* ---- tests ---- */

static void test_accounts(void **state) {
    (void)state;
    EACH_STORE(s) {
        bv_account account, same;
        char key[BV_ACCOUNT_KEY_SIZE];
        bool found;
        assert_ok(bv_account_create(s, "Ada \xc3\x84", true, &account, key));
        assert_ok(bv_account_find(s, key, &same, &found));
        assert_true(found && same.id == account.id && same.is_model);
        assert_string_equal(same.name, "Ada \xc3\x84");
        key[10] ^= 1;
        assert_ok(bv_account_find(s, key, &same, &found));
        assert_false(found);
        /* One name: other cases, and letters that only look like the Latin ones. */
        static const char *const same_names[] = {"ADA Ä", "ada ä", "Аdа Ä", "Αda Ä"};
        for (size_t i = 0; i < sizeof same_names / sizeof *same_names; i++)
            assert_fails(bv_account_create(s, same_names[i], false, &same, key), BV_CODE_USAGE,
                         "is taken");
        static const char *const others[] = {"Ada A", "Ada",  "Вова",      "नील",
                                             "李 明", "Żółw", "O'Neil <b>"};
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            assert_ok(bv_account_create(s, others[i], false, &same, key));
        assert_fails(bv_account_create(s, "ВОВА", false, &same, key), BV_CODE_USAGE, "is taken");
        static const char *const bad[] = {
            "",
            " a",
            "a ",
            "a  b",
            "a\nb",
            "\xff",
            "12345678901234567890123456789012345678901",
            "Ada A\xcc\x88", /* the mark of the letter apart from it */
            "Ad\xe2\x80\x8b"
            "a", /* a blank without width */
            "\xe2\x80\xae"
            "adA", /* from right to left */
            "Ada\xc2\xa0"
            "B", /* another blank */
            "A\xc2\x85"
            "b", /* a control character of two bytes */
            "\xef\xbc\xa1"
            "da", /* a wide A */
            "\xf0\x9d\x90\x80"
            "da",                 /* a bold A of mathematics */
            "\xe3\x85\xa4",       /* a letter that is empty */
            "a\xf3\xa0\x80\xa0"}; /* a tag */
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            assert_fails(bv_account_create(s, bad[i], false, &same, key), BV_CODE_USAGE, "name");
        /* The key itself is nowhere in the store. */
        assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_users WHERE key_hash LIKE 'bv-%'"),
                         0);
    }
}

static void test_limits(void **state) {
    (void)state;
    EACH_STORE(s) {
        const bv_submission submission = {make_user(s), "echo", "c", "x", 1};
        int64_t id;
        const char *why;
        bv_lease lease;
        const bv_submission_limits two = {.waiting = 2, .per_minute = 3};
        for (int i = 0; i < 2; i++)
            assert_ok(bv_submission_create(s, &submission, &two, &id, &why));
        assert_ok(bv_submission_create(s, &submission, &two, &id, &why));
        assert_int_equal(id, 0);
        assert_non_null(strstr(why, "wait"));
        assert_true(take(s, 60000, &lease)); /* what is judged waits for its verdict */
        assert_ok(bv_submission_create(s, &submission, &two, &id, &why));
        assert_int_equal(id, 0);
        assert_true(record(s, &lease, "accepted", 10));
        assert_ok(bv_submission_create(s, &submission, &two, &id, &why));
        assert_true(id > 0);
        assert_true(take(s, 1000, &lease) && record(s, &lease, "accepted", 10));
        assert_ok(bv_submission_create(s, &submission, &two, &id, &why));
        assert_int_equal(id, 0);
        assert_non_null(strstr(why, "minute"));
        for (int i = 0; i < 2; i++) { /* as if 50 s had gone by, then 60 */
            static const char *const later[] = {
                "UPDATE arena_submissions SET created_ms = created_ms - 50000",
                "UPDATE arena_submissions SET created_ms = created_ms - 10000"};
            assert_ok(bv_store_exec(s, later[i], BV_NO_VALUES, NULL));
            assert_ok(bv_submission_create(s, &submission, &two, &id, &why));
            assert_true((id > 0) == (i == 1));
        }
    }
}

/* Who has none waiting comes behind the last turn; who let turns go by may begin some before it. */
static void test_turns(void **state) {
    (void)state;
    assert_int_equal(bv_queue_turn(100, 0), 101);
    assert_int_equal(bv_queue_turn(100, 3), 101 - BV_QUEUE_CREDIT);
    assert_int_equal(bv_queue_turn(100, 99), 100);
    assert_int_equal(bv_queue_turn(100, 200), 201);
}

/* Ten users with 20 waiting each; one who comes later is served next. */
static void test_fair_turns(void **state) {
    (void)state;
    EACH_STORE(s) {
        int64_t users[10], quiet = make_user(s);
        bv_lease lease;
        submit(s, quiet);
        assert_true(take(s, 1000, &lease) && record(s, &lease, "accepted", 10));
        for (int i = 0; i < 10; i++) users[i] = make_user(s);
        for (int i = 0; i < 10; i++)
            for (int n = 0; n < 20; n++) submit(s, users[i]);
        int served[10] = {0};
        for (int n = 0; n < 100; n++) {
            assert_true(take(s, 1000, &lease));
            for (int i = 0; i < 10; i++) served[i] += users[i] == lease.user_id;
            assert_true(record(s, &lease, "accepted", 10));
        }
        for (int i = 0; i < 10; i++) assert_int_equal(served[i], 10);
        for (int n = 0; n < 3; n++) {
            const int64_t id = submit(s, quiet);
            assert_true(take(s, 1000, &lease));
            assert_int_equal(lease.submission_id, id);
            assert_true(record(s, &lease, "accepted", 10));
        }
        /* But credit ends: a burst is not served to its end before the others. */
        for (int n = 0; n < 30; n++) submit(s, quiet);
        int of_quiet = 0;
        for (int n = 0; n < 30; n++) {
            assert_true(take(s, 1000, &lease));
            of_quiet += lease.user_id == quiet;
            assert_true(record(s, &lease, "accepted", 10));
        }
        assert_in_range(of_quiet, 2, 10);
    }
}

/* A judge that was paused beyond its lease finds the door closed; one verdict stands. */
static void test_leases(void **state) {
    (void)state;
    EACH_STORE(s) {
        const int64_t id = submit(s, make_user(s));
        bv_lease paused, other;
        bool held;
        assert_true(take(s, 100, &paused));
        assert_int_equal(paused.submission_id, id);
        assert_memory_equal(paused.source.data, "int main;", 9);
        assert_false(take(s, 100, &other));
        assert_ok(bv_queue_renew(s, &paused, 100, &held));
        assert_true(held);
        nanosleep(&(struct timespec){0, 150000000}, NULL);
        assert_true(take(s, 60000, &other));
        assert_true(other.submission_id == id && other.fence == paused.fence + 1);
        assert_ok(bv_queue_renew(s, &paused, 60000, &held));
        assert_false(held);
        assert_ok(bv_queue_postpone(s, &paused, &held));
        assert_false(held);
        assert_false(record(s, &paused, "wrong-answer", 0));
        assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_verdicts"), 0);
        const bv_lease again = {
            .submission_id = id, .user_id = other.user_id, .fence = other.fence};
        assert_true(record(s, &other, "accepted", 10));
        bv_lease copy = again;
        assert_false(record(s, &copy, "accepted", 10)); /* twice is refused too */
        assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_verdicts"), 1);
        assert_false(take(s, 100, &other));
    }
}

/* A judge takes what it has the level of; the rest waits, whoever has died over it. */
static void test_levels(void **state) {
    (void)state;
    EACH_STORE(s) {
        bv_lease lease;
        bool found;
        submit(s, make_user(s)); /* to "echo" */
        static const char *const others[] = {",ech,echoes,", ",sum,", ","};
        for (size_t i = 0; i < 3; i++) {
            assert_ok(bv_queue_take(s, "other", others[i], 60000, &lease, &found));
            assert_false(found);
        }
        assert_ok(bv_queue_take(s, "its", ",sum,echo,", 0, &lease, &found));
        assert_true(found && lease.fence == 1);
        bv_lease_free(&lease);
        nanosleep(&(struct timespec){0, 5000000}, NULL); /* the lease has run out */
        assert_ok(bv_queue_take(s, "other", ",sum,", 60000, &lease, &found));
        assert_false(found);
        assert_ok(bv_queue_take(s, "its", ",echo,", 60000, &lease, &found));
        assert_true(found && record(s, &lease, "accepted", 10));
    }
}

/* A renewal that was on its way when the judge gave up does not keep the submission waiting. */
static void test_renewed_late(void **state) {
    (void)state;
    EACH_STORE(s) {
        bv_lease lease;
        bool held;
        submit(s, make_user(s));
        assert_true(take(s, 60000, &lease));
        assert_ok(bv_queue_postpone(s, &lease, &held));
        assert_true(held);
        assert_ok(bv_queue_renew(s, &lease, 60000, &held));
        assert_false(held);
        bv_lease_free(&lease);
        nanosleep(&(struct timespec){0, 510000000}, NULL);
        assert_true(take(s, 60000, &lease));
        assert_true(record(s, &lease, "accepted", 10));
    }
}

/* With a verdict the next is taken; where the lease is lost, all the same. */
static void test_record_and_take(void **state) {
    (void)state;
    EACH_STORE(s) {
        const int64_t user = make_user(s), first = submit(s, user), second = submit(s, user),
                      other = submit_to(s, user, "sum");
        const bv_verdict v = {"accepted", 10, 10, "{}", {0}};
        bv_queue_next next = {.levels = ",echo,", .lease_ms = 60000};
        bv_lease lease;
        bool held;
        assert_true(take(s, 60000, &lease));
        assert_int_equal(lease.submission_id, first);
        assert_ok(bv_queue_record(s, &lease, "judge", &v, &held, &next));
        assert_true(held && next.found && next.lease.fence == 1);
        assert_int_equal(next.lease.submission_id, second);
        assert_memory_equal(next.lease.source.data, "int main;", 9);
        bv_lease_free(&next.lease);
        next.lease = (bv_lease){0};
        assert_ok(bv_queue_record(s, &lease, "judge", &v, &held, &next));
        assert_true(!held && !next.found); /* of its levels nothing waits */
        next.levels = NULL;
        assert_ok(bv_queue_record(s, &lease, "judge", &v, &held, &next));
        assert_true(!held && next.found && next.lease.submission_id == other);
        assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_verdicts"), 1);
        assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_submissions WHERE state = 1"), 2);
        bv_lease_free(&next.lease);
        bv_lease_free(&lease);
    }
}

static void set(bv_store *s, const char *sql, int64_t value, int64_t id) {
    assert_ok(bv_store_exec(s, sql, BV_VALUES(bv_int(value), bv_int(id)), NULL));
}

/* Of what judges left behind the oldest goes first; who puts off waits longer each time, and not
 * for ever. */
static void test_what_was_left_behind(void **state) {
    (void)state;
    EACH_STORE(s) {
        static const char waits[] =
            "SELECT MAX(lease_until_ms - created_ms) FROM arena_submissions";
        const int64_t first = submit(s, make_user(s)), second = submit(s, make_user(s)),
                      third = submit(s, make_user(s));
        bv_lease lease;
        bool held;
        for (int i = 0; i < 3; i++) {
            assert_true(take(s, 60000, &lease));
            bv_lease_free(&lease);
        }
        set(s, "UPDATE arena_submissions SET lease_until_ms = $1 WHERE id = $2", 2000, first);
        set(s, "UPDATE arena_submissions SET lease_until_ms = $1 WHERE id = $2", 1000, second);
        set(s, "UPDATE arena_submissions SET lease_until_ms = $1 WHERE id = $2", 3000, third);
        assert_true(take(s, 60000, &lease));
        assert_int_equal(lease.submission_id, second);
        assert_ok(bv_queue_postpone(s, &lease, &held)); /* of the second time */
        assert_true(held);
        assert_in_range(number(s, waits), 1000, 60000);
        set(s, "UPDATE arena_submissions SET fence = $1 WHERE id = $2", 40, second);
        lease.fence = 40;
        assert_ok(bv_queue_postpone(s, &lease, &held));
        assert_true(held);
        assert_in_range(number(s, waits), 256000, 316000);
        bv_lease_free(&lease);
        assert_true(take(s, 60000, &lease));
        assert_int_equal(lease.submission_id, first);
        bv_lease_free(&lease);
    }
}

/* How long a submission waited, and what it cost by stage, is told as it was. */
static void test_costs(void **state) {
    (void)state;
    EACH_STORE(s) {
        const bv_verdict v = {
            "accepted",
            10,
            10,
            "{}",
            {.waited_us = 1, .compile_us = 2, .run_us = 3, .check_us = 4, .runs = 5}};
        bv_lease lease;
        bool held;
        submit(s, make_user(s));
        nanosleep(&(struct timespec){0, 20000000}, NULL);
        assert_true(take(s, 60000, &lease));
        assert_in_range(lease.waited_ms, 19, 60000);
        assert_ok(bv_queue_record(s, &lease, "judge", &v, &held, NULL));
        bv_lease_free(&lease);
        assert_int_equal(number(s, "SELECT waited_us * 10000 + compile_us * 1000 + run_us * 100 + "
                                   "check_us * 10 + runs FROM arena_verdicts"),
                         12345);
    }
}

static void test_scores(void **state) {
    (void)state;
    EACH_STORE(s) {
        const int64_t user = make_user(s), second = make_user(s);
        static const int scores[] = {3, 10, 5};
        bv_lease lease;
        json_t *list, *board;
        int64_t id = 0, submission_state;
        for (int i = 0; i < 3; i++) {
            id = submit(s, user);
            assert_true(take(s, 1000, &lease) && record(s, &lease, "failed", scores[i]));
        }
        submit(s, second);
        assert_true(take(s, 1000, &lease) && record(s, &lease, "failed", 4));
        assert_ok(bv_scoreboard_json(s, 10, &board));
        assert_int_equal(json_array_size(board), 2);
        const json_t *first = json_array_get(board, 0);
        assert_int_equal(json_integer_value(json_object_get(first, "points")), 10);
        assert_int_equal(json_integer_value(json_object_get(first, "solved")), 1);
        const json_t *levels = json_object_get(first, "levels");
        assert_int_equal(json_integer_value(json_object_get(levels, "echo")), 10);
        json_decref(board);
        assert_ok(bv_submission_list_json(s, user, 2, &list));
        assert_int_equal(json_array_size(list), 2);
        const json_t *newest = json_array_get(list, 0);
        assert_int_equal(json_integer_value(json_object_get(newest, "id")), id);
        assert_int_equal(json_integer_value(json_object_get(newest, "score")), 5);
        assert_int_equal(json_integer_value(json_object_get(newest, "points")), 10);
        json_decref(list);
        assert_ok(bv_submission_state_of(s, user, id, &submission_state));
        assert_int_equal(submission_state, 2);
        assert_ok(bv_submission_state_of(s, second, id, &submission_state));
        assert_int_equal(submission_state, -1);
        assert_ok(bv_submission_json(s, user, id, true, &list, NULL));
        assert_string_equal(json_string_value(json_object_get(list, "source")), "int main;");
        assert_string_equal(
            json_string_value(json_object_get(json_object_get(list, "detail"), "message")), "m");
        json_decref(list);
        assert_ok(bv_submission_json(s, second, id, true, &list, NULL)); /* another's */
        assert_null(list);
    }
}

static int64_t solved_of(bv_store *s, int64_t user) {
    json_t *row;
    assert_ok(bv_scoreboard_user_json(s, user, &row));
    const int64_t solved = json_integer_value(json_object_get(row, "solved"));
    json_decref(row);
    return solved;
}

static void attempt(bv_store *s, int64_t user, int64_t score, int64_t points) {
    const bv_verdict verdict = {score == points ? "accepted" : "failed", score, points, "{}", {0}};
    bv_lease lease;
    bool held;
    submit(s, user);
    assert_true(take(s, 1000, &lease));
    assert_ok(bv_queue_record(s, &lease, "judge", &verdict, &held, NULL));
    bv_lease_free(&lease);
    assert_true(held);
}

/* Who has solved a level has solved it, and nobody else has, whatever points it gets later. */
static void test_changed_points(void **state) {
    (void)state;
    EACH_STORE(s) {
        const int64_t before = make_user(s), partly = make_user(s), after = make_user(s);
        attempt(s, before, 10, 10);
        attempt(s, partly, 6, 10);
        attempt(s, before, 2, 5);
        attempt(s, partly, 2, 5);
        attempt(s, after, 5, 5);
        assert_int_equal(solved_of(s, before), 1);
        assert_int_equal(solved_of(s, partly), 0);
        attempt(s, after, 5, 20);
        assert_int_equal(solved_of(s, after), 1);
        /* A store from when that was not kept. */
        static const char *const back[] = {
            "ALTER TABLE arena_scores ADD COLUMN points BIGINT NOT NULL DEFAULT 10",
            "ALTER TABLE arena_scores DROP COLUMN solved", "DROP INDEX arena_submissions_of",
            "DELETE FROM bv_migrations WHERE version >= 3"};
        for (size_t i = 0; i < sizeof back / sizeof *back; i++)
            assert_ok(bv_store_exec(s, back[i], BV_NO_VALUES, NULL));
        assert_ok(bv_arena_tables_prepare(s));
        assert_int_equal(solved_of(s, before), 1);
        assert_int_equal(solved_of(s, partly), 0);
        assert_int_equal(solved_of(s, after), 1);
    }
}

static bv_status take_plan(void *context, const bv_row *row) {
    bv_buffer_text(context, bv_row_text(row, 3));
    bv_buffer_text(context, "; ");
    return BV_OK;
}

/* The newest of a user are found without looking at, and sorting, all that there are. */
static void test_newest(void **state) {
    (void)state;
    EACH_STORE(s) {
        bv_buffer plan = {0};
        if (bv_store_is_postgres(s)) continue; /* it decides by how much is in the table */
        assert_ok(bv_store_query(s,
                                 "EXPLAIN QUERY PLAN SELECT * FROM arena_submissions "
                                 "WHERE user_id = $1 ORDER BY id DESC LIMIT $2",
                                 BV_VALUES(bv_int(1), bv_int(50)), take_plan, &plan));
        if (strstr(plan.data, "TEMP B-TREE") || !strstr(plan.data, "USING INDEX"))
            fail_msg("%s", plan.data);
        bv_buffer_free(&plan);
    }
}

/* Of equal points the earlier ones are ahead; what was reached again, and a failed attempt at
 * another level, is no rise. */
static void test_ranks(void **state) {
    (void)state;
    EACH_STORE(s) {
        const int64_t riser = make_user(s), early = make_user(s), late = make_user(s),
                      nobody = make_user(s);
        const int64_t users[] = {riser, early, late, early, early, nobody, riser},
                      scores[] = {5, 10, 10, 10, 0, 0, 10};
        static const char *const names[] = {"echo", "echo", "echo", "echo", "maze", "maze", "echo"};
        bv_buffer order = {0};
        bv_lease lease;
        json_t *row, *board;
        for (int i = 0; i < 7; i++) {
            submit_to(s, users[i], names[i]);
            assert_true(take(s, 1000, &lease) && record(s, &lease, "failed", (int)scores[i]));
            nanosleep(&(struct timespec){0, 3000000}, NULL);
        }
        assert_ok(bv_scoreboard_order(s, &order));
        const int64_t expected[] = {early, late, riser, nobody};
        assert_int_equal(order.size, sizeof expected);
        assert_memory_equal(order.data, expected, sizeof expected);
        bv_buffer_free(&order);
        assert_ok(bv_scoreboard_json(s, 3, &board));
        assert_int_equal(json_array_size(board), 3);
        for (size_t i = 0; i < 3; i++) {
            const json_t *name = json_object_get(json_array_get(board, i), "name");
            assert_ok(bv_scoreboard_user_json(s, expected[i], &row));
            assert_string_equal(json_string_value(name),
                                json_string_value(json_object_get(row, "name")));
            json_decref(row);
        }
        json_decref(board);
        assert_ok(bv_scoreboard_user_json(s, nobody, &row));
        assert_int_equal(json_integer_value(json_object_get(row, "last_ms")), 0);
        json_decref(row);
        assert_ok(bv_scoreboard_user_json(s, make_user(s), &row));
        assert_null(row);
    }
}

/* What nobody could judge is no attempt: it solves nothing, and spoils nothing that was solved. */
static void test_not_judged(void **state) {
    (void)state;
    EACH_STORE(s) {
        const int64_t solver = make_user(s), newcomer = make_user(s);
        const bv_verdict none = {"not-judged", 0, 0, "{}", {0}};
        bv_lease lease;
        json_t *row;
        bool held;
        submit(s, solver);
        assert_true(take(s, 1000, &lease) && record(s, &lease, "accepted", 10));
        const int64_t users[] = {solver, newcomer};
        for (int i = 0; i < 2; i++) {
            submit(s, users[i]);
            assert_true(take(s, 1000, &lease));
            assert_ok(bv_queue_record(s, &lease, "judge", &none, &held, NULL));
            bv_lease_free(&lease);
            assert_true(held);
        }
        assert_ok(bv_scoreboard_user_json(s, solver, &row));
        assert_int_equal(json_integer_value(json_object_get(row, "solved")), 1);
        json_decref(row);
        assert_ok(bv_scoreboard_user_json(s, newcomer, &row));
        assert_null(row);
    }
}

typedef struct racer {
    const char *url;
    int taken;
    bv_error *error;
} racer;

static void *race(void *context) {
    racer *r = context;
    bv_store *s;
    bool found = true, held;
    const bv_verdict v = {"accepted", 10, 10, "{}", {0}};
    r->error = bv_store_open(r->url, false, &s);
    while (!r->error && found) {
        bv_lease lease;
        r->error = bv_queue_take(s, "race", NULL, 60000, &lease, &found);
        if (r->error || !found) break;
        r->error = bv_queue_record(s, &lease, "race", &v, &held, NULL);
        r->taken += held;
        bv_lease_free(&lease);
    }
    bv_store_close(&s);
    return NULL;
}

/* Four judges at once: every submission judged, none twice. */
static void test_race(void **state) {
    (void)state;
    EACH_STORE(s) {
        const int64_t user = make_user(s);
        racer racers[4];
        pthread_t threads[4];
        int taken = 0;
        for (int n = 0; n < 100; n++) submit(s, user);
        for (int i = 0; i < 4; i++) {
            racers[i] = (racer){.url = urls[i_]};
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            assert_ok(racers[i].error);
            taken += racers[i].taken;
        }
        assert_int_equal(taken, 100);
        assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_verdicts"), 100);
        assert_int_equal(number(s, "SELECT tries FROM arena_scores"), 100);
    }
}

typedef struct flooder {
    const char *url;
    int64_t user;
    int accepted;
    bv_error *error;
} flooder;

static void *flood(void *context) {
    flooder *f = context;
    const bv_submission submission = {f->user, "echo", "c", "x", 1};
    const bv_submission_limits five = {.waiting = 5, .per_minute = 1000};
    bv_store *s;
    f->error = bv_store_open(f->url, false, &s);
    for (int i = 0; i < 20 && !f->error; i++) {
        int64_t id;
        const char *why;
        f->error = bv_submission_create(s, &submission, &five, &id, &why);
        f->accepted += id > 0;
    }
    bv_store_close(&s);
    return NULL;
}

/* Four doors at once: no more of one user come in than may wait. */
static void test_limits_at_several_doors(void **state) {
    (void)state;
    EACH_STORE(s) {
        const int64_t user = make_user(s);
        flooder flooders[4];
        pthread_t threads[4];
        int accepted = 0;
        for (int i = 0; i < 4; i++) {
            flooders[i] = (flooder){.url = urls[i_], .user = user};
            assert_int_equal(pthread_create(&threads[i], NULL, flood, &flooders[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            assert_ok(flooders[i].error);
            accepted += flooders[i].accepted;
        }
        assert_int_equal(accepted, 5);
        assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_submissions"), 5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_fair_turns),
        cmocka_unit_test(test_leases),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_newest),
        cmocka_unit_test(test_changed_points),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_not_judged),
        cmocka_unit_test(test_race),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_renewed_late),
        cmocka_unit_test(test_record_and_take),
        cmocka_unit_test(test_what_was_left_behind),
        cmocka_unit_test(test_limits_at_several_doors),
    };
    return cmocka_run_group_tests(tests, stores_begin, stores_end);
}

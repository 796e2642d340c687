/* Stores that are locked, full, damaged, or gone and back: what is said, and that work goes on. */
#include "support/check.h"

#include "base/clock.h"
#include "base/memory.h"
#include "store/store_pool.h"
#include "support/postgres.h"
#include <sys/prctl.h>
#include <sys/resource.h>

static char *folder, path[4200];

static void run(bv_store *s, const char *sql) {
    assert_ok(bv_store_exec(s, sql, BV_NO_VALUES, NULL));
}

static bv_store *open_table(const char *url) {
    bv_store *s;
    assert_ok(bv_store_open(url, true, &s));
    run(s, "CREATE TABLE IF NOT EXISTS t (a TEXT)");
    return s;
}

static bv_status insert(void *context, bv_store *s) {
    (void)context;
    return bv_store_exec(s, "INSERT INTO t (a) VALUES ('x')", BV_NO_VALUES, NULL);
}

/* Pauses of a millisecond take five here, as on a machine that is busy. */
static void test_locked(void **state) {
    (void)state;
    bv_store *s = open_table(path), *other = open_table(path);
    run(other, "BEGIN IMMEDIATE");
    prctl(PR_SET_TIMERSLACK, 4000000ul);
    const double began = bv_clock_seconds();
    assert_fails(bv_store_exec(s, "INSERT INTO t (a) VALUES ('x')", BV_NO_VALUES, NULL), BV_CODE_IO,
                 "is locked by another program");
    assert_int_equal(bv_store_last_trouble(s), BV_STORE_BUSY);
    assert_true(bv_clock_seconds() - began > 5);
    assert_true(bv_clock_seconds() - began < 8);
    prctl(PR_SET_TIMERSLACK, 0ul);
    run(other, "COMMIT");
    assert_ok(bv_store_transact(s, BV_STORE_SERIALIZABLE, insert, NULL));
    bv_store_close(&s);
    bv_store_close(&other);
}

static void test_full(void **state) {
    (void)state;
    bv_store *s = open_table(path);
    char *text = bv_malloc(1 << 20);
    memset(text, 'x', (1 << 20) - 1);
    text[(1 << 20) - 1] = 0;
    run(s, "PRAGMA max_page_count = 20");
    assert_fails(bv_store_exec(s, "INSERT INTO t (a) VALUES ($1)", BV_VALUES(bv_text(text)), NULL),
                 BV_CODE_IO, "no space left");
    assert_int_equal(bv_store_last_trouble(s), BV_STORE_FULL);
    run(s, "PRAGMA max_page_count = 100000");
    /* And by the system: no file may grow. */
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old;
    getrlimit(RLIMIT_FSIZE, &old);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){64 << 10, old.rlim_max});
    bv_error *error =
        bv_store_exec(s, "INSERT INTO t (a) VALUES ($1)", BV_VALUES(bv_text(text)), NULL);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_fails(error, BV_CODE_IO, "cannot grow");
    assert_int_equal(bv_store_last_trouble(s), BV_STORE_FULL);
    assert_ok(bv_store_exec(s, "INSERT INTO t (a) VALUES ($1)", BV_VALUES(bv_text(text)), NULL));
    bv_free(text);
    bv_store_close(&s);
}

static void test_file_gone(void **state) {
    (void)state;
    char away[4300];
    bv_store *s = open_table(path);
    snprintf(away, sizeof away, "%s.away", path);
    assert_int_equal(rename(path, away), 0);
    assert_fails(bv_store_exec(s, "INSERT INTO t (a) VALUES ('y')", BV_NO_VALUES, NULL), BV_CODE_IO,
                 "cannot be reached");
    assert_int_equal(bv_store_last_trouble(s), BV_STORE_GONE);
    assert_int_equal(access(path, F_OK), -1); /* and nothing empty in its place */
    assert_int_equal(rename(away, path), 0);
    assert_ok(bv_store_transact(s, BV_STORE_SERIALIZABLE, insert, NULL));
    bv_store_close(&s);
    /* nor by a further connection of a pool */
    bv_store_pool *pool;
    bv_store *first, *second;
    assert_ok(bv_store_pool_create(path, 2, &pool));
    assert_ok(bv_store_pool_take(pool, &first));
    assert_int_equal(rename(path, away), 0);
    assert_fails(bv_store_pool_take(pool, &second), BV_CODE_IO, "cannot be reached");
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rename(away, path), 0);
    assert_ok(bv_store_pool_take(pool, &second));
    bv_store_pool_give(pool, first);
    bv_store_pool_give(pool, second);
    bv_store_pool_destroy(&pool);
}

static void test_not_a_store(void **state) {
    (void)state;
    char other[4300];
    bv_store *s;
    snprintf(other, sizeof other, "%s/other", folder);
    assert_ok(bv_file_write(other, "this is a letter to my grandmother, not a store", 47));
    assert_fails(bv_store_open(other, false, &s), BV_CODE_INPUT, "is not a store");
}

static postgres server;

#define OTHERS "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'beaver'"

#define SESSIONS_MAX 16

typedef struct sessions {
    int64_t pids[SESSIONS_MAX];
    size_t count;
} sessions;

static bv_status take_session(void *context, const bv_row *row) {
    sessions *others = context;
    assert_true(others->count < SESSIONS_MAX);
    others->pids[others->count++] = bv_row_int(row, 0);
    return BV_OK;
}

/* The server ends all sessions but that of `s`. Their processes are gone when this returns: the
 * list of sessions forgets one before its connection is closed. */
static void end_others(bv_store *s) {
    sessions others = {.count = 0};
    assert_ok(bv_store_query(s, "SELECT pid " OTHERS, BV_NO_VALUES, take_session, &others));
    run(s, "SELECT pg_terminate_backend(pid) " OTHERS);
    for (size_t i = 0; i < others.count; i++) {
        char process[40];
        snprintf(process, sizeof process, "/proc/%lld", (long long)others.pids[i]);
        while (access(process, F_OK) == 0) nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
}

typedef struct losing {
    bv_store *other;
    int times;
} losing;

static bv_status lose_session_once(void *context, bv_store *s) {
    losing *l = context;
    BV_TRY(insert(NULL, s));
    if (l->times++) return BV_OK;
    end_others(l->other);
    return insert(NULL, s);
}

static void test_server_gone(void **state) {
    (void)state;
    if (!postgres_begin(&server)) skip();
    bv_store *s = open_table(server.url), *other = open_table(server.url);
    /* A session that the server ended meanwhile is made again. */
    end_others(other);
    assert_ok(bv_store_transact(s, BV_STORE_SERIALIZABLE, insert, NULL));
    postgres_stop(&server);
    assert_fails(bv_store_exec(s, "INSERT INTO t (a) VALUES ('z')", BV_NO_VALUES, NULL), BV_CODE_IO,
                 "cannot be reached");
    assert_int_equal(bv_store_last_trouble(s), BV_STORE_GONE);
    postgres_start(&server);
    assert_ok(bv_store_transact(s, BV_STORE_SERIALIZABLE, insert, NULL));
    bv_store_close(&other);
    other = open_table(server.url);
    losing lose = {other, 0};
    assert_ok(bv_store_transact(s, BV_STORE_SERIALIZABLE, lose_session_once, &lose));
    assert_int_equal(lose.times, 2);
    /* Outside of a transaction too, whether the server said goodbye or not. */
    end_others(other);
    int64_t count;
    bool found;
    assert_ok(bv_store_query_int(s, "SELECT COUNT(*) FROM t", BV_NO_VALUES, &count, &found));
    assert_int_equal(count, 3);
    postgres_stop(&server);
    postgres_start(&server);
    assert_ok(bv_store_query_int(s, "SELECT COUNT(*) FROM t", BV_NO_VALUES, &count, &found));
    assert_int_equal(count, 3);
    bv_store_close(&s);
    bv_store_close(&other);
    postgres_end(&server);
}

static int begin(void **state) {
    *state = folder = make_folder();
    snprintf(path, sizeof path, "%s/store.db", folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locked),      cmocka_unit_test(test_full),
        cmocka_unit_test(test_file_gone),   cmocka_unit_test(test_not_a_store),
        cmocka_unit_test(test_server_gone),
    };
    return cmocka_run_group_tests(tests, begin, folder_teardown);
}

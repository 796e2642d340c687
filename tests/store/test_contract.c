/*
 * What a store promises, asked of both: SQLite always, PostgreSQL where its server is installed (a
 * line says when it is not).
 */
#include "support/check.h"

#include "base/clock.h"
#include "support/stores.h"
#include <pthread.h>

static bv_store *open_store(size_t i) {
    bv_store *s;
    assert_ok(bv_store_open(urls[i], false, &s));
    assert_int_equal(bv_store_is_postgres(s), i == 1);
    return s;
}

#define EACH_STORE(s)                                                                              \
    for (size_t i_ = 0; i_ < url_count; i_++)                                                      \
        for (bv_store *s = open_store(i_); s; bv_store_close(&s))

static void run(bv_store *s, const char *sql) {
    assert_ok(bv_store_exec(s, sql, BV_NO_VALUES, NULL));
}

/* ---- values ---- */

static bv_status check_values(void *context, const bv_row *row) {
    (*(int *)context)++;
    size_t size;
    assert_int_equal(bv_row_int(row, 0), INT64_MIN);
    assert_string_equal(bv_row_text(row, 1), "a'b\xe2\x82\xac");
    assert_memory_equal(bv_row_blob(row, 2, &size), "\0\xff\\x00", 6);
    assert_int_equal(size, 6);
    for (int c = 3; c < 6; c++) assert_true(bv_row_is_null(row, c) == (c != 4));
    assert_int_equal(bv_row_int(row, 3), 0);
    assert_string_equal(bv_row_text(row, 4), "");
    assert_string_equal(bv_row_text(row, 5), "");
    assert_non_null(bv_row_blob(row, 5, &size));
    assert_int_equal(size, 0);
    return BV_OK;
}

static void test_values(void **state) {
    (void)state;
    EACH_STORE(s) {
        int rows = 0;
        run(s, "CREATE TABLE vals (i BIGINT, t TEXT, b {blob}, ni BIGINT, nt TEXT, nb {blob})");
        assert_ok(bv_store_exec(s,
                                "INSERT INTO vals (i, t, b, ni, nt, nb) "
                                "VALUES ($1, $2, $3, $4, $5, $6)",
                                BV_VALUES(bv_int(INT64_MIN), bv_text("a'b\xe2\x82\xac"),
                                          bv_blob("\0\xff\\x00", 6), bv_text(NULL), bv_text(""),
                                          bv_text(NULL)),
                                NULL));
        assert_ok(bv_store_query(s, "SELECT i, t, b, ni, nt, nb FROM vals", BV_NO_VALUES,
                                 check_values, &rows));
        assert_int_equal(rows, 1);
        run(s, "DROP TABLE vals");
    }
}

static void test_parameters(void **state) {
    (void)state;
    EACH_STORE(s) {
        int64_t value;
        bool found;
        run(s, "CREATE TABLE params (a BIGINT, b BIGINT, c BIGINT)");
        assert_ok(bv_store_exec(s, "INSERT INTO params (c, b, a) VALUES ($3, $1, $2)",
                                BV_VALUES(bv_int(2), bv_int(1), bv_int(3)), NULL));
        assert_ok(bv_store_query_int(s,
                                     "SELECT a * 100 + b * 10 + c FROM params "
                                     "WHERE c = $2 AND a = $1 AND b > $1",
                                     BV_VALUES(bv_int(1), bv_int(3)), &value, &found));
        assert_true(found && value == 123);
        assert_ok(bv_store_query_int(s, "SELECT a FROM params WHERE b = $1", BV_VALUES(bv_int(99)),
                                     &value, &found));
        assert_false(found);
        run(s, "DROP TABLE params");
    }
}

/* ---- changes, conflicts, mistakes ---- */

static void test_changes(void **state) {
    (void)state;
    EACH_STORE(s) {
        int64_t changed, value;
        bool found;
        run(s, "CREATE TABLE ch (id {id}, name TEXT NOT NULL UNIQUE)");
        for (int i = 0; i < 3; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%d", i);
            assert_ok(bv_store_query_int(s, "INSERT INTO ch (name) VALUES ($1) RETURNING id",
                                         BV_VALUES(bv_text(name)), &value, &found));
            assert_true(found && value == i + 1);
        }
        assert_fails(
            bv_store_exec(s, "INSERT INTO ch (name) VALUES ($1)", BV_VALUES(bv_text("n1")), NULL),
            BV_CODE_INPUT, "running \"INSERT");
        assert_int_equal(bv_store_last_trouble(s), BV_STORE_CONFLICT);
        assert_ok(bv_store_exec(s,
                                "INSERT INTO ch (name) VALUES ($1) ON CONFLICT (name) DO NOTHING",
                                BV_VALUES(bv_text("n1")), &changed));
        assert_int_equal(changed, 0);
        assert_ok(bv_store_exec(s, "UPDATE ch SET name = name || '!' WHERE id > $1",
                                BV_VALUES(bv_int(1)), &changed));
        assert_int_equal(changed, 2);
        /* Numbers are not given again. */
        run(s, "DELETE FROM ch");
        assert_true(number(s, "INSERT INTO ch (name) VALUES ('x') RETURNING id") > 3);
        assert_fails(bv_store_exec(s, "SELEC 1", BV_NO_VALUES, NULL), BV_CODE_FAULT, "SELEC");
        assert_int_equal(bv_store_last_trouble(s), BV_STORE_WRONG);
        assert_int_equal(number(s, "SELECT COUNT(*) FROM ch"), 1);
        assert_int_equal(bv_store_last_trouble(s), BV_STORE_FINE);
        run(s, "DROP TABLE ch");
    }
}

static bv_status stop_at_three(void *context, const bv_row *row) {
    (*(int *)context)++;
    return bv_row_int(row, 0) == 3 ? bv_fail(BV_CODE_INPUT, "enough") : BV_OK;
}

static void test_rows(void **state) {
    (void)state;
    EACH_STORE(s) {
        int rows = 0;
        const char *many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                           "WHERE i < 5000) SELECT i FROM n ORDER BY i";
        assert_fails(bv_store_query(s, many, BV_NO_VALUES, stop_at_three, &rows), BV_CODE_INPUT,
                     "enough");
        assert_int_equal(rows, 3);
        assert_int_equal(number(s, "SELECT 7"), 7);
        /* More statements than are kept. */
        for (int i = 0; i < 300; i++) {
            char sql[32];
            snprintf(sql, sizeof sql, "SELECT %d", i);
            assert_int_equal(number(s, sql), i);
        }
    }
}

static void test_dialect(void **state) {
    (void)state;
    EACH_STORE(s) {
        const int64_t here = bv_clock_wall_ms(), there = number(s, "SELECT {now_ms}");
        assert_true(there > here - 2000 && there < here + 2000);
        run(s, "CREATE TABLE jobs (id BIGINT, taken BIGINT)");
        run(s, "INSERT INTO jobs (id, taken) VALUES (1, 0), (2, 0)");
        const char *take = "UPDATE jobs SET taken = 1 WHERE id = (SELECT id FROM jobs "
                           "WHERE taken = 0 ORDER BY id LIMIT 1 {skip_locked}) RETURNING id";
        assert_int_equal(number(s, take), 1);
        assert_int_equal(number(s, take), 2);
        run(s, "DROP TABLE jobs");
    }
}

/* ---- transactions ---- */

static bv_status add_and_fail(void *context, bv_store *s) {
    (void)context;
    BV_TRY(bv_store_exec(s, "INSERT INTO tx (n) VALUES (1)", BV_NO_VALUES, NULL));
    return bv_fail(BV_CODE_INPUT, "changed my mind");
}

/* Reads, waits, writes: wrong as soon as another comes between. */
static bv_status increment(void *context, bv_store *s) {
    int64_t n;
    bool found;
    const bool locked = *(const bool *)context;
    BV_TRY(bv_store_query_int(s, locked ? "SELECT n FROM tx {for_update}" : "SELECT n FROM tx",
                              BV_NO_VALUES, &n, &found));
    sched_yield();
    return bv_store_exec(s, "UPDATE tx SET n = $1", BV_VALUES(bv_int(n + 1)), NULL);
}

static void *increment_often(void *url) {
    bv_store *s;
    bv_error *error = bv_store_open(url, false, &s);
    for (int i = 0; !error && i < 40; i++) {
        bool locked = i % 2;
        error = bv_store_transact(s, locked ? BV_STORE_LOCKED : BV_STORE_SERIALIZABLE, increment,
                                  &locked);
    }
    if (!error) bv_store_close(&s);
    return error;
}

static void test_transactions(void **state) {
    (void)state;
    EACH_STORE(s) {
        run(s, "CREATE TABLE tx (n BIGINT)");
        assert_fails(bv_store_transact(s, BV_STORE_SERIALIZABLE, add_and_fail, NULL), BV_CODE_INPUT,
                     "changed my mind");
        assert_int_equal(number(s, "SELECT COUNT(*) FROM tx"), 0);
        run(s, "INSERT INTO tx (n) VALUES (0)");
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, increment_often, (void *)urls[i_]),
                             0);
        for (int i = 0; i < 4; i++) {
            void *error;
            pthread_join(threads[i], &error);
            assert_ok((bv_error *)error);
        }
        assert_int_equal(number(s, "SELECT n FROM tx"), 160);
        run(s, "DROP TABLE tx");
    }
}

/* ---- migrations ---- */

static const char *const steps[] = {
    "CREATE TABLE m (id {id}, a TEXT); CREATE INDEX m_a ON m (a)",
    "ALTER TABLE m ADD COLUMN b BIGINT NOT NULL DEFAULT 5",
};

static void *migrate_now(void *url) {
    bv_store *s;
    bv_error *error = bv_store_open(url, false, &s);
    if (!error) {
        error =
            bv_store_migrate(s, "race", (const char *const[]){"CREATE TABLE race (a BIGINT)"}, 1);
        bv_store_close(&s);
    }
    return error;
}

static void test_migrations(void **state) {
    (void)state;
    EACH_STORE(s) {
        assert_ok(bv_store_migrate(s, "m", steps, 1));
        run(s, "INSERT INTO m (a) VALUES ('x')");
        assert_ok(bv_store_migrate(s, "m", steps, 2));
        assert_ok(bv_store_migrate(s, "m", steps, 2));
        assert_int_equal(number(s, "SELECT b FROM m"), 5);
        assert_fails(bv_store_migrate(s, "m", steps, 1), BV_CODE_INPUT, "a newer program");
        const char *const other[] = {"CREATE TABLE m (id {id})", steps[1]};
        assert_fails(bv_store_migrate(s, "m", other, 2), BV_CODE_INPUT, "step 1 of \"m\" is not");
        const char *const broken[] = {steps[0], steps[1], "CREATE TABLE half (a BIGINT); SELEC"};
        assert_fails(bv_store_migrate(s, "m", broken, 3), BV_CODE_FAULT, "to version 3");
        assert_fails(bv_store_exec(s, "SELECT a FROM half", BV_NO_VALUES, NULL), BV_CODE_FAULT,
                     "half");
        assert_ok(bv_store_migrate(s, "m", steps, 2));
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, migrate_now, (void *)urls[i_]), 0);
        for (int i = 0; i < 4; i++) {
            void *error;
            pthread_join(threads[i], &error);
            assert_ok((bv_error *)error);
        }
        run(s, "DROP TABLE m");
    }
}

static void test_urls(void **state) {
    (void)state;
    bv_store *s;
    assert_fails(bv_store_open("mysql://x", false, &s), BV_CODE_USAGE, "no kind of store");
    assert_fails(bv_store_open("", false, &s), BV_CODE_USAGE, "no name of a store");
    assert_fails(bv_store_open(":memory:", false, &s), BV_CODE_USAGE, "no name of a store");
    assert_fails(bv_store_open("/no/such/folder/file", false, &s), BV_CODE_IO, "cannot be reached");
    assert_fails(bv_store_open("postgres://u:secret@/x?host=/no/such/folder", false, &s),
                 BV_CODE_IO, "cannot be reached");
    static const char *const secrets[] = {"u:secret@/x?host=/no/such/folder",
                                          "u:secret?secret@/x?host=/no/such/folder",
                                          "/x?host=/no/such/folder&user=u&password=s@secret"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        char url[120];
        snprintf(url, sizeof url, "postgres://%s", secrets[i]);
        bv_error *error = bv_store_open(url, false, &s);
        assert_non_null(strstr(bv_error_text(error), "postgres:///x cannot be reached"));
        assert_null(strstr(bv_error_text(error), "secret"));
        bv_error_free(&error);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),     cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_changes),    cmocka_unit_test(test_rows),
        cmocka_unit_test(test_dialect),    cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_migrations), cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, stores_begin, stores_end);
}

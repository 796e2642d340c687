#include "store/store.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "store/backend.h"
#include "store/dialect.h"
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRANSACT_SECONDS 10.0

struct bv_store {
    const bv_backend_calls *calls;
    bv_backend *backend;
    bv_store_trouble trouble;
    bool in_transaction;
};

bv_value bv_int(int64_t value) {
    return (bv_value){.type = BV_VALUE_INT, .integer = value};
}

bv_value bv_text(const char *text) {
    if (!text) return (bv_value){.type = BV_VALUE_NULL};
    return (bv_value){.type = BV_VALUE_TEXT, .bytes = text, .size = strlen(text)};
}

bv_value bv_blob(const void *bytes, size_t size) {
    return (bv_value){.type = BV_VALUE_BLOB, .bytes = bytes, .size = size};
}

/* ---- lifetime ---- */

static bool is_postgres_url(const char *url) {
    return !strncmp(url, "postgres://", 11) || !strncmp(url, "postgresql://", 13);
}

static bv_status open_store(const char *url, bool durable, bool create, bv_store **out) {
    const char *scheme = strstr(url, "://");
    if (scheme && !is_postgres_url(url))
        return bv_try(
            bv_fail(BV_CODE_USAGE, "\"%.*s\" is no kind of store", (int)(scheme - url), url),
            "postgres://user@host/database, or a file");
    /* SQLite would make a database of its own for each connection, which goes with it. */
    if (!*url || !strcmp(url, ":memory:"))
        return bv_try(bv_fail(BV_CODE_USAGE, "\"%s\" is no name of a store", url), "arena.db");
    bv_store *s = bv_calloc(1, sizeof *s);
    if (!s) return bv_fail_memory("a store");
    s->calls = is_postgres_url(url) ? &bv_backend_postgres : &bv_backend_sqlite;
    bv_error *error = s->calls->open(url, durable, create, &s->backend, &s->trouble);
    *out = s;
    if (error) bv_store_close(out);
    return error;
}

bv_status bv_store_open(const char *url, bool durable, bv_store **out) {
    return open_store(url, durable, true, out);
}

bv_status bv_store_open_present(const char *url, bool durable, bv_store **out) {
    return open_store(url, durable, false, out);
}

void bv_store_close(bv_store **store) {
    bv_store *s = *store;
    if (!s) return;
    if (s->backend) s->calls->close(s->backend);
    bv_free(s);
    *store = NULL;
}

bool bv_store_is_postgres(const bv_store *s) {
    return s->calls == &bv_backend_postgres;
}

bv_store_trouble bv_store_last_trouble(const bv_store *s) {
    return s->trouble;
}

/* ---- statements ---- */

static bv_status run(bv_store *s, const bv_statement *statement) {
    s->trouble = BV_STORE_FINE;
    BV_TRY(s->calls->check(s->backend, !s->in_transaction, &s->trouble));
    return bv_while(s->calls->run(s->backend, statement, &s->trouble), "running \"%.120s\"",
                    statement->sql);
}

bv_status bv_store_exec(bv_store *s, const char *sql, const bv_value *values, size_t count,
                        int64_t *changed) {
    return run(s,
               &(bv_statement){.sql = sql, .values = values, .count = count, .changed = changed});
}

bv_status bv_store_query(bv_store *s, const char *sql, const bv_value *values, size_t count,
                         bv_store_row *each, void *context) {
    return run(s, &(bv_statement){sql, values, count, each, context, NULL});
}

typedef struct one_int {
    int64_t value;
    bool found;
} one_int;

static bv_status take_int(void *context, const bv_row *row) {
    one_int *one = context;
    if (!one->found) *one = (one_int){bv_row_int(row, 0), true};
    return BV_OK;
}

bv_status bv_store_query_int(bv_store *s, const char *sql, const bv_value *values, size_t count,
                             int64_t *out, bool *found) {
    one_int one = {0};
    BV_TRY(bv_store_query(s, sql, values, count, take_int, &one));
    *out = one.value;
    if (found) *found = one.found;
    return BV_OK;
}

bool bv_row_is_null(const bv_row *row, int column) {
    return row->calls->is_null(row, column);
}

int64_t bv_row_int(const bv_row *row, int column) {
    return row->calls->get_int(row, column);
}

const char *bv_row_text(const bv_row *row, int column) {
    return row->calls->get_text(row, column);
}

const void *bv_row_blob(const bv_row *row, int column, size_t *size) {
    return row->calls->get_blob(row, column, size);
}

/* ---- transactions ---- */

/* Longer each time, and not in step with others. */
static void pause_between(int tries) {
    const long ms = 1L << (tries < 7 ? tries : 7);
    const long jitter = (long)(bv_clock_ns() / 1000 % 1000) * ms;
    nanosleep(&(struct timespec){0, ms * 500000L + jitter * 1000L}, NULL);
}

static bv_status script(bv_store *s, const char *sql) {
    s->trouble = BV_STORE_FINE;
    return s->calls->script(s->backend, sql, &s->trouble);
}

/* *again: nothing of it has happened, and trying once more may help. */
static bv_status transact_once(bv_store *s, bv_store_isolation isolation, bv_store_work *work,
                               void *context, bool *again) {
    s->trouble = BV_STORE_FINE;
    *again = false;
    bv_error *error = s->calls->check(s->backend, true, &s->trouble);
    if (error) return error;
    error = script(s, s->calls->begin[isolation]);
    const bool begun = !error;
    s->in_transaction = begun;
    if (!error) error = work(context, s);
    const bool was_lost = s->trouble == BV_STORE_GONE;
    const bool committing = begun && !error;
    if (committing) error = script(s, "COMMIT");
    s->in_transaction = false;
    if (!error) return BV_OK;
    const bv_store_trouble trouble = s->trouble;
    *again = trouble == BV_STORE_BUSY || (was_lost && !committing);
    if (begun) {
        bv_error *ignored = script(s, "ROLLBACK"); /* gone with the connection, if that is lost */
        bv_error_free(&ignored);
    }
    s->trouble = trouble;
    return error;
}

bv_status bv_store_transact(bv_store *s, bv_store_isolation isolation, bv_store_work *work,
                            void *context) {
    BV_ASSERT(!s->in_transaction);
    const double begin = bv_clock_seconds();
    for (int tries = 0;; tries++) {
        bool again;
        bv_error *error = transact_once(s, isolation, work, context, &again);
        if (!error || !again || bv_clock_seconds() - begin > TRANSACT_SECONDS) return error;
        bv_error_free(&error);
        pause_between(tries);
    }
}

/* ---- migrations ---- */

typedef struct migration {
    const char *feature;
    const char *const *steps;
    size_t count;
} migration;

static const char versions_sql[] =
    "CREATE TABLE IF NOT EXISTS bv_migrations (feature TEXT NOT NULL, version BIGINT NOT NULL, "
    "sha256 TEXT NOT NULL, applied_ms BIGINT NOT NULL, PRIMARY KEY (feature, version))";

typedef struct applied {
    const migration *m;
    int64_t version;
} applied;

static bv_status check_applied(void *context, const bv_row *row) {
    applied *a = context;
    char sha256[BV_SHA256_TEXT_SIZE];
    a->version = bv_row_int(row, 0);
    if (a->version > (int64_t)a->m->count)
        return bv_try(bv_fail(BV_CODE_INPUT,
                              "the store has version %lld of \"%s\", this program knows %zu",
                              (long long)a->version, a->m->feature, a->m->count),
                      "a newer program, or another store");
    const char *step = a->m->steps[a->version - 1];
    BV_TRY(bv_sha256_bytes(step, strlen(step), sha256));
    if (strcmp(sha256, bv_row_text(row, 1)) != 0)
        return bv_fail(BV_CODE_INPUT, "step %lld of \"%s\" is not the one that made this store",
                       (long long)a->version, a->m->feature);
    return BV_OK;
}

static bv_status apply_step(bv_store *s, const migration *m, size_t index) {
    char sha256[BV_SHA256_TEXT_SIZE];
    bv_buffer text = {0};
    BV_TRY(bv_sha256_bytes(m->steps[index], strlen(m->steps[index]), sha256));
    bv_error *error = bv_dialect_text(m->steps[index], bv_store_is_postgres(s), &text);
    if (!error) error = script(s, text.data);
    bv_buffer_free(&text);
    if (!error)
        error = bv_store_exec(s,
                              "INSERT INTO bv_migrations (feature, version, sha256, applied_ms) "
                              "VALUES ($1, $2, $3, $4)",
                              BV_VALUES(bv_text(m->feature), bv_int((int64_t)index + 1),
                                        bv_text(sha256), bv_int(bv_clock_wall_ms())),
                              NULL);
    return bv_while(error, "bringing \"%s\" to version %zu", m->feature, index + 1);
}

static bv_status migrate(void *context, bv_store *s) {
    const migration *m = context;
    applied a = {.m = m};
    BV_TRY(script(s, versions_sql));
    BV_TRY(bv_store_query(s,
                          "SELECT version, sha256 FROM bv_migrations WHERE feature = $1 "
                          "ORDER BY version",
                          BV_VALUES(bv_text(m->feature)), check_applied, &a));
    for (size_t i = (size_t)a.version; i < m->count; i++) BV_TRY(apply_step(s, m, i));
    return BV_OK;
}

bv_status bv_store_migrate(bv_store *s, const char *feature, const char *const *steps,
                           size_t count) {
    migration m = {feature, steps, count};
    if (!s->calls->exclude) return bv_store_transact(s, BV_STORE_SERIALIZABLE, migrate, &m);
    BV_TRY(s->calls->check(s->backend, true, &s->trouble));
    BV_TRY(script(s, s->calls->exclude));
    bv_error *error = bv_store_transact(s, BV_STORE_SERIALIZABLE, migrate, &m);
    const bv_store_trouble trouble = s->trouble;
    bv_error *ignored = script(s, s->calls->include); /* gone with the connection otherwise */
    bv_error_free(&ignored);
    s->trouble = trouble;
    return error;
}

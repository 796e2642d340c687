/*
 * PostgreSQL by libpq: one connection. Statements are prepared by name in the session and rows come
 * one by one, so a large result needs no memory. A session that stops in the middle of a
 * transaction is ended by the server (IDLE_IN_TRANSACTION), so that it cannot hold its locks.
 */
#include "store/backend.h"

#include "base/memory.h"
#include "store/dialect.h"
#include "store/libpq.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENTS 128
#define VALUES_MAX 32
#define COLUMNS_MAX 32
#define SESSION                                                                                    \
    "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s'; "             \
    "SET lock_timeout = '10s'; SET client_min_messages = warning"

struct bv_backend {
    char *url;
    PGconn *connection;                /* NULL: lost */
    char *prepared[STATEMENTS];        /* as they were given, by hash; number i is named s<i> */
    unsigned char *blobs[COLUMNS_MAX]; /* of the row that is looked at */
};

/* ---- errors ---- */

/* Where to, without user, password and settings: a password may have a question mark, a setting an
 * at sign. */
static const char *place(const bv_backend *b, char out[160]) {
    const char *from = strstr(b->url, "://") + 3;
    const char *user = from + strcspn(from, "@/");
    const char *end = *user == '@' ? user : from;
    end += strcspn(end, "?");
    for (const char *at = from; at < end; at++)
        if (*at == '@') from = at + 1;
    snprintf(out, 160, "postgres://%.*s", (int)(end - from), from);
    return out;
}

/* The first line of what libpq says, without its line break. */
static const char *first_line(const char *text, char out[300]) {
    while (!strncmp(text, "ERROR:  ", 8) || !strncmp(text, "FATAL:  ", 8)) text += 8;
    snprintf(out, 300, "%.*s", (int)strcspn(text, "\n"), text);
    return out;
}

static bv_error *fail_gone(const bv_backend *b, const char *text, bv_store_trouble *trouble) {
    char where[160], line[300];
    *trouble = BV_STORE_GONE;
    return bv_try(
        bv_fail(BV_CODE_IO, "%s cannot be reached: %s", place(b, where), first_line(text, line)),
        "is the server running, and may this user connect?");
}

static bool is_state(const char *state, const char *list) {
    for (; *list; list += strcspn(list, " "), list += *list == ' ')
        if (!strncmp(state, list, strcspn(list, " "))) return true;
    return false;
}

static bv_error *fail_state(const bv_backend *b, const char *state, const char *text,
                            bv_store_trouble *trouble) {
    char where[160], line[300];
    place(b, where);
    first_line(text, line);
    if (is_state(state, "08 57P01 57P02 57P03") || bv_pq.status(b->connection) != CONNECTION_OK)
        return fail_gone(b, text, trouble);
    if (is_state(state, "40001 40P01 55P03 57014 53300")) {
        *trouble = BV_STORE_BUSY;
        return bv_try(bv_fail(BV_CODE_IO, "%s is busy: %s", where, line), "again later");
    }
    if (is_state(state, "53100")) {
        *trouble = BV_STORE_FULL;
        return bv_try(bv_fail(BV_CODE_IO, "no space left for %s: %s", where, line),
                      "free space on the server's disk");
    }
    *trouble = is_state(state, "23") ? BV_STORE_CONFLICT : BV_STORE_WRONG;
    if (*trouble == BV_STORE_CONFLICT) return bv_fail(BV_CODE_INPUT, "%s: %s", where, line);
    return bv_fail(BV_CODE_FAULT, "%s: %s (%s)", where, line, state);
}

static bv_error *fail_result(const bv_backend *b, const PGresult *result,
                             bv_store_trouble *trouble) {
    const char *state = bv_pq.resultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text =
        result ? bv_pq.resultErrorMessage(result) : bv_pq.errorMessage(b->connection);
    return fail_state(b, state ? state : "", text, trouble);
}

/* ---- lifetime ---- */

static void quiet(void *context, const char *message) {
    (void)context, (void)message;
}

static void disconnect(bv_backend *b) {
    bv_pq.finish(b->connection);
    b->connection = NULL;
    for (size_t i = 0; i < STATEMENTS; i++) {
        bv_free(b->prepared[i]);
        b->prepared[i] = NULL;
    }
}

static bv_status script(bv_backend *b, const char *sql, bv_store_trouble *trouble) {
    if (!b->connection) return fail_gone(b, "the connection was lost", trouble);
    PGresult *result = bv_pq.exec(b->connection, sql);
    const ExecStatusType status = bv_pq.resultStatus(result);
    bv_error *error = BV_OK;
    /* COMMIT of a transaction that failed says ROLLBACK, and that is no success. */
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        error = fail_result(b, result, trouble);
    else if (!strcmp(sql, "COMMIT") && strcmp(bv_pq.cmdStatus(result), "COMMIT") != 0)
        error = fail_state(b, "40001", "the transaction was rolled back", trouble);
    bv_pq.clear(result);
    return error;
}

static bv_status connect_to(bv_backend *b, bv_store_trouble *trouble) {
    static const char *const names[] = {"connect_timeout", "fallback_application_name", "dbname",
                                        "client_encoding", NULL};
    const char *const texts[] = {"5", "beaver", b->url, "UTF8", NULL};
    disconnect(b);
    b->connection = bv_pq.connectdbParams(names, texts, 1);
    bv_error *error = BV_OK;
    if (!b->connection) return bv_fail_memory("a connection");
    if (bv_pq.status(b->connection) != CONNECTION_OK)
        error = fail_gone(b, bv_pq.errorMessage(b->connection), trouble);
    bv_pq.setNoticeProcessor(b->connection, quiet, NULL);
    if (!error) error = script(b, SESSION, trouble);
    if (error) disconnect(b);
    return error;
}

static void close_backend(bv_backend *b) {
    disconnect(b);
    bv_free(b->url);
    bv_free(b);
}

static bv_status open_backend(const char *url, bool durable, bool create, bv_backend **out,
                              bv_store_trouble *trouble) {
    (void)create;
    (void)durable; /* the server's setting, on unless its owner says otherwise */
    BV_TRY(bv_libpq_load());
    bv_backend *b = bv_calloc(1, sizeof *b);
    char *copy = bv_strdup(url);
    if (!b || !copy) {
        bv_free(b);
        bv_free(copy);
        return bv_fail_memory("a store");
    }
    b->url = copy;
    bv_error *error = connect_to(b, trouble);
    if (error)
        close_backend(b);
    else
        *out = b;
    return error;
}

/* Reading what has come tells whether the server closed the connection meanwhile: first its last
 * words, if it had any, then the end. */
static bool is_connected(const bv_backend *b) {
    return b->connection && bv_pq.consumeInput(b->connection) &&
           bv_pq.consumeInput(b->connection) && bv_pq.status(b->connection) == CONNECTION_OK;
}

static bv_status check(bv_backend *b, bool again, bv_store_trouble *trouble) {
    if (is_connected(b)) return BV_OK;
    if (again) return connect_to(b, trouble);
    return fail_gone(b, "the connection was lost in a transaction", trouble);
}

/* ---- statements ---- */

static bv_status prepare(bv_backend *b, const char *sql, char name[16], bv_store_trouble *trouble) {
    const size_t slot = bv_backend_hash(sql) % STATEMENTS;
    char drop[40];
    bv_buffer text = {0};
    snprintf(name, 16, "s%zu", slot);
    if (b->prepared[slot] && !strcmp(b->prepared[slot], sql)) return BV_OK;
    if (b->prepared[slot]) {
        snprintf(drop, sizeof drop, "DEALLOCATE %s", name);
        BV_TRY(script(b, drop, trouble));
        bv_free(b->prepared[slot]);
        b->prepared[slot] = NULL;
    }
    char *copy = bv_strdup(sql);
    bv_error *error = copy ? bv_dialect_text(sql, true, &text) : bv_fail_memory("a statement");
    if (!error) {
        PGresult *result = bv_pq.prepare(b->connection, name, text.data, 0, NULL);
        if (bv_pq.resultStatus(result) != PGRES_COMMAND_OK) error = fail_result(b, result, trouble);
        bv_pq.clear(result);
    }
    bv_buffer_free(&text);
    if (error)
        bv_free(copy);
    else
        b->prepared[slot] = copy;
    return error;
}

typedef struct wire {
    char numbers[VALUES_MAX][32];
    const char *bytes[VALUES_MAX];
    int sizes[VALUES_MAX], formats[VALUES_MAX]; /* 0: text, 1: binary */
} wire;

static void put_values(const bv_value *values, size_t count, wire *w) {
    for (size_t i = 0; i < count; i++) {
        const bv_value *v = &values[i];
        w->bytes[i] = w->numbers[i];
        w->sizes[i] = (int)v->size;
        w->formats[i] = v->type == BV_VALUE_BLOB;
        if (v->type == BV_VALUE_NULL)
            w->bytes[i] = NULL;
        else if (v->type == BV_VALUE_INT)
            snprintf(w->numbers[i], sizeof w->numbers[i], "%lld", (long long)v->integer);
        else
            w->bytes[i] = v->bytes ? v->bytes : "";
    }
}

/* Rows come as results of one row each, then one without. */
static bv_status take_result(bv_backend *b, const PGresult *result, const bv_statement *statement,
                             bv_store_trouble *trouble) {
    const ExecStatusType status = bv_pq.resultStatus(result);
    bv_error *error = BV_OK;
    if (status == PGRES_SINGLE_TUPLE) {
        const bv_row row = {&bv_backend_postgres, (void *[]){(void *)result, b}, 0};
        if (statement->each) error = statement->each(statement->context, &row);
        for (int i = 0; i < COLUMNS_MAX; i++) {
            bv_pq.freemem(b->blobs[i]);
            b->blobs[i] = NULL;
        }
    } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        if (statement->changed)
            *statement->changed = strtoll(bv_pq.cmdTuples((PGresult *)result), NULL, 10);
    } else {
        error = fail_result(b, result, trouble);
    }
    return error;
}

static bv_status run(bv_backend *b, const bv_statement *statement, bv_store_trouble *trouble) {
    char name[16];
    wire w;
    const size_t count = statement->count;
    BV_ASSERT(count <= VALUES_MAX);
    if (statement->changed) *statement->changed = 0;
    BV_TRY(prepare(b, statement->sql, name, trouble));
    put_values(statement->values, count, &w);
    if (!bv_pq.sendQueryPrepared(b->connection, name, (int)count, w.bytes, w.sizes, w.formats, 0) ||
        !bv_pq.setSingleRowMode(b->connection))
        return fail_state(b, "", bv_pq.errorMessage(b->connection), trouble);
    bv_error *error = BV_OK;
    for (PGresult *result; (result = bv_pq.getResult(b->connection)); bv_pq.clear(result)) {
        if (error) continue; /* what comes after an error is only taken off the line */
        error = take_result(b, result, statement, trouble);
    }
    return error;
}

/* ---- rows ---- */

static PGresult *result_of(const bv_row *row) {
    return ((void **)row->at)[0];
}

static bool is_null(const bv_row *row, int column) {
    return bv_pq.getisnull(result_of(row), 0, column);
}

static const char *get_text(const bv_row *row, int column) {
    return bv_pq.getvalue(result_of(row), 0, column);
}

static int64_t get_int(const bv_row *row, int column) {
    const char *text = get_text(row, column);
    if (*text == 't') return 1; /* a boolean */
    return strtoll(text, NULL, 10);
}

static const void *get_blob(const bv_row *row, int column, size_t *size) {
    bv_backend *b = ((void **)row->at)[1];
    BV_ASSERT(column < COLUMNS_MAX);
    *size = 0;
    if (is_null(row, column)) return "";
    bv_pq.freemem(b->blobs[column]);
    b->blobs[column] = bv_pq.unescapeBytea((const unsigned char *)get_text(row, column), size);
    return b->blobs[column] ? (const void *)b->blobs[column] : "";
}

const bv_backend_calls bv_backend_postgres = {
    .open = open_backend,
    .close = close_backend,
    .check = check,
    .run = run,
    .script = script,
    .begin = {"BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN ISOLATION LEVEL READ COMMITTED"},
    .exclude = "SELECT pg_advisory_lock(4855723)",
    .include = "SELECT pg_advisory_unlock(4855723)",
    .is_null = is_null,
    .get_int = get_int,
    .get_text = get_text,
    .get_blob = get_blob,
};

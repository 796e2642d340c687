/*
 * SQLite: one connection to a file in WAL mode. Every transaction takes the write lock at its
 * beginning, so none fails later because another came first; who has to wait does so in SQLite for
 * BUSY_MS.
 */
#include "store/backend.h"

#include "base/clock.h"
#include "base/memory.h"
#include "store/dialect.h"
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BUSY_MS 5000
#define STATEMENTS 128

typedef struct known {
    char *sql; /* as it was given, before its words were replaced */
    sqlite3_stmt *prepared;
} known;

struct bv_backend {
    char *path;
    bool durable;
    uint64_t busy_until_ns; /* of the wait that is under way */
    sqlite3 *db;
    known statements[STATEMENTS]; /* by the text's hash; the latest wins */
};

/* ---- errors ---- */

static bv_error *fail_access(const bv_backend *b, int code, bv_store_trouble *trouble) {
    const char *text = b->db ? sqlite3_errmsg(b->db) : sqlite3_errstr(code);
    switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        *trouble = BV_STORE_WRONG;
        return bv_try(
            bv_fail(BV_CODE_INPUT, "%s is not a store, or it is damaged: %s", b->path, text),
            "another path, or a backup");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        *trouble = BV_STORE_WRONG;
        return bv_try(bv_fail(BV_CODE_IO, "%s may not be written: %s", b->path, text),
                      "its owner's account, and a folder that may be written too");
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
        *trouble = BV_STORE_GONE;
        return bv_try(bv_fail(BV_CODE_IO, "%s cannot be reached: %s", b->path, text),
                      "is its folder there, and its disk?");
    default:
        *trouble = BV_STORE_WRONG;
        return bv_fail(BV_CODE_FAULT, "%s: %s", b->path, text);
    }
}

static bv_error *fail_sqlite(const bv_backend *b, int code, bv_store_trouble *trouble) {
    if ((code & 0xff) == SQLITE_NOMEM) return bv_fail_memory("the store");
    if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED) {
        *trouble = BV_STORE_BUSY;
        return bv_try(bv_fail(BV_CODE_IO, "%s is locked by another program for more than %d s",
                              b->path, BUSY_MS / 1000),
                      "again later, or end the program that holds it");
    }
    if ((code & 0xff) == SQLITE_FULL) {
        *trouble = BV_STORE_FULL;
        return bv_try(bv_fail(BV_CODE_IO, "no space left for %s", b->path),
                      "free space on its disk");
    }
    /* SQLite tells only ENOSPC from other failed writes; a quota or a limit is as likely. */
    if (code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE) {
        *trouble = BV_STORE_FULL;
        return bv_try(bv_fail(BV_CODE_IO, "%s cannot grow: %s", b->path, sqlite3_errmsg(b->db)),
                      "free space, a larger quota, or a higher limit on file sizes (ulimit -f)");
    }
    if ((code & 0xff) == SQLITE_CONSTRAINT) {
        *trouble = BV_STORE_CONFLICT;
        return bv_fail(BV_CODE_INPUT, "%s: %s", b->path, sqlite3_errmsg(b->db));
    }
    return fail_access(b, code, trouble);
}

/* ---- lifetime ---- */

static void forget(known *k) {
    sqlite3_finalize(k->prepared);
    bv_free(k->sql);
    *k = (known){0};
}

static void close_db(bv_backend *b) {
    for (size_t i = 0; i < STATEMENTS; i++) forget(&b->statements[i]);
    sqlite3_close_v2(b->db);
    b->db = NULL;
}

static bv_status script(bv_backend *b, const char *sql, bv_store_trouble *trouble) {
    const int code = sqlite3_exec(b->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? BV_OK : fail_sqlite(b, code, trouble);
}

/* SQLite's own way of waiting gets slower with each try, and who came last is served first. By the
 * clock: on a busy machine a pause is longer than it should be. */
static int on_busy(void *context, int tries) {
    bv_backend *b = context;
    const uint64_t now_ns = bv_clock_ns();
    if (tries == 0) b->busy_until_ns = now_ns + BUSY_MS * UINT64_C(1000000);
    if (now_ns >= b->busy_until_ns) return 0;
    nanosleep(&(struct timespec){0, 1000000}, NULL);
    return 1;
}

/* A file that is gone is not made anew under our feet: `create` only the first time. */
static bv_status open_db(bv_backend *b, bool create, bv_store_trouble *trouble) {
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    const int code = sqlite3_open_v2(b->path, &b->db, flags, NULL);
    bv_error *error = code == SQLITE_OK ? BV_OK : fail_sqlite(b, code, trouble);
    if (!error) {
        sqlite3_extended_result_codes(b->db, 1);
        sqlite3_busy_handler(b->db, on_busy, b);
        error = script(b,
                       "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; "
                       "PRAGMA journal_size_limit = 67108864",
                       trouble);
    }
    if (!error)
        error = script(b, b->durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
                       trouble);
    if (error) close_db(b);
    return error;
}

static void close_backend(bv_backend *b) {
    close_db(b);
    bv_free(b->path);
    bv_free(b);
}

static bv_status open_backend(const char *url, bool durable, bool create, bv_backend **out,
                              bv_store_trouble *trouble) {
    bv_backend *b = bv_calloc(1, sizeof *b);
    char *path = bv_strdup(url);
    if (!b || !path) {
        bv_free(b);
        bv_free(path);
        return bv_fail_memory("a store");
    }
    b->path = path;
    b->durable = durable;
    bv_error *error = open_db(b, create, trouble);
    if (error)
        close_backend(b);
    else
        *out = b;
    return bv_while(error, "opening the store %s", url);
}

/* A file that was moved or removed would be written on, and lost. */
static bv_status check(bv_backend *b, bool again, bv_store_trouble *trouble) {
    int moved = 0;
    if (b->db) {
        sqlite3_file_control(b->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
        if (!moved) return BV_OK;
    }
    if (!again) {
        *trouble = BV_STORE_GONE;
        return bv_fail(BV_CODE_IO, "%s was moved or removed", b->path);
    }
    close_db(b);
    return open_db(b, false, trouble);
}

/* ---- statements ---- */

static bv_status prepare(bv_backend *b, const char *sql, sqlite3_stmt **out,
                         bv_store_trouble *trouble) {
    known *k = &b->statements[bv_backend_hash(sql) % STATEMENTS];
    bv_buffer text = {0};
    *out = k->prepared;
    if (k->sql && !strcmp(k->sql, sql)) return BV_OK;
    forget(k);
    k->sql = bv_strdup(sql);
    bv_error *error = k->sql ? bv_dialect_text(sql, false, &text) : bv_fail_memory("a statement");
    if (!error) {
        const int code =
            sqlite3_prepare_v3(b->db, text.data, -1, SQLITE_PREPARE_PERSISTENT, &k->prepared, NULL);
        if (code != SQLITE_OK) error = fail_sqlite(b, code, trouble);
    }
    if (error) forget(k);
    bv_buffer_free(&text);
    *out = k->prepared;
    return error;
}

/* SQLite counts named parameters in the order in which they stand, so $2 is found by its name. */
static int bind(sqlite3_stmt *s, size_t number, const bv_value *v) {
    char name[24];
    snprintf(name, sizeof name, "$%zu", number);
    const int at = sqlite3_bind_parameter_index(s, name);
    BV_ASSERT(at > 0); /* a value that the statement does not use */
    switch (v->type) {
    case BV_VALUE_NULL:
        return sqlite3_bind_null(s, at);
    case BV_VALUE_INT:
        return sqlite3_bind_int64(s, at, v->integer);
    case BV_VALUE_TEXT:
        return sqlite3_bind_text64(s, at, v->bytes, v->size, SQLITE_STATIC, SQLITE_UTF8);
    case BV_VALUE_BLOB:
        return sqlite3_bind_blob64(s, at, v->bytes ? v->bytes : "", v->size, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static bv_status run(bv_backend *b, const bv_statement *statement, bv_store_trouble *trouble) {
    sqlite3_stmt *s = NULL;
    BV_TRY(prepare(b, statement->sql, &s, trouble));
    const sqlite3_int64 before = sqlite3_total_changes64(b->db);
    int code = SQLITE_OK;
    bv_error *error = BV_OK;
    for (size_t i = 0; code == SQLITE_OK && i < statement->count; i++)
        code = bind(s, i + 1, &statement->values[i]);
    if (code == SQLITE_OK) code = sqlite3_step(s);
    for (int index = 0; code == SQLITE_ROW; index++) {
        const bv_row row = {&bv_backend_sqlite, s, index};
        if (statement->each) error = statement->each(statement->context, &row);
        if (error) break;
        code = sqlite3_step(s);
    }
    if (!error && code != SQLITE_DONE) error = fail_sqlite(b, code, trouble);
    if (statement->changed) *statement->changed = sqlite3_total_changes64(b->db) - before;
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return error;
}

/* ---- rows ---- */

static bool is_null(const bv_row *row, int column) {
    return sqlite3_column_type(row->at, column) == SQLITE_NULL;
}

static int64_t get_int(const bv_row *row, int column) {
    return sqlite3_column_int64(row->at, column);
}

static const char *get_text(const bv_row *row, int column) {
    const char *text = (const char *)sqlite3_column_text(row->at, column);
    return text ? text : "";
}

static const void *get_blob(const bv_row *row, int column, size_t *size) {
    const void *bytes = sqlite3_column_blob(row->at, column);
    *size = (size_t)sqlite3_column_bytes(row->at, column);
    return bytes ? bytes : "";
}

const bv_backend_calls bv_backend_sqlite = {
    .open = open_backend,
    .close = close_backend,
    .check = check,
    .run = run,
    .script = script,
    .begin = {"BEGIN IMMEDIATE", "BEGIN IMMEDIATE"},
    .is_null = is_null,
    .get_int = get_int,
    .get_text = get_text,
    .get_blob = get_blob,
};

/*
 * A small store: one SQL database behind one interface, SQLite in a file or PostgreSQL by a
 * connection string, chosen by the text given to bv_store_open. It binds typed values, keeps
 * prepared statements, runs transactions again when others were in the way, and says what is wrong
 * with cause and remedy. It builds no SQL and maps no objects.
 *
 *     BV_TRY(bv_store_exec(s, "INSERT INTO t (a, b) VALUES ($1, $2)",
 *                          BV_VALUES(bv_int(1), bv_text("x")), NULL));
 *     BV_TRY(bv_store_query(s, "SELECT b FROM t WHERE a = $1", BV_VALUES(bv_int(1)), each, &b));
 *
 * SQL is written for both: parameters are $1, $2 ...; what has no common spelling is a word in
 * braces, listed in dialect.h. Statements are cached by their text.
 *
 * A store is one connection and belongs to one thread at a time. A connection that was lost is made
 * again by the next call outside of a transaction. SQLite runs in WAL mode with synchronous=NORMAL
 * (a commit survives the death of the program; the last ones may not survive that of the machine)
 * unless opened durable.
 */
#ifndef BV_STORE_STORE_H
#define BV_STORE_STORE_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bv_store bv_store;

/* `url`: postgres://user@host/database or postgresql://..., else the path of a SQLite file, which
 * is made when absent. With `durable` every commit of SQLite is synced to the disk. */
bv_status bv_store_open(const char *url, bool durable, bv_store **out);
/* The same, but a file that is absent stays so, and is BV_STORE_GONE. */
bv_status bv_store_open_present(const char *url, bool durable, bv_store **out);
void bv_store_close(bv_store **store); /* NULL is legal */
bool bv_store_is_postgres(const bv_store *store);

/* Why the last call failed, so that a caller may wait, answer 503 or give up. */
typedef enum bv_store_trouble {
    BV_STORE_FINE = 0,
    BV_STORE_BUSY,     /* others were in the way for too long; worth trying again      */
    BV_STORE_FULL,     /* no space left                                                */
    BV_STORE_GONE,     /* the file or the server cannot be reached; worth trying again */
    BV_STORE_CONFLICT, /* a constraint (unique, foreign key, check) does not hold      */
    BV_STORE_WRONG,    /* anything else: the SQL, a type, a damaged file               */
} bv_store_trouble;
bv_store_trouble bv_store_last_trouble(const bv_store *store);

/* ---- values ---- */

typedef enum bv_value_type {
    BV_VALUE_NULL,
    BV_VALUE_INT,
    BV_VALUE_TEXT,
    BV_VALUE_BLOB
} bv_value_type;

typedef struct bv_value {
    bv_value_type type;
    int64_t integer;
    const char *bytes; /* borrowed for the call; of a text: valid UTF-8 without NUL */
    size_t size;
} bv_value;

bv_value bv_int(int64_t value);
bv_value bv_text(const char *text); /* NULL gives a null */
bv_value bv_blob(const void *bytes, size_t size);

#define BV_VALUES(...)                                                                             \
    (const bv_value[]){__VA_ARGS__}, sizeof((const bv_value[]){__VA_ARGS__}) / sizeof(bv_value)
#define BV_NO_VALUES NULL, 0

/* ---- statements ---- */

/* One statement. `changed` (or NULL) gets the number of rows that it inserted, changed or deleted.
 */
bv_status bv_store_exec(bv_store *store, const char *sql, const bv_value *values, size_t count,
                        int64_t *changed);

/* Calls `each` for each row, which may not use the store; an error from it ends the query. */
typedef struct bv_row bv_row;
typedef bv_status bv_store_row(void *context, const bv_row *row);
bv_status bv_store_query(bv_store *store, const char *sql, const bv_value *values, size_t count,
                         bv_store_row *each, void *context);

/* Columns of a row, from 0; borrowed until `each` returns. A null is 0 or "". */
bool bv_row_is_null(const bv_row *row, int column);
int64_t bv_row_int(const bv_row *row, int column);
const char *bv_row_text(const bv_row *row, int column);
const void *bv_row_blob(const bv_row *row, int column, size_t *size);

/* The first column of the first row as a whole number, 0 without a row; *found (or NULL) says
 * whether there was one. */
bv_status bv_store_query_int(bv_store *store, const char *sql, const bv_value *values, size_t count,
                             int64_t *out, bool *found);

/* ---- transactions and migrations ---- */

/* What others may do meanwhile. SQLite has one writer at a time, so both are the first there. */
typedef enum bv_store_isolation {
    BV_STORE_SERIALIZABLE, /* as if nobody else was there                                        */
    BV_STORE_LOCKED,       /* others change what was not locked by {for_update}: for hot tables  */
} bv_store_isolation;

/* Runs `work` in a transaction and commits it; an error rolls back. When others were in the way, or
 * the connection was lost before the commit, all of it is run again, for at most ten seconds:
 * `work` must do nothing outside of the store. Transactions do not nest. */
typedef bv_status bv_store_work(void *context, bv_store *store);
bv_status bv_store_transact(bv_store *store, bv_store_isolation isolation, bv_store_work *work,
                            void *context);

/* Brings the tables of a feature up to date: steps[i] (one or more statements) takes it from
 * version i to i + 1. Each is applied once, whoever comes at the same time; those that were applied
 * may not change. A store that a newer program has brought further is refused. */
bv_status bv_store_migrate(bv_store *store, const char *feature, const char *const *steps,
                           size_t count);

#endif

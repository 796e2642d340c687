/*
 * What a database must do for store.c, and what it reports. Inside src/store/ only.
 */
#ifndef BV_STORE_BACKEND_H
#define BV_STORE_BACKEND_H

#include "store/store.h"

typedef struct bv_backend bv_backend;

/* A row as a backend reads it: columns by its own means. */
struct bv_row {
    const struct bv_backend_calls *calls;
    void *at; /* the backend's */
    int index;
};

/* One statement, as somebody wants it run. */
typedef struct bv_statement {
    const char *sql; /* with words in braces (dialect.h) */
    const bv_value *values;
    size_t count;
    bv_store_row *each; /* NULL: nobody looks at rows */
    void *context;      /* of each */
    int64_t *changed;   /* rows; NULL: nobody asks */
} bv_statement;

typedef struct bv_backend_calls {
    /* The connection stands, or an error. Without `create` a file must be there. */
    bv_status (*open)(const char *url, bool durable, bool create, bv_backend **out,
                      bv_store_trouble *trouble);
    void (*close)(bv_backend *backend);
    /* Is the connection there? Made again if `again` (not inside of a transaction). */
    bv_status (*check)(bv_backend *backend, bool again, bv_store_trouble *trouble);
    /* Prepares it, or finds it prepared, and runs it. */
    bv_status (*run)(bv_backend *backend, const bv_statement *statement, bv_store_trouble *trouble);
    /* Runs statements of its own dialect without values or results, uncached. */
    bv_status (*script)(bv_backend *backend, const char *sql, bv_store_trouble *trouble);
    const char *begin[2]; /* starts a transaction that may write, by its isolation */
    /* Before and after a migration, so that no other runs; NULL: a transaction is enough. */
    const char *exclude, *include;
    bool (*is_null)(const bv_row *row, int column);
    int64_t (*get_int)(const bv_row *row, int column);
    const char *(*get_text)(const bv_row *row, int column);
    const void *(*get_blob)(const bv_row *row, int column, size_t *size);
} bv_backend_calls;

/* FNV-1a: which slot of a cache a text may stand in. */
static inline uint64_t bv_backend_hash(const char *text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

extern const bv_backend_calls bv_backend_sqlite, bv_backend_postgres;

#endif

/*
 * Both stores for tests that run on each: a SQLite file in a folder of the test's own, and a
 * PostgreSQL server where its binaries are installed. A group's setup is stores_begin, its teardown
 * stores_end. For tests only.
 */
#ifndef BV_TESTS_SUPPORT_STORES_H
#define BV_TESTS_SUPPORT_STORES_H

#include "support/check.h"

#include "store/store.h"
#include "support/postgres.h"

static postgres server;
static char *folder, file[4200];
static const char *urls[2];
static size_t url_count;

static inline int stores_begin(void **state) {
    (void)state;
    folder = make_folder();
    snprintf(file, sizeof file, "%s/store.db", folder);
    urls[url_count++] = file;
    if (postgres_begin(&server))
        urls[url_count++] = server.url;
    else
        print_message("PostgreSQL's server is not installed: only SQLite is tested\n");
    return 0;
}

static inline int stores_end(void **state) {
    (void)state;
    postgres_end(&server);
    remove_folder(folder);
    return 0;
}

/* The number that a query gives. */
static inline int64_t number(bv_store *s, const char *sql) {
    int64_t value;
    bool found;
    assert_ok(bv_store_query_int(s, sql, BV_NO_VALUES, &value, &found));
    assert_true(found);
    return value;
}

#endif

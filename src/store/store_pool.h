/*
 * A few connections to one store for many threads: each takes one, uses it alone, and gives it
 * back. Thread-safe.
 */
#ifndef BV_STORE_STORE_POOL_H
#define BV_STORE_STORE_POOL_H

#include "store/store.h"

typedef struct bv_store_pool bv_store_pool;

/* At most `max` durable connections, each opened when it is first needed; the first one now. */
bv_status bv_store_pool_create(const char *url, int max, bv_store_pool **out);
void bv_store_pool_destroy(bv_store_pool **pool); /* all are given back; NULL is legal */

/* Waits while all are in use. */
bv_status bv_store_pool_take(bv_store_pool *pool, bv_store **out);
void bv_store_pool_give(bv_store_pool *pool, bv_store *store);

#endif

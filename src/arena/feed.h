/*
 * The feed: tells clients, by event streams, how their submissions go. One thread looks into the
 * store, so the server's thread never waits for a database: at once at what it is told of, and at
 * everything each period, since judges may be other processes.
 */
#ifndef BV_ARENA_FEED_H
#define BV_ARENA_FEED_H

#include "http/exchange.h"
#include "store/store_pool.h"

typedef struct bv_feed bv_feed;
bv_status bv_feed_create(bv_store_pool *stores, int period_ms, bv_feed **out);
/* Takes the exchange over: begins its stream, sends "state" with the submission as JSON now and at
 * each change, "verdict" at the end, and finishes it. Thread-safe. */
void bv_feed_watch(bv_feed *feed, bv_http_exchange *x, int64_t user_id, int64_t submission_id);
/* There is news of this submission in the store. Thread-safe, does not wait. */
void bv_feed_tell(bv_feed *feed, int64_t submission_id);
/* Ends all streams; later ones end at once. Thread-safe, does not wait. */
void bv_feed_close(bv_feed *feed);
void bv_feed_destroy(bv_feed **feed); /* NULL is legal */

#endif

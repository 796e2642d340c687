/* What a site is made of: shared by site.c (lifetime), site_api.c (the API), and site_page.c (the
 * page). */
#ifndef BV_ARENA_SITE_STATE_H
#define BV_ARENA_SITE_STATE_H

#include "arena/feed.h"
#include "arena/signups.h"
#include "arena/site.h"
#include "store/store_pool.h"
#include <pthread.h>

struct bv_site {
    bv_site_options options;
    bv_http_server *server;
    bv_store_pool *stores;
    bv_feed *feed;
    bv_signups *signups;
    /* the scoreboard as it was a moment ago, so that many readers cost one query */
    pthread_mutex_t lock;
    bv_buffer scoreboard;         /* its JSON, but for the asker's own row and the last brace */
    bv_buffer order;              /* as bv_scoreboard_order makes it */
    uint64_t scoreboard_until_ns; /* then it is made anew */
};

extern const bv_http_route bv_site_routes[];
extern const size_t bv_site_route_count;

/* The page's files (site_page.c). */
void bv_site_get_page(void *context, bv_http_exchange *x);
void bv_site_get_script(void *context, bv_http_exchange *x);
void bv_site_get_style(void *context, bv_http_exchange *x);

#endif

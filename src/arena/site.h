/*
 * The arena's site: a page and an HTTP API over a store (docs/arena-api.md). Several sites may
 * serve one store. Handlers run on worker threads with connections of their own; levels do not
 * change while a site runs.
 */
#ifndef BV_ARENA_SITE_H
#define BV_ARENA_SITE_H

#include "arena/submissions.h"
#include "http/server.h"

/* What is shown of a level. Texts are borrowed until the site is destroyed. */
typedef struct bv_site_level {
    const char *name, *title, *statement;
    const char *const *languages;
    size_t language_count;
    int64_t points, deadline_ms; /* since 1970; 0: none */
    json_t *examples; /* visible tests: a list of {name, input, output or null}; borrowed */
    json_t *limits;   /* an object to show; borrowed, NULL: none */
} bv_site_level;

typedef struct bv_site_options {
    const char *store; /* as for bv_store_open */
    const char *host;
    int port;
    const bv_site_level *levels;
    size_t level_count;
    bv_submission_limits limits;
    int signups_per_hour;        /* of one address; 0: no limit */
    int connections;             /* 0: the server's own limit */
    int connections_per_address; /* 0: the server's own limit; not behind a proxy */
    bool proxied; /* clients are those that X-Forwarded-For ends with, whose proxy is trusted */
    int feed_period_ms; /* between looks at what other processes judge (feed.h); 0: 50 */
    bv_http_log *log;
    bool (*tick)(void *context);      /* as in server.h */
    void (*submitted)(void *context); /* something was handed in; NULL: nobody waits. Any thread */
    void (*trouble)(void *context, const char *text); /* of the store; NULL: untold. Any thread */
    void *context;                                    /* of log, tick, submitted and trouble */
} bv_site_options;

typedef struct bv_site bv_site;
bv_status bv_site_create(const bv_site_options *options, bv_site **out); /* listens */
int bv_site_port(const bv_site *site);
bv_status bv_site_run(bv_site *site); /* until it is stopped, or tick says false */
/* The state of this submission has changed: who follows it is told at once. From any thread. */
void bv_site_tell(bv_site *site, int64_t submission_id);
void bv_site_stop(bv_site *site);     /* from any thread */
void bv_site_destroy(bv_site **site); /* after run; NULL is legal */

#endif

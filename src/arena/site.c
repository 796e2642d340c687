#include "arena/site.h"

#include "arena/site_state.h"
#include "base/memory.h"

#define STORES 5 /* libuv's four workers, and the feed */
#define FEED_PERIOD_MS 50

static bool on_tick(void *context) {
    bv_site *site = context;
    if (!site->options.tick || site->options.tick(site->options.context)) return true;
    bv_feed_close(site->feed);
    return false;
}

static void on_log(void *context, const bv_http_log_line *line) {
    bv_site *site = context;
    if (site->options.log) site->options.log(site->options.context, line);
}

static bv_status prepare_tables(bv_site *site) {
    bv_store *s;
    BV_TRY(bv_store_pool_take(site->stores, &s));
    bv_error *error = bv_arena_tables_prepare(s);
    bv_store_pool_give(site->stores, s);
    return error;
}

static bv_status build(bv_site *site) {
    const bv_site_options *o = &site->options;
    bv_http_options http = {.host = o->host,
                            .port = o->port,
                            .limits = BV_HTTP_LIMITS_DEFAULT,
                            .routes = bv_site_routes,
                            .route_count = bv_site_route_count,
                            .context = site,
                            .log = on_log,
                            .tick = on_tick};
    if (o->connections) http.limits.connections = o->connections;
    if (o->proxied)
        http.limits.connections_per_address = 0;
    else if (o->connections_per_address)
        http.limits.connections_per_address = o->connections_per_address;
    /* First, so that a bad address leaves no store. */
    BV_TRY(bv_http_server_create(&http, &site->server));
    BV_TRY(bv_store_pool_create(o->store, STORES, &site->stores));
    BV_TRY(prepare_tables(site));
    BV_TRY(bv_signups_create(o->signups_per_hour, &site->signups));
    const int period = o->feed_period_ms ? o->feed_period_ms : FEED_PERIOD_MS;
    return bv_feed_create(site->stores, period, &site->feed);
}

bv_status bv_site_create(const bv_site_options *options, bv_site **out) {
    bv_site *site = bv_calloc(1, sizeof *site);
    if (!site) return bv_fail_memory("a site");
    site->options = *options;
    pthread_mutex_init(&site->lock, NULL);
    *out = site;
    bv_error *error = build(site);
    if (error) bv_site_destroy(out);
    return error;
}

int bv_site_port(const bv_site *site) {
    return bv_http_server_port(site->server);
}

bv_status bv_site_run(bv_site *site) {
    return bv_http_server_run(site->server);
}

void bv_site_tell(bv_site *site, int64_t submission_id) {
    bv_feed_tell(site->feed, submission_id);
}

void bv_site_stop(bv_site *site) {
    bv_feed_close(site->feed);
    bv_http_server_stop(site->server);
}

void bv_site_destroy(bv_site **site) {
    bv_site *s = *site;
    if (!s) return;
    bv_feed_destroy(&s->feed);
    bv_http_server_destroy(&s->server);
    bv_signups_destroy(&s->signups);
    bv_store_pool_destroy(&s->stores);
    bv_buffer_free(&s->scoreboard);
    bv_buffer_free(&s->order);
    pthread_mutex_destroy(&s->lock);
    bv_free(s);
    *site = NULL;
}

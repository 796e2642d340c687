/*
 * The API: each handler checks what it was given, takes a connection, and answers once. Trouble of
 * the store is 503 with Retry-After when waiting may help. Levels need no store, and no worker that
 * may be waiting for it.
 */
#include "arena/accounts.h"
#include "arena/level.h"
#include "arena/queue.h"
#include "arena/scoreboard.h"
#include "arena/site_state.h"
#include "base/clock.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

#define BODY_BYTES_MAX (6 * BV_SOURCE_BYTES_MAX + 4096) /* each byte may be escaped */
#define LIMIT_SECONDS 2 /* until one whose submissions are too many may ask again */
#define SCOREBOARD_ROWS 200
#define SCOREBOARD_NS UINT64_C(1000000000) /* how long one serves all who ask, and at least */
#define SCOREBOARD_SHARE 9                 /* so many times as long as it took to make      */

/* ---- what handlers share ---- */

/* Of our trouble clients learn whether waiting helps; the rest is the operator's: it says where the
 * arena keeps what. */
static void answer_trouble(const bv_site *site, bv_http_exchange *x, bv_store_trouble trouble,
                           const bv_error *error) {
    const bv_site_options *o = &site->options;
    if (o->trouble) o->trouble(o->context, bv_error_text(error));
    if (bv_error_code(error) == BV_CODE_MEMORY)
        bv_http_reply_error(x, 503, "the arena is out of memory");
    else if (trouble == BV_STORE_BUSY)
        bv_http_reply_error(x, 503, "the arena's store is busy");
    else if (trouble == BV_STORE_FULL)
        bv_http_reply_error(x, 503, "the arena's store is full");
    else if (trouble == BV_STORE_GONE)
        bv_http_reply_error(x, 503, "the arena's store cannot be reached");
    else
        bv_http_reply_error(x, 500, "the arena is at fault, and its operator is told");
}

/* The answer for an error of the store or of the request; frees the error. */
static void fail(const bv_site *site, bv_http_exchange *x, const bv_store *s, bv_error *error) {
    const bv_store_trouble trouble = s ? bv_store_last_trouble(s) : BV_STORE_GONE;
    const bv_code code = bv_error_code(error);
    const bool wrong = code == BV_CODE_USAGE || code == BV_CODE_INPUT;
    if (wrong && trouble == BV_STORE_FINE) {
        bv_http_reply_failure(x, 400, error);
        return;
    }
    answer_trouble(site, x, trouble, error);
    bv_error_free(&error);
}

typedef bv_status with_store(bv_site *site, bv_http_exchange *x, bv_store *s);

/* Lends a connection to `work`, which has answered when it returns success, and not otherwise. */
static void serve(bv_site *site, bv_http_exchange *x, with_store *work) {
    bv_store *s = NULL;
    bv_error *error = bv_store_pool_take(site->stores, &s);
    if (!error) error = work(site, x, s);
    if (error) fail(site, x, s, error);
    if (s) bv_store_pool_give(site->stores, s);
}

/* Who asks, by the key; *found is false for anybody else. */
static bv_status look_for_user(bv_http_exchange *x, bv_store *s, bv_account *user, bool *found) {
    const char *header = bv_http_request_header(bv_http_exchange_request(x), "authorization");
    *found = false;
    if (!header || strncasecmp(header, "Bearer ", 7) != 0) return BV_OK;
    return bv_account_find(s, header + 7, user, found);
}

/* False: there is no such user, and that has been answered. */
static bv_status find_user(bv_http_exchange *x, bv_store *s, bv_account *user, bool *found) {
    const char *header = bv_http_request_header(bv_http_exchange_request(x), "authorization");
    BV_TRY(look_for_user(x, s, user, found));
    if (!*found)
        bv_http_reply_error(x, 401,
                            header ? "the key is not known"
                                   : "a key is needed: "
                                     "\"Authorization: Bearer KEY\"");
    return BV_OK;
}

static const bv_site_level *find_level(const bv_site *site, bv_http_exchange *x) {
    const char *name = bv_http_exchange_parameter(x, "level");
    for (size_t i = 0; i < site->options.level_count; i++)
        if (!strcmp(site->options.levels[i].name, name)) return &site->options.levels[i];
    bv_http_reply_error(x, 404, "there is no level \"%.100s\"", name);
    return NULL;
}

/* False: answered with 400. */
static bool get_text(bv_http_exchange *x, const json_t *body, const char *key, const char **out) {
    bv_error *error = bv_json_get_string(body, key, out);
    if (error) bv_http_reply_failure(x, 400, error);
    return !error;
}

static bool parse_id(bv_http_exchange *x, int64_t *id) {
    bv_error *error = bv_parse_int("a submission's number", bv_http_exchange_parameter(x, "id"), 1,
                                   INT64_MAX, id);
    if (error) bv_http_reply_failure(x, 404, error);
    return !error;
}

/* ---- levels ---- */

static json_t *level_json(const bv_site_level *l, bool whole) {
    json_t *languages = json_array();
    for (size_t i = 0; i < l->language_count; i++)
        json_array_append_new(languages, json_string(l->languages[i]));
    json_t *o = json_pack("{ss ss sI so so}", "name", l->name, "title", l->title, "points",
                          (json_int_t)l->points, "languages", languages, "deadline_ms",
                          l->deadline_ms ? json_integer(l->deadline_ms) : json_null());
    if (!whole) return o;
    json_object_set_new(o, "statement", json_string(l->statement));
    /* Copies: a value's count of references belongs to one thread. */
    json_object_set_new(o, "examples", l->examples ? json_deep_copy(l->examples) : json_array());
    json_object_set_new(o, "limits", l->limits ? json_deep_copy(l->limits) : json_null());
    return o;
}

static void get_levels(void *context, bv_http_exchange *x) {
    const bv_site *site = context;
    json_t *list = json_array();
    for (size_t i = 0; i < site->options.level_count; i++)
        json_array_append_new(list, level_json(&site->options.levels[i], false));
    bv_http_reply_json(x, 200, json_pack("{so}", "levels", list));
}

static void get_level(void *context, bv_http_exchange *x) {
    const bv_site_level *level = find_level(context, x);
    if (level) bv_http_reply_json(x, 200, level_json(level, true));
}

/* ---- accounts ---- */

/* Whose request it is. A proxy adds whom it saw to the end of what it was told. */
static const char *client_address(const bv_site *site, bv_http_exchange *x) {
    const char *address = bv_http_exchange_address(x);
    const bv_http_request *r = bv_http_exchange_request(x);
    for (size_t i = 0; site->options.proxied && i < r->header_count; i++) {
        if (strcmp(r->headers[i].name, "x-forwarded-for") != 0) continue;
        const char *comma = strrchr(r->headers[i].value, ',');
        address = comma ? comma + 1 : r->headers[i].value;
    }
    return address + strspn(address, " \t");
}

static bv_status sign_up(bv_site *site, bv_http_exchange *x, bv_store *s, const char *name,
                         const char *kind) {
    bv_account account;
    char key[BV_ACCOUNT_KEY_SIZE];
    if (strcmp(kind, "person") != 0 && strcmp(kind, "model") != 0)
        return bv_fail(BV_CODE_USAGE, "\"kind\" must be \"person\" or \"model\"");
    const uint64_t wait = bv_signups_wait(site->signups, client_address(site, x), bv_clock_ns());
    if (wait) {
        bv_http_reply_limit(x, 1 + wait / 1000000000, "too many sign-ups from your address");
        return BV_OK;
    }
    BV_TRY(bv_account_create(s, name, !strcmp(kind, "model"), &account, key));
    bv_http_reply_json(x, 201,
                       json_pack("{sI ss ss ss}", "id", (json_int_t)account.id, "name",
                                 account.name, "kind", kind, "key", key));
    return BV_OK;
}

static bv_status do_sign_up(bv_site *site, bv_http_exchange *x, bv_store *s) {
    json_t *body;
    const char *name, *kind = "person";
    bv_error *error = BV_OK;
    if (!bv_http_exchange_json(x, &body)) return BV_OK;
    if (get_text(x, body, "name", &name) &&
        (!json_object_get(body, "kind") || get_text(x, body, "kind", &kind)))
        error = sign_up(site, x, s, name, kind);
    json_decref(body);
    return error;
}

static bv_status do_me(bv_site *site, bv_http_exchange *x, bv_store *s) {
    bv_account user;
    bool found;
    json_t *row;
    (void)site;
    BV_TRY(find_user(x, s, &user, &found));
    if (!found) return BV_OK;
    BV_TRY(bv_scoreboard_user_json(s, user.id, &row));
    const json_t *scores = json_object_get(row, "levels");
    bv_http_reply_json(x, 200,
                       json_pack("{sI ss ss so}", "id", (json_int_t)user.id, "name", user.name,
                                 "kind", user.is_model ? "model" : "person", "levels",
                                 scores ? json_deep_copy(scores) : json_object()));
    json_decref(row);
    return BV_OK;
}

/* ---- submissions ---- */

static bv_status submit(bv_site *site, bv_http_exchange *x, bv_store *s, const bv_site_level *level,
                        int64_t user_id, const json_t *body) {
    int64_t id;
    const char *language, *source, *why;
    if (!get_text(x, body, "language", &language) || !get_text(x, body, "source", &source))
        return BV_OK;
    bool accepted = false;
    for (size_t i = 0; i < level->language_count; i++)
        accepted = accepted || !strcmp(language, level->languages[i]);
    const size_t size = strlen(source);
    if (!accepted)
        return bv_fail(BV_CODE_USAGE, "\"%.40s\" is no language of this level", language);
    if (!size) return bv_fail(BV_CODE_USAGE, "the source is empty");
    if (size > BV_SOURCE_BYTES_MAX) {
        bv_http_reply_error(x, 413, "the source has more than %u bytes", BV_SOURCE_BYTES_MAX);
        return BV_OK;
    }
    const bv_submission submission = {user_id, level->name, language, source, size};
    BV_TRY(bv_submission_create(s, &submission, &site->options.limits, &id, &why));
    if (id && site->options.submitted) site->options.submitted(site->options.context);
    if (!id)
        bv_http_reply_limit(x, LIMIT_SECONDS, "%s", why);
    else
        bv_http_reply_json(x, 202,
                           json_pack("{sI ss ss}", "id", (json_int_t)id, "level", level->name,
                                     "state", bv_submission_state_name(BV_SUBMISSION_WAITING)));
    return BV_OK;
}

static bv_status do_submit(bv_site *site, bv_http_exchange *x, bv_store *s) {
    bv_account user;
    bool found;
    json_t *body;
    const bv_site_level *level = find_level(site, x);
    if (!level) return BV_OK;
    if (level->deadline_ms && bv_clock_wall_ms() > level->deadline_ms) {
        bv_http_reply_error(x, 403, "the deadline of \"%s\" has passed", level->title);
        return BV_OK;
    }
    /* Before the body is read, which takes most. */
    BV_TRY(find_user(x, s, &user, &found));
    if (!found || !bv_http_exchange_json(x, &body)) return BV_OK;
    bv_error *error = submit(site, x, s, level, user.id, body);
    json_decref(body);
    return error;
}

static bv_status do_list(bv_site *site, bv_http_exchange *x, bv_store *s) {
    bv_account user;
    bool found;
    json_t *list;
    (void)site;
    BV_TRY(find_user(x, s, &user, &found));
    if (!found) return BV_OK;
    BV_TRY(bv_submission_list_json(s, user.id, 50, &list));
    bv_http_reply_json(x, 200, json_pack("{so}", "submissions", list));
    return BV_OK;
}

static bv_status do_show(bv_site *site, bv_http_exchange *x, bv_store *s) {
    bv_account user;
    bool found;
    int64_t id;
    json_t *value;
    (void)site;
    BV_TRY(find_user(x, s, &user, &found));
    if (!found || !parse_id(x, &id)) return BV_OK;
    BV_TRY(bv_submission_json(s, user.id, id, true, &value, NULL));
    if (value)
        bv_http_reply_json(x, 200, value);
    else
        bv_http_reply_error(x, 404, "you have no submission %lld", (long long)id);
    return BV_OK;
}

static bv_status do_events(bv_site *site, bv_http_exchange *x, bv_store *s) {
    bv_account user;
    bool found;
    int64_t id, state;
    BV_TRY(find_user(x, s, &user, &found));
    if (!found || !parse_id(x, &id)) return BV_OK;
    BV_TRY(bv_submission_state_of(s, user.id, id, &state));
    if (state >= 0)
        bv_feed_watch(site->feed, x, user.id, id);
    else
        bv_http_reply_error(x, 404, "you have no submission %lld", (long long)id);
    return BV_OK;
}

/* ---- everybody ---- */

static bv_status make_scoreboard(bv_store *s, bv_buffer *text, bv_buffer *order) {
    json_t *rows;
    BV_TRY(bv_scoreboard_order(s, order));
    BV_TRY(bv_scoreboard_json(s, SCOREBOARD_ROWS, &rows));
    bv_buffer_printf(text, "{\"count\": %zu, \"users\": ", order->size / sizeof(int64_t));
    bv_error *error = bv_json_text(rows, 0, text);
    json_decref(rows);
    return error ? error : bv_buffer_error(text);
}

static bv_status refresh_scoreboard(bv_site *site, bv_store *s) {
    const uint64_t begin = bv_clock_ns();
    bv_buffer text = {0}, order = {0};
    bv_error *error = make_scoreboard(s, &text, &order);
    if (error) {
        bv_buffer_free(&text);
        bv_buffer_free(&order);
        return error;
    }
    bv_buffer_free(&site->scoreboard);
    bv_buffer_free(&site->order);
    site->scoreboard = text;
    site->order = order;
    const uint64_t end = bv_clock_ns(), rest = SCOREBOARD_SHARE * (end - begin);
    site->scoreboard_until_ns = end + (rest > SCOREBOARD_NS ? rest : SCOREBOARD_NS);
    return BV_OK;
}

/* 0: not there. Under the lock. */
static json_int_t rank_of(const bv_site *site, int64_t user_id) {
    const int64_t *order = (const int64_t *)site->order.data;
    const size_t count = site->order.size / sizeof *order;
    for (size_t i = 0; i < count; i++)
        if (order[i] == user_id) return (json_int_t)i + 1;
    return 0;
}

/* The asker's own row, wherever it stands; `me` is NULL for one who has none. Takes `me`. */
static bv_status answer_scoreboard(const bv_site *site, bv_http_exchange *x, json_t *me,
                                   int64_t user_id) {
    bv_buffer text = {0};
    const json_int_t rank = me ? rank_of(site, user_id) : 0;
    bv_buffer_append(&text, site->scoreboard.data, site->scoreboard.size);
    bv_error *error = BV_OK;
    if (rank) {
        json_object_set_new(me, "rank", json_integer(rank));
        bv_buffer_text(&text, ", \"me\": ");
        error = bv_json_text(me, 0, &text);
    }
    bv_buffer_text(&text, "}");
    if (!error) error = bv_buffer_error(&text);
    if (!error)
        bv_http_reply(x, &(bv_http_answer){.status = 200,
                                           .type = "application/json",
                                           .body = text.data,
                                           .size = text.size,
                                           .headers = "Cache-Control: no-store\r\n"});
    bv_buffer_free(&text);
    json_decref(me);
    return error;
}

/* Under the lock: who comes while it is made waits for it instead of making it too. */
static bv_status do_scoreboard(bv_site *site, bv_http_exchange *x, bv_store *s) {
    bv_account user = {0};
    bool found;
    json_t *me = NULL;
    BV_TRY(look_for_user(x, s, &user, &found));
    if (found) BV_TRY(bv_scoreboard_user_json(s, user.id, &me));
    bv_error *error = BV_OK;
    pthread_mutex_lock(&site->lock);
    if (!site->scoreboard.size || bv_clock_ns() > site->scoreboard_until_ns)
        error = refresh_scoreboard(site, s);
    if (!error)
        error = answer_scoreboard(site, x, me, user.id);
    else
        json_decref(me);
    pthread_mutex_unlock(&site->lock);
    return error;
}

static bv_status do_health(bv_site *site, bv_http_exchange *x, bv_store *s) {
    bv_queue_size size;
    (void)site;
    BV_TRY(bv_queue_measure(s, &size));
    bv_http_reply_json(x, 200,
                       json_pack("{sb sI sI}", "ok", 1, "waiting", (json_int_t)size.waiting,
                                 "running", (json_int_t)size.running));
    return BV_OK;
}

#define HANDLER(name)                                                                              \
    static void handle_##name(void *context, bv_http_exchange *x) {                                \
        serve(context, x, do_##name);                                                              \
    }
HANDLER(sign_up)
HANDLER(me)
HANDLER(submit)
HANDLER(list)
HANDLER(show)
HANDLER(events)
HANDLER(scoreboard)
HANDLER(health)

const bv_http_route bv_site_routes[] = {
    {"GET", "/", bv_site_get_page, false, 0},
    {"GET", "/arena.js", bv_site_get_script, false, 0},
    {"GET", "/arena.css", bv_site_get_style, false, 0},
    {"GET", "/api/levels", get_levels, false, 0},
    {"GET", "/api/levels/:level", get_level, false, 0},
    {"POST", "/api/levels/:level/submissions", handle_submit, true, BODY_BYTES_MAX},
    {"POST", "/api/users", handle_sign_up, true, 4096},
    {"GET", "/api/me", handle_me, true, 0},
    {"GET", "/api/submissions", handle_list, true, 0},
    {"GET", "/api/submissions/:id", handle_show, true, 0},
    {"GET", "/api/submissions/:id/events", handle_events, true, 0},
    {"GET", "/api/scoreboard", handle_scoreboard, true, 0},
    {"GET", "/api/health", handle_health, true, 0},
};
const size_t bv_site_route_count = sizeof bv_site_routes / sizeof *bv_site_routes;

/*
 * The site over HTTP with judges in the same process, whose judging is a fake that sleeps for as
 * many milliseconds as the source says: the API as a client sees it, and fairness while ten users
 * flood.
 */
#include "support/check.h"

#include "arena/judges.h"
#include "arena/site.h"
#include "base/clock.h"
#include "http/client.h"
#include "support/wire.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static char *folder, store[4200], url[40];
static bv_site *site;
static bv_judges *judges;
static pthread_t thread;
static json_t *examples;
static bool proxied;

static const char *const languages[] = {"c", "python"};
static bv_site_level levels[] = {
    {.name = "echo",
     .title = "Echo",
     .statement = "Say it again.",
     .languages = languages,
     .language_count = 2,
     .points = 10},
    {.name = "past",
     .title = "Past",
     .statement = "Too late.",
     .languages = languages,
     .language_count = 1,
     .points = 20,
     .deadline_ms = 1000},
};

static _Atomic bool held; /* judgings of sources that say so do not end */

static void sleep_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static bv_status fake(void *context, const bv_lease *lease, bv_judged *out) {
    (void)context;
    sleep_ms((int)strtol(lease->source.data, NULL, 10));
    while (held && strstr(lease->source.data, "held")) sleep_ms(1);
    const bool wrong = strstr(lease->source.data, "wrong") != NULL;
    snprintf(out->verdict, sizeof out->verdict, wrong ? "wrong-answer" : "accepted");
    out->points = 10;
    out->score = wrong ? 0 : 10;
    bv_buffer_text(&out->detail, "{\"message\": \"judged\"}");
    return BV_OK;
}

static void *serve(void *context) {
    bv_error *error = bv_site_run(context);
    bv_error_free(&error);
    return NULL;
}

static void on_change(void *context, int64_t submission_id) {
    (void)context;
    bv_site_tell(site, submission_id);
}

static void on_submission(void *context) {
    (void)context;
    bv_judges_wake(judges);
}

static char trouble[2000]; /* what the operator was told last */

static void on_trouble(void *context, const char *text) {
    (void)context;
    snprintf(trouble, sizeof trouble, "%s", text);
}

#define HOUR_MS 3600000

/* Site and judges look for news by themselves, or (`told`) only when they tell each other. */
static void begin(bv_submission_limits limits, int signups, bool told) {
    folder = make_folder();
    snprintf(store, sizeof store, "%s/arena.db", folder);
    examples = json_pack("[{ss ss ss}]", "name", "1", "input", "a\n", "output", "a\n");
    levels[0].examples = examples;
    const bv_site_options options = {.store = store,
                                     .levels = levels,
                                     .level_count = 2,
                                     .limits = limits,
                                     .signups_per_hour = signups,
                                     .proxied = proxied,
                                     .feed_period_ms = told ? HOUR_MS : 0,
                                     .submitted = told ? on_submission : NULL,
                                     .trouble = on_trouble};
    assert_ok(bv_site_create(&options, &site));
    snprintf(url, sizeof url, "http://127.0.0.1:%d", bv_site_port(site));
    const bv_judges_options judging = {.store = store,
                                       .name = "test",
                                       .threads = 2,
                                       .poll_ms = told ? HOUR_MS : 0,
                                       .judge = fake,
                                       .changed = told ? on_change : NULL};
    assert_ok(bv_judges_start(&judging, &judges));
    assert_int_equal(pthread_create(&thread, NULL, serve, site), 0);
}

static void begin_site(bv_submission_limits limits, int signups) {
    begin(limits, signups, false);
}

static void end_site(void) {
    bv_judges_stop(&judges);
    bv_site_stop(site);
    pthread_join(thread, NULL);
    bv_site_destroy(&site);
    json_decref(examples);
    remove_folder(folder);
}

/* ---- a client ---- */

typedef struct user {
    bv_http_client *client;
    char headers[128];
} user;

/* Calls, and gives the JSON of the answer (free with json_decref). */
static int call(user *u, const char *path, json_t *body, json_t **out) {
    bv_buffer text = {0};
    bv_http_result r;
    if (body) assert_ok(bv_json_text(body, 0, &text));
    json_decref(body);
    assert_ok(bv_http_client_call(
        u->client,
        &(bv_http_call){.path = path, .body = text.data, .size = text.size, .headers = u->headers},
        &r));
    if (out) assert_ok(bv_json_parse(r.body.data, r.body.size, path, out));
    const int status = r.status;
    bv_http_result_free(&r);
    bv_buffer_free(&text);
    return status;
}

static void expect(user *u, const char *path, json_t *body, int status, const char *message) {
    json_t *answer;
    assert_int_equal(call(u, path, body, &answer), status);
    const json_t *error = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(error, "message"));
    assert_non_null(text);
    if (!strstr(text, message)) fail_msg("\"%s\" instead of \"%s\"", text, message);
    json_decref(answer);
}

/* A sign-up too many is told when the hour is over. */
static void expect_a_limit(user *u) {
    static const char name[] = "\r\nRetry-After: ";
    bv_http_result r;
    const bv_http_call call = {.path = "/api/users", .body = "{\"name\": \"Bob\"}", .size = 15};
    assert_ok(bv_http_client_call(u->client, &call, &r));
    assert_int_equal(r.status, 429);
    const char *at = strstr(r.head.data, name);
    assert_non_null(at);
    assert_in_range(strtol(at + sizeof name - 1, NULL, 10), 3000, 3600);
    bv_http_result_free(&r);
}

static void sign_up(user *u, const char *name, const char *kind) {
    json_t *answer;
    *u = (user){0};
    assert_ok(bv_http_client_create(url, &u->client));
    assert_int_equal(
        call(u, "/api/users", json_pack("{ss ss}", "name", name, "kind", kind), &answer), 201);
    snprintf(u->headers, sizeof u->headers, "Authorization: Bearer %s\r\n",
             json_string_value(json_object_get(answer, "key")));
    json_decref(answer);
}

static json_t *solution(const char *source) {
    return json_pack("{ss ss}", "language", "c", "source", source);
}

static int64_t submit(user *u, const char *source) {
    json_t *answer;
    assert_int_equal(call(u, "/api/levels/echo/submissions", solution(source), &answer), 202);
    const int64_t id = json_integer_value(json_object_get(answer, "id"));
    json_decref(answer);
    return id;
}

static bool collect(void *context, const char *bytes, size_t size) {
    bv_buffer_append(context, bytes, size);
    return true;
}

typedef bool piece_call(void *context, const char *bytes, size_t size);

/* Follows the events to their end. */
static void follow_by(user *u, int64_t id, piece_call *piece, bv_buffer *events) {
    char path[64];
    bv_http_result r;
    snprintf(path, sizeof path, "/api/submissions/%lld/events", (long long)id);
    assert_ok(bv_http_client_call(
        u->client,
        &(bv_http_call){.path = path, .headers = u->headers, .piece = piece, .context = events},
        &r));
    assert_int_equal(r.status, 200);
    bv_http_result_free(&r);
}

/* Seconds until the verdict. */
static double follow(user *u, int64_t id, bv_buffer *events) {
    const double began = bv_clock_seconds();
    follow_by(u, id, collect, events);
    assert_non_null(strstr(events->data, "event: verdict\n"));
    return bv_clock_seconds() - began;
}

/* ---- tests ---- */

static void test_story(void **state) {
    (void)state;
    begin_site(BV_SUBMISSION_LIMITS_DEFAULT, 0);
    user ada, model;
    json_t *answer;
    bv_buffer events = {0};
    sign_up(&ada, "Ada", "person");
    sign_up(&model, "gpt-beaver", "model");
    assert_int_equal(call(&ada, "/api/levels", NULL, &answer), 200);
    assert_int_equal(json_array_size(json_object_get(answer, "levels")), 2);
    json_decref(answer);
    assert_int_equal(call(&ada, "/api/levels/echo", NULL, &answer), 200);
    assert_int_equal(json_array_size(json_object_get(answer, "examples")), 1);
    json_decref(answer);
    const int64_t id = submit(&ada, "300 wrong");
    follow(&ada, id, &events);
    assert_non_null(strstr(events.data, "event: state\n"));
    assert_non_null(strstr(events.data, "\"verdict\": \"wrong-answer\""));
    bv_buffer_clear(&events);
    follow(&ada, submit(&ada, "1"), &events);
    bv_buffer_clear(&events);
    follow(&model, submit(&model, "1 wrong"), &events);
    assert_int_equal(call(&ada, "/api/scoreboard", NULL, &answer), 200);
    const json_t *users = json_object_get(answer, "users");
    assert_int_equal(json_array_size(users), 2);
    assert_int_equal(json_integer_value(json_object_get(answer, "count")), 2);
    const json_t *me = json_object_get(answer, "me"); /* who asks, wherever they stand */
    assert_int_equal(json_integer_value(json_object_get(me, "rank")), 1);
    assert_string_equal(json_string_value(json_object_get(me, "name")), "Ada");
    assert_string_equal(json_string_value(json_object_get(json_array_get(users, 0), "name")),
                        "Ada");
    assert_string_equal(json_string_value(json_object_get(json_array_get(users, 1), "kind")),
                        "model");
    json_decref(answer);
    assert_int_equal(call(&model, "/api/scoreboard", NULL, &answer), 200);
    me = json_object_get(answer, "me");
    assert_int_equal(json_integer_value(json_object_get(me, "rank")), 2);
    json_decref(answer);
    assert_int_equal(call(&ada, "/api/me", NULL, &answer), 200);
    const json_t *scores = json_object_get(answer, "levels");
    assert_int_equal(json_integer_value(json_object_get(scores, "echo")), 10);
    json_decref(answer);
    char path[64];
    snprintf(path, sizeof path, "/api/submissions/%lld", (long long)id);
    assert_int_equal(call(&ada, path, NULL, &answer), 200);
    assert_string_equal(json_string_value(json_object_get(answer, "source")), "300 wrong");
    json_decref(answer);
    expect(&model, path, NULL, 404, "you have no submission");
    assert_int_equal(call(&ada, "/api/submissions", NULL, &answer), 200);
    assert_int_equal(json_array_size(json_object_get(answer, "submissions")), 2);
    json_decref(answer);
    assert_int_equal(call(&ada, "/", NULL, NULL), 200);
    assert_int_equal(call(&ada, "/arena.js", NULL, NULL), 200);
    assert_int_equal(call(&ada, "/arena.css", NULL, NULL), 200);
    bv_buffer_free(&events);
    bv_http_client_destroy(&ada.client);
    bv_http_client_destroy(&model.client);
    end_site();
}

static bool release(void *context, const char *bytes, size_t size) {
    collect(context, bytes, size);
    if (strstr(((bv_buffer *)context)->data, "\"state\": \"running\"")) held = false;
    return true;
}

/* Nobody looks for news by himself for an hour: each judging, and each event of it, comes because
 * it was told of. A judging ends only after its client has heard that it runs. */
static void test_told(void **state) {
    (void)state;
    begin(BV_SUBMISSION_LIMITS_DEFAULT, 0, true);
    user ada;
    sign_up(&ada, "Ada", "person");
    for (int i = 0; i < 5; i++) {
        bv_buffer events = {0};
        held = true;
        follow_by(&ada, submit(&ada, "0 held"), release, &events);
        assert_non_null(strstr(events.data, "event: verdict\n"));
        bv_buffer_free(&events);
    }
    bv_http_client_destroy(&ada.client);
    end_site();
}

static void test_refusals(void **state) {
    (void)state;
    begin_site((bv_submission_limits){.waiting = 2, .per_minute = 100}, 2);
    user ada;
    sign_up(&ada, "Ada", "person");
    expect(&ada, "/api/users", json_pack("{ss}", "name", "ada"), 400, "is taken");
    expect(&ada, "/api/users", json_pack("{ss}", "name", "Bob"), 429, "too many sign-ups");
    expect_a_limit(&ada);
    expect(&ada, "/api/users", json_pack("{si}", "name", 5), 400, "\"name\" is missing");
    expect(&ada, "/api/users", json_pack("{ss ss}", "name", "B", "kind", "cat"), 400, "\"kind\"");
    expect(&ada, "/api/levels/none", NULL, 404, "there is no level \"none\"");
    expect(&ada, "/api/levels/past/submissions", solution("1"), 403, "the deadline of \"Past\"");
    expect(&ada, "/api/levels/echo/submissions", json_pack("{ss}", "language", "c"), 400,
           "\"source\" is missing");
    expect(&ada, "/api/levels/echo/submissions", solution(""), 400, "the source is empty");
    expect(&ada, "/api/levels/echo/submissions",
           json_pack("{ss ss}", "language", "cobol", "source", "x"), 400, "no language");
    expect(&ada, "/api/submissions/0", NULL, 404, "submission's number");
    expect(&ada, "/api/submissions/999", NULL, 404, "you have no submission 999");
    expect(&ada, "/api/submissions/x/events", NULL, 404, "number");
    expect(&ada, "/api/nothing", NULL, 404, "no such path");
    char *large = malloc((8 << 20) + 1);
    memset(large, 'x', 8 << 20);
    large[(1 << 20) + 1] = 0;
    expect(&ada, "/api/levels/echo/submissions", solution(large), 413, "more than 1048576 bytes");
    large[(1 << 20) + 1] = 'x', large[8 << 20] = 0;
    expect(&ada, "/api/levels/echo/submissions", solution(large), 413, "too large");
    free(large);
    bv_http_result r;
    const bv_http_call not_utf8 = {.path = "/api/levels/echo/submissions",
                                   .body = "{\"language\": \"c\", \"source\": \"\xff\"}",
                                   .size = 32,
                                   .headers = ada.headers};
    assert_ok(bv_http_client_call(ada.client, &not_utf8, &r));
    assert_int_equal(r.status, 400);
    bv_http_result_free(&r);
    for (int i = 0; i < 2; i++) submit(&ada, "2000");
    expect(&ada, "/api/levels/echo/submissions", solution("1"), 429, "wait to be judged");
    snprintf(ada.headers, sizeof ada.headers, "Authorization: Bearer bv-1234\r\n");
    expect(&ada, "/api/submissions", NULL, 401, "the key is not known");
    ada.headers[0] = 0;
    expect(&ada, "/api/me", NULL, 401, "a key is needed");
    /* Nothing is read of what nobody may hand in. */
    const bv_http_call no_json = {
        .path = "/api/levels/echo/submissions", .body = "{]", .size = 2, .headers = ada.headers};
    assert_ok(bv_http_client_call(ada.client, &no_json, &r));
    assert_int_equal(r.status, 401);
    bv_http_result_free(&r);
    bv_http_client_destroy(&ada.client);
    end_site();
}

/* One sign-up an hour, of whoever the proxy names; what the client itself says stands before it. */
static void test_proxy(void **state) {
    (void)state;
    static const struct {
        const char *header;
        int status, status_without; /* when it is not believed */
    } rows[] = {
        {"X-Forwarded-For: 1.2.3.4\r\n", 201, 201},
        {"X-Forwarded-For: 1.2.3.5\r\n", 201, 429},
        {"X-Forwarded-For: 9.9.9.9, 1.2.3.5\r\n", 429, 429},
        {"X-Forwarded-For: 9.9.9.8\r\nX-Forwarded-For: 1.2.3.5\r\n", 429, 429},
        {"X-Forwarded-For: 2001:db8:0:1::1\r\n", 201, 429},
        {"X-Forwarded-For: 2001:db8:0:1:2:3:4:5\r\n", 429, 429},
        {"X-Forwarded-For: 2001:db8:0:2::1\r\n", 201, 429},
        {"", 201, 429},
    };
    for (int round = 0; round < 2; round++) {
        proxied = round;
        begin_site(BV_SUBMISSION_LIMITS_DEFAULT, 1);
        user u = {0};
        assert_ok(bv_http_client_create(url, &u.client));
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            char name[16];
            snprintf(name, sizeof name, "user %zu", i);
            snprintf(u.headers, sizeof u.headers, "%s", rows[i].header);
            assert_int_equal(call(&u, "/api/users", json_pack("{ss}", "name", name), NULL),
                             proxied ? rows[i].status : rows[i].status_without);
        }
        bv_http_client_destroy(&u.client);
        end_site();
    }
    proxied = false;
}

/* A store that cannot be reached is 503, and the site is well again afterwards. Where it is, only
 * the operator is told. */
static void test_store_away(void **state) {
    (void)state;
    begin_site(BV_SUBMISSION_LIMITS_DEFAULT, 0);
    user ada;
    char away[4300];
    json_t *answer;
    sign_up(&ada, "Ada", "person");
    snprintf(away, sizeof away, "%s.away", store);
    assert_int_equal(rename(store, away), 0);
    expect(&ada, "/api/submissions", NULL, 503, "cannot be reached");
    expect(&ada, "/api/levels/echo/submissions", solution("1"), 503, "cannot be reached");
    assert_int_equal(call(&ada, "/api/submissions", NULL, &answer), 503);
    const json_t *message = json_object_get(json_object_get(answer, "error"), "message");
    assert_null(strstr(json_string_value(message), folder));
    assert_non_null(strstr(trouble, store));
    json_decref(answer);
    assert_int_equal(rename(away, store), 0);
    assert_int_equal(call(&ada, "/api/me", NULL, &answer), 200);
    json_decref(answer);
    bv_http_client_destroy(&ada.client);
    end_site();
}

/* While the store is locked and all workers wait for it, levels can be read. */
static void test_store_locked(void **state) {
    (void)state;
    enum { WRITERS = 8 };
    static const char text[] = "POST /api/users HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                               "Content-Length: 15\r\n\r\n{\"name\": \"Bob\"}";
    int fds[WRITERS];
    bv_store *s;
    user ada;
    begin_site(BV_SUBMISSION_LIMITS_DEFAULT, 0);
    sign_up(&ada, "Ada", "person");
    assert_ok(bv_store_open(store, false, &s));
    assert_ok(bv_store_exec(s, "BEGIN IMMEDIATE", BV_NO_VALUES, NULL));
    for (int i = 0; i < WRITERS; i++) {
        fds[i] = wire_open(bv_site_port(site));
        assert_true(wire_text(fds[i], text));
    }
    sleep_ms(200);
    const double began = bv_clock_seconds();
    assert_int_equal(call(&ada, "/api/levels", NULL, NULL), 200);
    assert_int_equal(call(&ada, "/api/levels/echo", NULL, NULL), 200);
    assert_true(bv_clock_seconds() - began < 2);
    assert_ok(bv_store_exec(s, "ROLLBACK", BV_NO_VALUES, NULL));
    bv_store_close(&s);
    int made = 0;
    for (int i = 0; i < WRITERS; i++) {
        bv_buffer out = {0};
        assert_true(wire_drain(fds[i], &out, 20000));
        made += !strncmp(out.data, "HTTP/1.1 201", 12);
        bv_buffer_free(&out);
        close(fds[i]);
    }
    assert_int_equal(made, 1); /* the name is one user's */
    bv_http_client_destroy(&ada.client);
    end_site();
}

static _Atomic bool flooding;

static void *flood(void *context) {
    user *u = context;
    while (flooding)
        if (call(u, "/api/levels/echo/submissions", solution("60"), NULL) != 202) sleep_ms(20);
    return NULL;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A quiet user: one who reads a verdict before handing in again. (Who hands in again at once takes
 * as many turns as each of ten who flood, and waits for theirs.) */
#define READING_MS 400

static double p95_of(user *u, int count) {
    double seconds[40];
    bv_buffer events = {0};
    for (int i = 0; i < count; i++) {
        const double began = bv_clock_seconds();
        follow(u, submit(u, "60"), &events);
        seconds[i] = bv_clock_seconds() - began;
        bv_buffer_clear(&events);
        sleep_ms(READING_MS);
    }
    bv_buffer_free(&events);
    qsort(seconds, (size_t)count, sizeof *seconds, compare);
    return seconds[count * 95 / 100];
}

/* A quiet user's verdicts come in less than three times the unloaded time while ten flood. */
static void test_flood(void **state) {
    (void)state;
    begin_site((bv_submission_limits){.waiting = 20, .per_minute = 100000}, 0);
    enum { FLOODERS = 10 };
    user quiet, users[FLOODERS];
    pthread_t threads[FLOODERS];
    json_t *answer;
    sign_up(&quiet, "quiet", "person");
    const double unloaded = p95_of(&quiet, 40);
    flooding = true;
    for (int i = 0; i < FLOODERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "flooder %d", i);
        sign_up(&users[i], name, "model");
        assert_int_equal(pthread_create(&threads[i], NULL, flood, &users[i]), 0);
    }
    do {
        sleep_ms(50);
        call(&quiet, "/api/health", NULL, &answer);
        const int64_t waiting = json_integer_value(json_object_get(answer, "waiting"));
        json_decref(answer);
        if (waiting > 150) break;
    } while (true);
    const double loaded = p95_of(&quiet, 40);
    flooding = false;
    for (int i = 0; i < FLOODERS; i++) pthread_join(threads[i], NULL);
    print_message("p95 of a quiet user: %.0f ms unloaded, %.0f ms while ten flood\n",
                  unloaded * 1e3, loaded * 1e3);
    assert_true(loaded < 3 * unloaded);
    for (int i = 0; i < FLOODERS; i++) bv_http_client_destroy(&users[i].client);
    bv_http_client_destroy(&quiet.client);
    end_site();
}

/* What cannot be listened on is told before there is a store. */
static void test_bad_address(void **state) {
    (void)state;
    char store[4200];
    bv_site *none = NULL;
    folder = make_folder();
    snprintf(store, sizeof store, "%s/arena.db", folder);
    const bv_site_options options = {.store = store, .host = "999.1.1.1"};
    bv_error *error = bv_site_create(&options, &none);
    assert_non_null(error);
    bv_error_free(&error);
    assert_false(bv_file_exists(store));
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_story),      cmocka_unit_test(test_told),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_store_away), cmocka_unit_test(test_store_locked),
        cmocka_unit_test(test_flood),      cmocka_unit_test(test_bad_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

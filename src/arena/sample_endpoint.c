#include "arena/sample_endpoint.h"

#include "base/clock.h"
#include "http/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 600000
#define STOPS_MAX 4  /* that the API takes */
#define TRIES 5      /* of a call that may go well a little later */
#define PAUSE_MAX 60 /* seconds between two of them */

typedef struct asking {
    const bv_sample_endpoint_options *o;
    const bv_problem_set *set;
    bv_http_client *client;
    char *headers, *model;
    bv_buffer source;
    bv_sample_cache cache;
    size_t done;   /* problems */
    bool answered; /* the server has given something: it is one */
} asking;

/* ---- one call ---- */

/* What a server says of an error, or the beginning of its answer. */
static bv_status refused(const bv_http_result *result, const char *path) {
    json_t *answer;
    bv_error *unread = bv_json_parse_nul(result->body.data, result->body.size, path, &answer);
    bv_error_free(&unread);
    const json_t *error = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(error, "message"));
    bv_error *status =
        text ? bv_fail(BV_CODE_INPUT, "%s: status %d: %.300s", path, result->status, text)
             : bv_fail(BV_CODE_INPUT, "%s: status %d: %.*s", path, result->status,
                       (int)(result->body.size < 300 ? result->body.size : 300),
                       result->body.size ? result->body.data : "");
    json_decref(answer);
    if (result->status == 401 || result->status == 403)
        return bv_try(status, "the key in the variable OPENAI_API_KEY");
    return status;
}

/* A signal that came meanwhile; 0: none. */
static int look(void *context) {
    const asking *a = context;
    const bv_sample_endpoint_options *o = a->o;
    return o->progress ? o->progress(o->context, a->done, a->set->count) : 0;
}

/* Seconds that a server wants to be left alone. */
static int64_t asked_pause(const bv_http_result *result) {
    static const char name[] = "\r\nRetry-After:";
    const char *at = result->head.size ? strcasestr(result->head.data, name) : NULL;
    return at ? strtoll(at + sizeof name - 1, NULL, 10) : 0;
}

static bv_status pause_for(asking *a, int64_t seconds) {
    if (seconds > PAUSE_MAX) seconds = PAUSE_MAX;
    for (int64_t i = 0; i < 10 * seconds; i++) {
        const int signal = look(a);
        if (signal) return bv_fail_interrupted(signal, "interrupted");
        bv_sleep_ms(100);
    }
    return BV_OK;
}

static bool is_passing(int status) {
    return status == 429 || (status >= 500 && status <= 504 && status != 501);
}

static bool has_choices(const json_t *answer) {
    const json_t *choices = json_object_get(answer, "choices");
    for (size_t i = 0; i < json_array_size(choices); i++)
        if (!json_is_string(json_object_get(json_array_get(choices, i), "text"))) return false;
    return json_array_size(choices) > 0;
}

static bool has_list(const json_t *answer) {
    return json_is_array(json_object_get(answer, "data"));
}

/* What is not the answer that was asked for: quoted, since it says more than we could. */
static bv_status read_answer(const bv_http_result *result, const char *path,
                             bool (*is_right)(const json_t *answer), json_t **out) {
    const int shown = (int)(result->body.size < 200 ? result->body.size : 200);
    BV_TRY(bv_json_parse_nul(result->body.data, result->body.size, path, out));
    if (is_right(*out)) return BV_OK;
    json_decref(*out);
    *out = NULL;
    return bv_fail(BV_CODE_INPUT, "%s: not what this API answers: %.*s", path, shown,
                   result->body.data);
}

/* Whether the same call may go well later. Who has never answered well is asked again only if it
 * says that it is busy. */
static bool may_pass(const asking *a, const bv_error *error, const bv_http_result *result) {
    if (error) return a->answered && bv_error_code(error) == BV_CODE_IO;
    return result->status == 200 ? a->answered : is_passing(result->status);
}

/* What a busy server refuses, a network loses, or somebody cuts short, is asked for again after a
 * pause that grows. */
static bv_status call(asking *a, const char *path, const bv_buffer *body,
                      bool (*is_right)(const json_t *answer), json_t **out) {
    const bv_http_call request = {.path = path,
                                  .body = body ? body->data : NULL,
                                  .size = body ? body->size : 0,
                                  .headers = a->headers,
                                  .timeout_ms = TIMEOUT_MS,
                                  .interrupted = look,
                                  .context = a};
    for (int tries = 1;; tries++) {
        bv_http_result result = {0};
        bv_error *error = bv_http_client_call(a->client, &request, &result);
        const bool again = may_pass(a, error, &result);
        const int64_t pause = asked_pause(&result), least = INT64_C(1) << (tries - 1);
        if (!error && result.status != 200) error = refused(&result, path);
        if (!error) error = read_answer(&result, path, is_right, out);
        bv_http_result_free(&result);
        a->answered = a->answered || !error;
        if (!error || !again || tries == TRIES) return error;
        bv_error_free(&error);
        BV_TRY(pause_for(a, pause > least ? pause : least));
    }
}

/* ---- samples of a problem ---- */

static bv_status request_text(const asking *a, const bv_problem *problem, size_t n, uint32_t seed,
                              bv_buffer *out) {
    const bv_sample_settings *t = &a->o->settings;
    json_t *stops = json_array();
    for (size_t i = 0; a->set->stops[i] && i < STOPS_MAX; i++)
        json_array_append_new(stops, json_string(a->set->stops[i]));
    json_t *body =
        json_pack("{ss ss sI sI sf sf sI so}", "model", a->model, "prompt", problem->prompt, "n",
                  (json_int_t)n, "max_tokens", (json_int_t)t->tokens, "temperature", t->temperature,
                  "top_p", t->top_p, "seed", (json_int_t)seed, "stop", stops);
    bv_error *error = bv_json_text(body, 0, out);
    json_decref(body);
    return error;
}

/* Adds what one answer has, up to n samples; *have counts them. */
static bv_status take_choices(asking *a, const bv_problem *problem, const json_t *answer,
                              bv_samples *out, size_t *have) {
    size_t i;
    json_t *choice;
    json_array_foreach(json_object_get(answer, "choices"), i, choice) {
        const json_t *text = json_object_get(choice, "text");
        if (*have == a->o->settings.n) break;
        const size_t size =
            bv_problem_truncate(a->set, json_string_value(text), json_string_length(text));
        BV_TRY(bv_sample_cache_keep(&a->cache, problem, *have, json_string_value(text), size, out));
        ++*have;
    }
    return BV_OK;
}

/* Asks for those that are not known yet. */
static bv_status ask(asking *a, const bv_problem *problem, bv_samples *out) {
    const size_t n = a->o->settings.n;
    size_t have;
    uint32_t sequence;
    BV_TRY(bv_sample_cache_recall(&a->cache, problem, out, &have));
    BV_TRY(bv_sample_cache_sequence(&a->cache, problem, &sequence));
    while (have < n) {
        bv_buffer body = {0};
        json_t *answer = NULL;
        const uint32_t seed = (sequence + (uint32_t)have) & INT32_MAX;
        bv_error *error = request_text(a, problem, n - have, seed, &body);
        if (!error) error = call(a, "/completions", &body, has_choices, &answer);
        if (!error) error = take_choices(a, problem, answer, out, &have);
        json_decref(answer);
        bv_buffer_free(&body);
        if (error) return error;
    }
    return BV_OK;
}

/* ---- the endpoint ---- */

static bv_status find_model(asking *a) {
    json_t *list = NULL;
    if (a->o->model) {
        a->model = bv_strdup(a->o->model);
        return a->model ? BV_OK : bv_fail_memory("a name");
    }
    BV_TRY(call(a, "/models", NULL, has_list, &list));
    const json_t *first = json_array_get(json_object_get(list, "data"), 0);
    const char *id = json_string_value(json_object_get(first, "id"));
    if (id) a->model = bv_strdup(id);
    json_decref(list);
    if (!id) return bv_try(bv_fail(BV_CODE_INPUT, "the server lists no model"), "--model NAME");
    return a->model ? BV_OK : bv_fail_memory("a name");
}

/* http://host and http://host/v1/ are one place, under one name in the cache. */
static bv_status put_place(const char *url, bv_buffer *out) {
    const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;
    size_t size = strlen(url);
    while (size && url[size - 1] == '/') size--;
    const bool prefixed = host < url + size && memchr(host, '/', (size_t)(url + size - host));
    bv_buffer_printf(out, "%.*s%s", (int)size, url, prefixed ? "" : "/v1");
    return bv_buffer_error(out);
}

static bv_status make_headers(asking *a) {
    bv_buffer text = {0};
    if (!a->o->key) return BV_OK;
    if (strpbrk(a->o->key, "\r\n")) return bv_fail(BV_CODE_USAGE, "the key has a line break");
    bv_buffer_printf(&text, "Authorization: Bearer %s\r\n", a->o->key);
    BV_TRY(bv_buffer_error(&text));
    a->headers = text.data;
    return BV_OK;
}

static bv_status begin(asking *a) {
    const bv_sample_endpoint_options *o = a->o;
    bv_buffer place = {0};
    bv_error *error = put_place(o->url, &place);
    if (!error) error = bv_http_client_create(place.data, &a->client);
    if (!error) error = make_headers(a);
    if (!error) error = find_model(a);
    if (!error) {
        bv_buffer_printf(&a->source, "sample-endpoint 2\n%s\n%s", place.data, a->model);
        error = bv_buffer_error(&a->source);
    }
    bv_buffer_free(&place);
    a->cache = (bv_sample_cache){
        .records = o->cache, .source = a->source.data, .set = a->set, .settings = &o->settings};
    return error;
}

bv_status bv_samples_from_endpoint(const bv_problem_set *set,
                                   const bv_sample_endpoint_options *options, bv_samples *out) {
    asking a = {.o = options, .set = set};
    bv_error *error = begin(&a);
    for (size_t i = 0; !error && i < set->count; i++) {
        error = bv_while(ask(&a, &set->list[i], out), "asking for samples of %s", set->list[i].id);
        a.done = i + 1;
        const int signal = error ? 0 : look(&a);
        if (signal) error = bv_fail_interrupted(signal, "interrupted");
    }
    bv_http_client_destroy(&a.client);
    bv_free(a.headers);
    bv_free(a.model);
    bv_buffer_free(&a.source);
    return bv_while(error, "asking %s", options->url);
}

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
    json_t *answer = json_loadb(result->body.data, result->body.size, 0, NULL);
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
static int look(const asking *a) {
    const bv_sample_endpoint_options *o = a->o;
    return o->progress ? o->progress(o->context, a->done, a->set->count) : 0;
}

/* Seconds that a server wants to be left alone. */
static int64_t asked_pause(const bv_http_result *result) {
    static const char name[] = "\r\nRetry-After:";
    const char *at = result->head.size ? strcasestr(result->head.data, name) : NULL;
    return at ? strtoll(at + sizeof name - 1, NULL, 10) : 0;
}

static bv_status pause_for(const asking *a, int64_t seconds) {
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

/* What a busy server refuses, or a network loses, is asked again after a pause that grows. */
static bv_status call(asking *a, const char *path, const bv_buffer *body, json_t **out) {
    const bv_http_call request = {.path = path,
                                  .body = body ? body->data : NULL,
                                  .size = body ? body->size : 0,
                                  .headers = a->headers,
                                  .timeout_ms = TIMEOUT_MS};
    for (int tries = 1;; tries++) {
        bv_http_result result = {0};
        bv_error *error = bv_http_client_call(a->client, &request, &result);
        const bool again =
            error ? a->answered && bv_error_code(error) == BV_CODE_IO : is_passing(result.status);
        const int64_t pause = asked_pause(&result), least = INT64_C(1) << (tries - 1);
        if (!error && result.status != 200) error = refused(&result, path);
        if (!error) error = bv_json_parse(result.body.data, result.body.size, path, out);
        bv_http_result_free(&result);
        a->answered = a->answered || !error;
        if (!error || !again || tries == TRIES) return error;
        bv_error_free(&error);
        BV_TRY(pause_for(a, pause > least ? pause : least));
    }
}

/* ---- samples of a problem ---- */

static bv_status request_text(const asking *a, const bv_problem *problem, size_t number, size_t n,
                              bv_buffer *out) {
    const bv_sample_settings *t = &a->o->settings;
    json_t *stops = json_array();
    for (size_t i = 0; a->set->stops[i] && i < STOPS_MAX; i++)
        json_array_append_new(stops, json_string(a->set->stops[i]));
    json_t *body =
        json_pack("{ss ss sI sI sf sf sI so}", "model", a->model, "prompt", problem->prompt, "n",
                  (json_int_t)n, "max_tokens", (json_int_t)t->tokens, "temperature", t->temperature,
                  "top_p", t->top_p, "seed", (json_int_t)(t->seed + number), "stop", stops);
    bv_error *error = body ? bv_json_text(body, 0, out) : bv_fail_memory("a request");
    json_decref(body);
    return error;
}

/* Adds what one answer has, up to `most`; *count says how many. */
static bv_status take_choices(asking *a, const bv_problem *problem, size_t number, size_t most,
                              const json_t *answer, bv_samples *out, size_t *count) {
    const json_t *choices = json_object_get(answer, "choices");
    size_t i;
    json_t *choice;
    *count = 0;
    json_array_foreach(choices, i, choice) {
        const char *text = json_string_value(json_object_get(choice, "text"));
        if (!text) return bv_fail(BV_CODE_INPUT, "a choice without a text");
        if (*count == most) break;
        const size_t size = bv_problem_truncate(a->set, text, strlen(text));
        BV_TRY(bv_sample_cache_keep(&a->cache, problem, number + *count, text, size, out));
        ++*count;
    }
    return *count ? BV_OK : bv_fail(BV_CODE_INPUT, "an answer without choices");
}

static bv_status ask(asking *a, const bv_problem *problem, size_t first, bv_samples *out) {
    const size_t n = a->o->settings.n;
    bool found;
    BV_TRY(bv_sample_cache_recall(&a->cache, problem, first, out, &found));
    for (size_t have = 0; !found && have < n;) {
        bv_buffer body = {0};
        json_t *answer = NULL;
        size_t count = 0;
        bv_error *error = request_text(a, problem, first + have, n - have, &body);
        if (!error) error = call(a, "/completions", &body, &answer);
        if (!error) error = take_choices(a, problem, first + have, n - have, answer, out, &count);
        json_decref(answer);
        bv_buffer_free(&body);
        if (error) return error;
        have += count;
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
    BV_TRY(call(a, "/models", NULL, &list));
    const json_t *first = json_array_get(json_object_get(list, "data"), 0);
    const char *id = json_string_value(json_object_get(first, "id"));
    if (id) a->model = bv_strdup(id);
    json_decref(list);
    if (!id) return bv_try(bv_fail(BV_CODE_INPUT, "the server lists no model"), "--model NAME");
    return a->model ? BV_OK : bv_fail_memory("a name");
}

static bv_status begin(asking *a) {
    const bv_sample_endpoint_options *o = a->o;
    bv_buffer text = {0};
    const char *host = strstr(o->url, "://");
    const bool prefixed = host && strchr(host + 3, '/');
    bv_buffer_printf(&text, "%s%s", o->url, prefixed ? "" : "/v1");
    bv_error *error = bv_buffer_error(&text);
    if (!error) error = bv_http_client_create(text.data, &a->client);
    bv_buffer_clear(&text);
    if (!error && o->key) {
        if (strpbrk(o->key, "\r\n")) error = bv_fail(BV_CODE_USAGE, "the key has a line break");
        bv_buffer_printf(&text, "Authorization: Bearer %s\r\n", o->key);
        if (!error) error = bv_buffer_error(&text);
        if (!error) a->headers = bv_strdup(text.data);
        if (!error && !a->headers) error = bv_fail_memory("a header");
    }
    bv_buffer_free(&text);
    if (!error) error = find_model(a);
    if (error) return error;
    bv_buffer_printf(&a->source, "sample-endpoint 1\n%s\n%s", o->url, a->model);
    a->cache = (bv_sample_cache){
        .records = o->cache, .source = a->source.data, .set = a->set, .settings = &o->settings};
    return bv_buffer_error(&a->source);
}

bv_status bv_samples_from_endpoint(const bv_problem_set *set,
                                   const bv_sample_endpoint_options *options, bv_samples *out) {
    asking a = {.o = options, .set = set};
    bv_error *error = begin(&a);
    for (size_t i = 0; !error && i < set->count; i++) {
        error = bv_while(ask(&a, &set->list[i], i * options->settings.n, out),
                         "asking for samples of %s", set->list[i].id);
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

/* What a user of a load does: signs up, hands in, waits for the verdict, and looks at it. */
#include "cli/load.h"

#include "arena/attack_notes.h"
#include "base/clock.h"
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

/* The answer as JSON (free with json_decref). */
static bv_status call(bv_http_client *client, const char *path, const char *key, json_t *body,
                      int *status, json_t **out) {
    bv_buffer text = {0};
    bv_http_result r = {0};
    char header[160] = "";
    *out = NULL;
    if (key) snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", key);
    bv_error *error = body ? bv_json_text(body, 0, &text) : BV_OK;
    json_decref(body);
    const bv_http_call wish = {
        .path = path, .body = text.data, .size = text.size, .headers = header};
    if (!error) error = bv_http_client_call(client, &wish, &r);
    if (!error) error = bv_json_parse(r.body.data ? r.body.data : "", r.body.size, path, out);
    *status = r.status;
    bv_http_result_free(&r);
    bv_buffer_free(&text);
    return error;
}

static bv_error *unexpected(const char *path, int status, const json_t *answer) {
    const char *text =
        json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
    return bv_fail(BV_CODE_INPUT, "%s answered %d: %s", path, status, text ? text : "");
}

bv_status bv_load_sign_up(bv_load *l, bv_http_client *client, size_t user) {
    char name[40];
    int status;
    json_t *answer;
    snprintf(name, sizeof name, "load %08x %zu", (unsigned)bv_clock_wall_ms(), user);
    BV_TRY(call(client, "/api/users", NULL,
                json_pack("{ss ss}", "name", name, "kind", user % 2 ? "model" : "person"), &status,
                &answer));
    const char *key = json_string_value(json_object_get(answer, "key"));
    bv_error *error = status == 201 && key ? BV_OK : unexpected("/api/users", status, answer);
    if (!error) snprintf(l->keys[user], sizeof *l->keys, "%s", key);
    json_decref(answer);
    return error;
}

bv_status bv_load_hand_in(bv_load *l, bv_http_client *client, size_t index, bv_load_result *r) {
    const bv_load_program *p = r->program;
    const double begin = bv_clock_seconds();
    char path[256];
    bv_buffer source = {0};
    snprintf(path, sizeof path, "/api/levels/%s/submissions", p->level);
    bv_error *error = bv_load_source(l, p, index, &source);
    bool wait = true;
    for (r->id = 0; !error && wait && !l->enough;) {
        int status;
        json_t *answer;
        error =
            call(client, path, l->keys[r->user],
                 json_pack("{ss ss%}", "language", p->language, "source", source.data, source.size),
                 &status, &answer);
        if (error) break;
        r->id = json_integer_value(json_object_get(answer, "id"));
        wait = status == 429 || status == 503;
        if (status != 202 && !wait) error = unexpected(path, status, answer);
        json_decref(answer);
        l->retries += wait;
        if (wait) bv_sleep_ms(50);
    }
    bv_buffer_free(&source);
    r->hand_in = bv_clock_seconds() - begin;
    return error;
}

static bool collect(void *context, const char *bytes, size_t size) {
    bv_buffer_append(context, bytes, size);
    return true;
}

static bool deserves(const bv_load_program *p, const char *verdict) {
    if (p->kind == BV_LOAD_ATTACK) return bv_attack_has_word(p->expected, verdict);
    return !strcmp(verdict, "accepted") == (p->kind == BV_LOAD_RIGHT);
}

/* What the last event says. The words of a breach, or of a canary, in it came out of a box. */
static bv_status check_verdict(bv_load *l, const bv_load_program *p, const char *events) {
    static const char mark[] = "event: verdict\ndata: ";
    const char *data = events ? strstr(events, mark) : NULL;
    json_t *submission;
    if (!data) return bv_fail(BV_CODE_INPUT, "the events of %s ended without a verdict", p->name);
    data += sizeof mark - 1;
    BV_TRY(bv_json_parse(data, strcspn(data, "\n"), "event", &submission));
    const char *verdict = json_string_value(json_object_get(submission, "verdict"));
    if (!verdict || !deserves(p, verdict)) {
        l->unexpected++;
        bv_cli_say("unexpected: %s got %s%s%s\n", p->name, verdict ? verdict : "nothing",
                   *p->expected ? " instead of " : "", p->expected);
    }
    if (strstr(data, "BREACH") || strstr(data, BV_CANARY_SECRET)) {
        l->breaches++;
        bv_cli_say("a breach: %s: %.*s\n", p->name, (int)strcspn(data, "\n"), data);
    }
    json_decref(submission);
    return BV_OK;
}

bv_status bv_load_await(bv_load *l, bv_http_client *client, const bv_load_result *r) {
    char path[64], header[160];
    bv_buffer events = {0};
    bv_http_result answer = {0};
    snprintf(path, sizeof path, "/api/submissions/%lld/events", (long long)r->id);
    snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", l->keys[r->user]);
    const bv_http_call wish = {.path = path,
                               .headers = header,
                               .piece = collect,
                               .context = &events,
                               .timeout_ms = 600000};
    bv_error *error = bv_http_client_call(client, &wish, &answer);
    if (!error) error = check_verdict(l, r->program, events.data);
    bv_http_result_free(&answer);
    bv_buffer_free(&events);
    return error;
}

/*
 * beaver arena load: a bounded number of users submit the levels' own solutions (and, if wished,
 * programs of an attack corpus) to an arena that runs, wait for each verdict, and check it: right
 * solutions must be accepted, all others not.
 */
#include "arena/language.h"
#include "arena/level.h"
#include "arena/level_set.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "cli/arena.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/machine_flags.h"
#include "http/client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const bv_flag flag_table[] = {
    {.name = "levels",
     .value = "DIR",
     .type = BV_FLAG_STRING,
     .fallback = "levels",
     .help = "the arena's levels: their reference and wrong solutions are submitted"},
    {.name = "level", .value = "NAME", .type = BV_FLAG_STRING, .help = "of one level only"},
    {.name = "language", .value = "NAME", .type = BV_FLAG_STRING, .help = "of one language only"},
    {.name = "attacks",
     .value = "DIR",
     .type = BV_FLAG_STRING,
     .help = "folder of hostile .c and .py programs to mix in"},
    {.name = "attack-share",
     .value = "F",
     .type = BV_FLAG_DOUBLE,
     .min = 0,
     .max = 1,
     .fallback = "0.05",
     .help = "part of the submissions that are attacks, with --attacks"},
    {.name = "users",
     .value = "N",
     .type = BV_FLAG_INT,
     .min = 1,
     .max = 20000,
     .fallback = "20",
     .help = "users who sign up"},
    {.name = "submissions",
     .value = "N",
     .type = BV_FLAG_INT,
     .min = 1,
     .max = 1e6,
     .fallback = "200",
     .help = "in all"},
    {.name = "clients",
     .value = "N",
     .type = BV_FLAG_INT,
     .min = 1,
     .max = 256,
     .fallback = "16",
     .help = "connections that submit and wait at once"},
    {.name = "seed",
     .value = "N",
     .type = BV_FLAG_INT,
     .min = 0,
     .max = 1e9,
     .fallback = "1",
     .help = "of who submits what"},
    BV_JSON_FLAG,
};

static const bv_argument arguments[] = {{.name = "URL", .help = "http://host:port of an arena"}};

static const bv_command command = {
    .name = "arena load",
    .summary = "Submits to a running arena as many users would, waits for every verdict, checks "
               "it, and prints rates and times. Start the arena with --per-minute 1000000 and "
               "--signups-per-hour 0.",
    .example = "beaver arena load http://127.0.0.1:8080 --users 1000 --submissions 5000",
    .arguments = arguments,
    .argument_count = 1,
    .flags = flag_table,
    .flag_count = sizeof flag_table / sizeof *flag_table,
};

/* ---- what is submitted ---- */

typedef enum kind { KIND_RIGHT, KIND_WRONG, KIND_ATTACK, KIND_COUNT } kind;
static const char *const kind_names[] = {"right", "wrong", "attack"};

typedef struct program {
    kind kind;
    char name[160];
    const char *level, *language;
    const char *source;
    size_t size;
} program;

typedef struct measured {
    const program *program;
    double seconds; /* from handing in to the verdict */
} measured;

typedef struct load load;
typedef bv_status client_work(load *l, bv_http_client *client);

struct load {
    const bv_flags *flags;
    bv_level_set set;
    program *programs;
    size_t count, attack_first; /* attacks come last */
    bv_buffer *attacks;         /* their sources */
    size_t attack_count;
    char (*keys)[96];
    measured *results;
    size_t submissions;
    _Atomic size_t next_user, next, done, retries, unexpected;
    pthread_mutex_t lock;
    client_work *work; /* what all clients do at present */
    _Atomic bool failed;
    bv_error *error; /* the first, under the lock */
};

static bool is_wanted(const load *l, const char *level, const char *language) {
    const char *one = bv_flags_string(l->flags, "level");
    const char *of = bv_flags_string(l->flags, "language");
    return (!one || !strcmp(one, level)) && (!of || !strcmp(of, language));
}

static void add(load *l, kind kind, const bv_level *level, const bv_level_program *p) {
    if (!is_wanted(l, level->name, p->language)) return;
    program *to = &l->programs[l->count++];
    *to = (program){.kind = kind,
                    .level = level->name,
                    .language = p->language,
                    .source = p->source.data ? p->source.data : "",
                    .size = p->source.size};
    snprintf(to->name, sizeof to->name, "%s/%s", level->name, p->name);
}

static bv_status add_solutions(load *l) {
    size_t most = 0;
    for (size_t i = 0; i < l->set.count; i++)
        most += l->set.levels[i]->references.count + l->set.levels[i]->wrongs.count;
    l->programs = bv_calloc(most + 1024, sizeof *l->programs);
    if (!l->programs) return bv_fail_memory("programs");
    for (size_t i = 0; i < l->set.count; i++) {
        const bv_level *level = l->set.levels[i];
        for (size_t k = 0; k < level->references.count; k++)
            add(l, KIND_RIGHT, level, &level->references.list[k]);
        for (size_t k = 0; k < level->wrongs.count; k++)
            add(l, KIND_WRONG, level, &level->wrongs.list[k]);
    }
    l->attack_first = l->count;
    return l->count ? BV_OK : bv_fail(BV_CODE_USAGE, "no solution is of that level and language");
}

/* A submission is one file: the header that attacks share is put in place of its #include. */
static bv_status read_attack(const char *path, const bv_buffer *header, bv_buffer *out) {
    static const char line[] = "#include \"attack.h\"\n";
    bv_buffer text = {0};
    bv_error *error = bv_file_read(path, &text);
    const char *found = text.data ? strstr(text.data, line) : NULL;
    if (found) {
        bv_buffer_append(out, text.data, (size_t)(found - text.data));
        bv_buffer_append(out, header->data, header->size);
        bv_buffer_text(out, found + sizeof line - 1);
    } else {
        bv_buffer_append(out, text.data, text.size);
    }
    bv_buffer_free(&text);
    return error ? error : bv_buffer_error(out);
}

static bv_status add_attack(load *l, const char *folder, const char *name,
                            const bv_buffer *header) {
    const char *end = strrchr(name, '.');
    const char *language = !end                  ? NULL
                           : !strcmp(end, ".c")  ? "c"
                           : !strcmp(end, ".py") ? "python"
                                                 : NULL;
    const bv_level *level = l->set.levels[0];
    if (!language || !bv_level_accepts(level, language) || l->attack_count == 1000) return BV_OK;
    char *path = bv_path_join(folder, name);
    if (!path) return bv_fail_memory("a path");
    bv_buffer *source = &l->attacks[l->attack_count++];
    bv_error *error = read_attack(path, header, source);
    bv_free(path);
    if (error) return error;
    program *to = &l->programs[l->count++];
    *to = (program){.kind = KIND_ATTACK,
                    .level = level->name,
                    .language = language,
                    .source = source->data ? source->data : "",
                    .size = source->size};
    snprintf(to->name, sizeof to->name, "%.150s", name);
    return BV_OK;
}

static bv_status add_attacks(load *l, const char *folder) {
    char **names = NULL, *path = bv_path_join(folder, "attack.h");
    size_t count = 0;
    bv_buffer header = {0};
    l->attacks = bv_calloc(1024, sizeof *l->attacks);
    bv_error *error = path && l->attacks ? BV_OK : bv_fail_memory("attacks");
    if (!error && bv_file_exists(path)) error = bv_file_read(path, &header);
    if (!error) error = bv_dir_list(folder, &names, &count);
    for (size_t i = 0; !error && i < count; i++) error = add_attack(l, folder, names[i], &header);
    if (!error && !l->attack_count)
        error = bv_fail(BV_CODE_USAGE, "%s has no .c or .py programs", folder);
    for (size_t i = 0; i < count; i++) bv_free(names[i]);
    bv_free(names);
    bv_free(path);
    bv_buffer_free(&header);
    return error;
}

static const program *choose(const load *l, size_t index) {
    const bv_random4 r = bv_random((uint64_t)bv_flags_int(l->flags, "seed"), BV_RANDOM_TEST, 1,
                                   (uint32_t)index, 0, 0);
    const size_t attacks = l->count - l->attack_first;
    if (attacks && bv_uniform_f32(r.v[0]) < (float)bv_flags_double(l->flags, "attack-share"))
        return &l->programs[l->attack_first + r.v[1] % attacks];
    return &l->programs[r.v[1] % l->attack_first];
}

/* ---- clients ---- */

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

static bv_status sign_up(load *l, bv_http_client *client, size_t user) {
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

static void pause_ms(int ms) {
    nanosleep(&(struct timespec){0, ms * 1000000L}, NULL);
}

/* Hands in; while the arena says to wait (429, 503), waits. */
static bv_status hand_in(load *l, bv_http_client *client, const program *p, const char *key,
                         int64_t *id) {
    char path[256];
    snprintf(path, sizeof path, "/api/levels/%s/submissions", p->level);
    for (;;) {
        int status;
        json_t *answer;
        BV_TRY(call(client, path, key,
                    json_pack("{ss ss%}", "language", p->language, "source", p->source, p->size),
                    &status, &answer));
        *id = json_integer_value(json_object_get(answer, "id"));
        const bool wait = status == 429 || status == 503;
        bv_error *error = status == 202 || wait ? BV_OK : unexpected(path, status, answer);
        json_decref(answer);
        if (!wait || error) return error;
        l->retries++;
        pause_ms(50);
    }
}

static bool collect(void *context, const char *bytes, size_t size) {
    bv_buffer_append(context, bytes, size);
    return true;
}

/* The verdict in the last event, compared with what the program deserves. */
static bv_status check_verdict(load *l, const program *p, const char *events) {
    static const char mark[] = "event: verdict\ndata: ";
    const char *data = events ? strstr(events, mark) : NULL;
    json_t *submission;
    if (!data) return bv_fail(BV_CODE_INPUT, "the events of %s ended without a verdict", p->name);
    data += sizeof mark - 1;
    BV_TRY(bv_json_parse(data, strcspn(data, "\n"), "event", &submission));
    const char *verdict = json_string_value(json_object_get(submission, "verdict"));
    if (!verdict || !strcmp(verdict, "accepted") != (p->kind == KIND_RIGHT)) {
        l->unexpected++;
        bv_cli_say("unexpected: %s got %s\n", p->name, verdict ? verdict : "nothing");
    }
    json_decref(submission);
    return BV_OK;
}

static bv_status await(load *l, bv_http_client *client, const program *p, const char *key,
                       int64_t id) {
    char path[64], header[160];
    bv_buffer events = {0};
    bv_http_result r = {0};
    snprintf(path, sizeof path, "/api/submissions/%lld/events", (long long)id);
    snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", key);
    const bv_http_call wish = {.path = path,
                               .headers = header,
                               .piece = collect,
                               .context = &events,
                               .timeout_ms = 600000};
    bv_error *error = bv_http_client_call(client, &wish, &r);
    if (!error) error = check_verdict(l, p, events.data);
    bv_http_result_free(&r);
    bv_buffer_free(&events);
    return error;
}

static bv_status sign_up_all(load *l, bv_http_client *client) {
    const size_t users = (size_t)bv_flags_int(l->flags, "users");
    for (size_t user; (user = l->next_user++) < users && !l->failed;)
        BV_TRY(sign_up(l, client, user));
    return BV_OK;
}

static bv_status submit_all(load *l, bv_http_client *client) {
    const size_t users = (size_t)bv_flags_int(l->flags, "users");
    for (size_t i; (i = l->next++) < l->submissions && !l->failed;) {
        const program *p = choose(l, i);
        const char *key = l->keys[i % users];
        int64_t id;
        const double begin = bv_clock_seconds();
        BV_TRY(hand_in(l, client, p, key, &id));
        BV_TRY(await(l, client, p, key, id));
        l->results[i] = (measured){p, bv_clock_seconds() - begin};
        l->done++;
    }
    return BV_OK;
}

static void *run_client(void *context) {
    load *l = context;
    bv_http_client *client = NULL;
    bv_error *error = bv_http_client_create(bv_flags_argument(l->flags, 0), &client);
    if (!error) error = l->work(l, client);
    bv_http_client_destroy(&client);
    if (error) {
        pthread_mutex_lock(&l->lock);
        if (l->failed)
            bv_error_free(&error);
        else
            l->error = error;
        l->failed = true;
        pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

static bv_status run_clients(load *l, client_work *work) {
    pthread_t threads[256];
    int started = 0;
    const int clients = (int)bv_flags_int(l->flags, "clients");
    l->work = work;
    for (; started < clients; started++)
        if (pthread_create(&threads[started], NULL, run_client, l) != 0) break;
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
    if (!started) return bv_fail(BV_CODE_MEMORY, "no threads for clients");
    bv_error *error = l->error;
    l->error = NULL;
    return error;
}

/* ---- report ---- */

static int compare(const void *a, const void *b) {
    const double x = ((const measured *)a)->seconds, y = ((const measured *)b)->seconds;
    return (x > y) - (x < y);
}

/* Of one kind and language; results are sorted by time. */
static json_t *summary(const load *l, kind kind, const char *language) {
    double *times = bv_calloc(l->submissions + 1, sizeof *times);
    size_t count = 0;
    for (size_t i = 0; times && i < l->submissions; i++) {
        const program *p = l->results[i].program;
        if (p && p->kind == kind && !strcmp(p->language, language))
            times[count++] = l->results[i].seconds;
    }
    json_t *o = NULL;
    if (count) {
        bv_cli_say("  %-7s %-8s %6zu  p50 %7.1f ms  p95 %7.1f ms\n", kind_names[kind], language,
                   count, times[count / 2] * 1e3, times[count * 95 / 100] * 1e3);
        o = json_pack("{ss ss sI sf sf}", "kind", kind_names[kind], "language", language, "count",
                      (json_int_t)count, "p50_ms", times[count / 2] * 1e3, "p95_ms",
                      times[count * 95 / 100] * 1e3);
    }
    bv_free(times);
    return o;
}

static bv_status report(load *l, double seconds) {
    json_t *groups = json_array();
    qsort(l->results, l->submissions, sizeof *l->results, compare);
    bv_cli_say("%zu submissions of %lld users judged in %.1f s: %.1f a second\n", (size_t)l->done,
               (long long)bv_flags_int(l->flags, "users"), seconds, (double)l->done / seconds);
    for (int kind = 0; kind < KIND_COUNT; kind++)
        for (const char *const *name = bv_language_names(); *name; name++) {
            json_t *group = summary(l, (enum kind)kind, *name);
            if (group) json_array_append_new(groups, group);
        }
    bv_error *error = BV_OK;
    if (bv_flags_bool(l->flags, "json"))
        error = bv_cli_json(json_pack("{sI sf sf sI sI sO}", "submissions", (json_int_t)l->done,
                                      "seconds", seconds, "per_second", (double)l->done / seconds,
                                      "unexpected", (json_int_t)l->unexpected, "retries",
                                      (json_int_t)l->retries, "groups", groups));
    json_decref(groups);
    if (!error && l->unexpected)
        error = bv_fail(BV_CODE_FAULT, "%zu verdicts were not as expected", (size_t)l->unexpected);
    return error;
}

static bv_status run(load *l) {
    const char *attacks = bv_flags_string(l->flags, "attacks");
    BV_TRY(bv_level_set_load(bv_flags_string(l->flags, "levels"), NULL, &l->set));
    BV_TRY(add_solutions(l));
    if (attacks) BV_TRY(add_attacks(l, attacks));
    l->submissions = (size_t)bv_flags_int(l->flags, "submissions");
    l->keys = bv_calloc((size_t)bv_flags_int(l->flags, "users"), sizeof *l->keys);
    l->results = bv_calloc(l->submissions, sizeof *l->results);
    if (!l->keys || !l->results) return bv_fail_memory("users");
    double begin = bv_clock_seconds();
    BV_TRY(run_clients(l, sign_up_all));
    bv_cli_say("%lld users signed up in %.1f s\n", (long long)bv_flags_int(l->flags, "users"),
               bv_clock_seconds() - begin);
    begin = bv_clock_seconds();
    BV_TRY(run_clients(l, submit_all));
    return report(l, bv_clock_seconds() - begin);
}

bv_status bv_arena_load(int argc, char **argv) {
    load l = {.lock = PTHREAD_MUTEX_INITIALIZER};
    bv_flags *flags;
    BV_TRY(bv_flags_parse(&command, argc, argv, &flags));
    if (!flags) return BV_OK;
    l.flags = flags;
    bv_error *error = run(&l);
    for (size_t i = 0; i < l.attack_count; i++) bv_buffer_free(&l.attacks[i]);
    bv_free(l.attacks);
    bv_free(l.programs);
    bv_free(l.keys);
    bv_free(l.results);
    bv_level_set_free(&l.set);
    bv_flags_free(&flags);
    return error;
}

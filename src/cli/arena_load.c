/*
 * beaver arena load: a bounded number of users submit the levels' own solutions (and, if wished,
 * programs of an attack corpus) to an arena that runs, wait for each verdict, and check it: right
 * solutions must be accepted, all others not.
 */
#include "arena/language.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/order.h"
#include "base/tasks.h"
#include "cli/arena.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/languages_flag.h"
#include "cli/load.h"
#include "cli/policy_flag.h"

#include <string.h>
#include <sys/resource.h>

#define FLOOD_MAX 100000 /* submissions of those who flood */

static const bv_flag flag_table[] = {
    BV_STRING_FLAG("levels", "DIR", "levels",
                   "the arena's levels: their reference and wrong solutions are submitted"),
    BV_LANGUAGES_FLAG,
    BV_STRING_FLAG("level", "NAME", NULL, "of one level only"),
    BV_STRING_FLAG("language", "NAME", NULL, "of one language only"),
    BV_STRING_FLAG("as", "NAME", NULL, "hand programs in C in as this language, as c-tcc"),
    BV_SWITCH_FLAG(
        "distinct",
        "a comment makes each source differ from all others, so that none is known compiled"),
    BV_STRING_FLAG("attacks", "DIR", NULL,
                   "an attack corpus to mix in: hostile .c, .py and .sh programs whose first lines "
                   "say the verdict they must get; canaries are set for them"),
    BV_DOUBLE_FLAG("attack-share", "F", 0, 1, "0.05",
                   "part of the submissions that are attacks, with --attacks"),
    BV_POLICY_FLAG,
    BV_INT_FLAG("users", "N", 1, 20000, "20", "users who sign up"),
    BV_INT_FLAG("submissions", "N", 1, 1e6, "200", "in all"),
    BV_INT_FLAG("clients", "N", 1, 256, "16", "connections that submit and wait at once"),
    BV_INT_FLAG("seed", "N", 0, 1e9, "1", "of who submits what"),
    BV_INT_FLAG("flood", "N", 0, 200, "0",
                "one user submits alone, then again while N users hand in all they may: how much "
                "longer does that user wait?"),
    BV_INT_FLAG("pause", "MS", 0, 60000, "0", "with --flood: how long that user reads a verdict"),
    BV_STRING_FLAG("store", "STORE", NULL,
                   "the arena's store: looks there whether every submission has its verdict, and "
                   "what each stage cost"),
};

static const bv_argument arguments[] = {{.name = "URL", .help = "http://host:port of an arena"}};

static bv_status run_load(const bv_flags *flags);
const bv_command bv_arena_load = {
    .name = "arena load",
    .brief = "submit to an arena as many users would, and measure",
    .summary = "Submits to a running arena as many users would, waits for every verdict, checks "
               "it, and prints rates and times. Start the arena with --per-minute 1000000 and "
               "--signups-per-hour 0.",
    .example = "beaver arena load http://127.0.0.1:8080 --users 1000 --submissions 5000",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(flag_table),
    .threads = "taken, as by every command: here --clients are the threads",
    .run = run_load,
};

/* ---- clients ---- */

static bv_status sign_up_all(bv_load *l, bv_http_client *client) {
    const size_t users = (size_t)bv_flags_int(l->flags, "users");
    for (size_t user; (user = l->next_user++) < users && !l->failed;)
        BV_TRY(bv_load_sign_up(l, client, user));
    return BV_OK;
}

/* Hands the index-th submission in and waits for its verdict. */
static bv_status submit(bv_load *l, bv_http_client *client, size_t index, size_t user,
                        const bv_load_program *program) {
    bv_load_result r = {.program = program, .user = user};
    const double begin = bv_clock_seconds();
    BV_TRY(bv_load_hand_in(l, client, index, &r));
    BV_TRY(bv_load_await(l, client, &r));
    r.total = bv_clock_seconds() - begin;
    l->results[index] = r;
    l->done++;
    return BV_OK;
}

static bv_status submit_all(bv_load *l, bv_http_client *client) {
    const size_t users = (size_t)bv_flags_int(l->flags, "users");
    for (size_t i; (i = l->next++) < l->submissions && !l->failed;)
        BV_TRY(submit(l, client, i, i % users, bv_load_choose(l, i)));
    return BV_OK;
}

/* ---- one quiet user among many who flood ---- */

static bv_status submit_quietly(bv_load *l, bv_http_client *client) {
    const size_t begin = l->next;
    for (size_t i = 0; i < l->submissions / 2 && !l->failed; i++) {
        BV_TRY(submit(l, client, begin + i, 0, bv_load_choose_solution(l, i)));
        bv_sleep_ms((int)bv_flags_int(l->flags, "pause"));
    }
    l->next += l->submissions / 2;
    return BV_OK;
}

/* Hands in as much as the arena takes until it is enough, then waits for all verdicts. */
static bv_status flood(bv_load *l, bv_http_client *client, size_t user) {
    for (size_t i; !l->enough && !l->failed && (i = l->next_flood++) < l->flood_max;) {
        bv_load_result *r = &l->results[l->submissions + i];
        const bv_load_program *program = bv_load_choose(l, i);
        *r = (bv_load_result){.program = program, .user = user};
        BV_TRY(bv_load_hand_in(l, client, l->submissions + i, r));
        if (r->id)
            l->flooded++;
        else
            r->program = NULL; /* it was enough before */
    }
    for (size_t i = 0; i < l->flood_max && !l->failed; i++) {
        const bv_load_result *r = &l->results[l->submissions + i];
        if (r->user == user && r->program) BV_TRY(bv_load_await(l, client, r));
    }
    return BV_OK;
}

/* The first client is the quiet user. */
static bv_status submit_or_flood(bv_load *l, bv_http_client *client) {
    const size_t user = l->next_client++;
    if (user > 0) return flood(l, client, user);
    bv_sleep_ms(1000); /* until their queues are full */
    bv_error *error = submit_quietly(l, client);
    l->enough = true;
    return error;
}

static bv_status run_client(void *context, size_t index) {
    bv_load *l = context;
    bv_http_client *client = NULL;
    (void)index;
    bv_error *error = bv_http_client_create(bv_flags_argument(l->flags, 0), &client);
    if (!error) error = l->work(l, client);
    bv_http_client_destroy(&client);
    if (error) l->failed = true;
    return error;
}

/* One thread for each client. */
static bv_status run_clients(bv_load *l, bv_load_work *work, int clients) {
    bv_pool *threads;
    l->work = work;
    BV_TRY(bv_pool_create(clients, &threads));
    bv_error *error = bv_tasks_run(threads, (size_t)clients, run_client, l);
    bv_pool_destroy(&threads);
    return error;
}

/* ---- report ---- */

static const char *const kind_names[] = {"right", "wrong", "attack"};

/* Sorts; 0 of none. */
static double percentile(double *times, size_t count, size_t of_100) {
    if (!count) return 0;
    bv_sort(times, count);
    return times[count * of_100 / 100];
}

/* Of one kind and language. */
static json_t *summary(const bv_load *l, bv_load_kind kind, const char *language) {
    double *times = bv_calloc(l->submissions + 1, sizeof *times);
    size_t count = 0;
    for (size_t i = 0; times && i < l->submissions; i++) {
        const bv_load_program *p = l->results[i].program;
        if (p && p->kind == kind && !strcmp(p->language, language))
            times[count++] = l->results[i].total;
    }
    json_t *o = NULL;
    if (count) {
        const double p50 = percentile(times, count, 50) * 1e3;
        const double p95 = percentile(times, count, 95) * 1e3;
        bv_cli_say("  %-7s %-8s %6zu  p50 %7.1f ms  p95 %7.1f ms\n", kind_names[kind], language,
                   count, p50, p95);
        o = json_pack("{ss ss sI sf sf}", "kind", kind_names[kind], "language", language, "count",
                      (json_int_t)count, "p50_ms", p50, "p95_ms", p95);
    }
    bv_free(times);
    return o;
}

static json_t *summaries(const bv_load *l) {
    json_t *groups = json_array();
    for (int kind = 0; kind < BV_LOAD_KINDS; kind++)
        for (const char *const *name = bv_language_names(); *name; name++) {
            json_t *group = summary(l, (bv_load_kind)kind, *name);
            if (group) json_array_append_new(groups, group);
        }
    return groups;
}

/* CPU time of this process, in seconds. */
static double used_cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static bv_status judge_load(const bv_load *l) {
    if (l->unexpected)
        return bv_fail(BV_CODE_FAULT, "%zu verdicts were not as expected", (size_t)l->unexpected);
    if (l->breaches)
        return bv_fail(BV_CODE_FAULT, "%zu attacks got through a wall", (size_t)l->breaches);
    return BV_OK;
}

/* `more`: members to add; taken. */
static bv_status report(bv_load *l, double seconds, json_t *more) {
    json_t *stages = NULL, *attacks = NULL, *groups = summaries(l);
    const double cpu_ms = (used_cpu() - l->cpu_before) * 1e3 / (double)(l->done + l->flooded);
    bv_cli_say("  the load itself used %.2f ms of CPU a submission, %.2f a user\n", cpu_ms,
               l->cpu_of_user * 1e3);
    bv_error *error = bv_load_cost(l, &stages);
    if (!error) error = bv_load_attacks_report(l, &attacks);
    json_t *o =
        json_pack("{sI sI sf sf sI sI sf sf so}", "submissions", (json_int_t)l->done, "users",
                  (json_int_t)bv_flags_int(l->flags, "users"), "seconds", seconds, "per_second",
                  (double)l->done / seconds, "unexpected", (json_int_t)l->unexpected, "retries",
                  (json_int_t)l->retries, "client_cpu_ms", cpu_ms, "client_cpu_ms_of_user",
                  l->cpu_of_user * 1e3, "groups", groups);
    if (stages) json_object_set_new(o, "stages", stages);
    if (attacks) json_object_set_new(o, "attacks", attacks);
    if (more) json_object_update(o, more);
    json_decref(more);
    if (!error && bv_flags_bool(l->flags, "json"))
        error = bv_cli_json(o);
    else
        json_decref(o);
    return error ? error : judge_load(l);
}

/* ---- the two ways ---- */

static bv_status run_many(bv_load *l) {
    const double begin = bv_clock_seconds();
    BV_TRY(run_clients(l, submit_all, (int)bv_flags_int(l->flags, "clients")));
    const double seconds = bv_clock_seconds() - begin;
    bv_cli_say("%zu submissions of %lld users judged in %.1f s: %.1f a second\n", (size_t)l->done,
               (long long)bv_flags_int(l->flags, "users"), seconds, (double)l->done / seconds);
    return report(l, seconds, NULL);
}

/* The p95 of results begin .. begin + count - 1, in ms. */
static bv_status quiet_p95(const bv_load *l, size_t begin, size_t count, double *out) {
    double *times = bv_calloc(count + 1, sizeof *times);
    if (!times) return bv_fail_memory("times");
    for (size_t i = 0; i < count; i++) times[i] = l->results[begin + i].total;
    *out = percentile(times, count, 95) * 1e3;
    bv_free(times);
    return BV_OK;
}

static bv_status run_flood(bv_load *l, int flood) {
    double alone, among;
    const double begin = bv_clock_seconds();
    BV_TRY(run_clients(l, submit_quietly, 1));
    BV_TRY(run_clients(l, submit_or_flood, flood + 1));
    const double seconds = bv_clock_seconds() - begin;
    BV_TRY(quiet_p95(l, 0, l->submissions / 2, &alone));
    BV_TRY(quiet_p95(l, l->submissions / 2, l->submissions / 2, &among));
    bv_cli_say("a quiet user waits %.1f ms (p95) alone, %.1f while %d users flood: %.2f times\n",
               alone, among, flood, among / alone);
    return report(l, seconds,
                  json_pack("{sf sf sf sI}", "alone_p95_ms", alone, "among_p95_ms", among, "ratio",
                            among / alone, "flooded", (json_int_t)l->flooded));
}

/* Flags that say something only beside another one. */
static bv_status check_flags(const bv_flags *flags) {
    static const char *const pairs[][2] = {
        {"attack-share", "attacks"}, {"policy", "attacks"}, {"pause", "flood"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (bv_flags_given(flags, pairs[i][0]) && !bv_flags_given(flags, pairs[i][1]))
            return bv_fail(BV_CODE_USAGE, "--%s says nothing without --%s", pairs[i][0],
                           pairs[i][1]);
    return BV_OK;
}

static bv_status run(bv_load *l) {
    const int flood = (int)bv_flags_int(l->flags, "flood");
    const int64_t users = bv_flags_int(l->flags, "users");
    if (flood >= users)
        return bv_try(bv_fail(BV_CODE_USAGE, "%d of %lld users cannot flood beside a quiet one",
                              flood, (long long)users),
                      "--users %d", flood + 1);
    l->submissions = (size_t)bv_flags_int(l->flags, "submissions");
    if (flood && l->submissions < 2)
        return bv_try(bv_fail(BV_CODE_USAGE, "of one submission none is alone and one among many"),
                      "--submissions 2");
    BV_TRY(check_flags(l->flags));
    BV_TRY(bv_languages_flag_read(l->flags));
    BV_TRY(bv_level_set_load(bv_flags_string(l->flags, "levels"), &l->set));
    BV_TRY(bv_load_programs_gather(l));
    if (bv_flags_given(l->flags, "store"))
        BV_TRY(bv_store_open_present(bv_flags_string(l->flags, "store"), false, &l->store));
    l->flood_max = flood ? FLOOD_MAX : 0;
    l->keys = bv_calloc((size_t)users, sizeof *l->keys);
    l->results = bv_calloc(l->submissions + l->flood_max, sizeof *l->results);
    if (!l->keys || !l->results) return bv_fail_memory("users");
    const double begin = bv_clock_seconds(), cpu = used_cpu();
    BV_TRY(run_clients(l, sign_up_all, (int)bv_flags_int(l->flags, "clients")));
    l->cpu_before = used_cpu();
    l->cpu_of_user = (l->cpu_before - cpu) / (double)users;
    bv_cli_say("%lld users signed up in %.1f s\n", (long long)users, bv_clock_seconds() - begin);
    return flood ? run_flood(l, flood) : run_many(l);
}

static bv_status run_load(const bv_flags *flags) {
    bv_load l = {0};
    l.flags = flags;
    bv_error *error = run(&l);
    bv_load_programs_free(&l);
    bv_free(l.keys);
    bv_free(l.results);
    bv_store_close(&l.store);
    bv_level_set_free(&l.set);
    return error;
}

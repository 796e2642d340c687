#include "arena/checker_check.h"
#include "arena/level_check.h"
#include "arena/level_scaffold.h"
#include "arena/level_set.h"
#include "base/tasks.h"
#include "cli/arena.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/languages_flag.h"
#include "cli/level_maker.h"
#include "cli/policy_flag.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- new ---- */

static const bv_argument new_arguments[] = {{.name = "DIR", .help = "folder of the new level"}};
static bv_status run_new(const bv_flags *flags);
const bv_command bv_arena_new = {
    .name = "arena new",
    .brief = "make a level to fill in",
    .summary = "Makes the folder of a level: a small working example of every part, to be "
               "replaced. Its name is the level's: small letters, digits and hyphens.",
    .example = "beaver arena new levels/11-sorting\n"
               "beaver arena check levels/11-sorting",
    BV_ARGUMENTS(new_arguments),
    .run = run_new,
};

static bv_status run_new(const bv_flags *flags) {
    const char *folder = bv_flags_argument(flags, 0);
    bv_error *error = bv_level_scaffold(folder);
    if (!error)
        bv_cli_say("%s: replace statement, tests, generator and solutions, then: beaver arena "
                   "check %s\n",
                   folder, folder);
    if (!error && bv_flags_bool(flags, "json"))
        error = bv_cli_json(json_pack("{so}", "path", bv_cli_path(folder)));
    return error;
}

/* ---- check ---- */

static const bv_argument check_arguments[] = {
    {.name = "DIR", .help = "a level's folder", .repeated = true}};
static const bv_flag check_flags[] = {BV_LEVEL_MAKER_FLAGS, BV_LANGUAGES_FLAG, BV_POLICY_FLAG};
static bv_status run_check(const bv_flags *flags);
const bv_command bv_arena_check = {
    .name = "arena check",
    .brief = "run a level's own solutions: may it be published?",
    .summary = "Makes a level's hidden tests and judges its own solutions in boxes. Refuses a "
               "level that one of wrong/ passes or one of reference/ fails.",
    .example = "beaver arena check levels/*",
    BV_ARGUMENTS(check_arguments),
    BV_FLAGS(check_flags),
    .threads = "solutions judged at once; 0: one for each usable core",
    .run = run_check,
};

/* What a solution says about itself in one line: of a traceback the last line, else the first. */
static void say_message(const char *message) {
    const char *wrote = strstr(message, "it wrote: ");
    const size_t first = strcspn(message, "\n"), size = strlen(message);
    const size_t head = wrote ? (size_t)(wrote - message) + strlen("it wrote: ") : 0;
    size_t end = size, begin;
    while (end > first && message[end - 1] == '\n') end--;
    for (begin = end; begin > first && message[begin - 1] != '\n';) begin--;
    if (head > 0 && head <= first && begin > first)
        bv_cli_say("%.*s%.*s", (int)head, message, (int)(end - begin), message + begin);
    else
        bv_cli_say("%.*s", (int)first, message);
}

static void say_notes(const bv_level_check *check) {
    if (check->tight)
        bv_cli_say("  a reference needs more than half of the CPU time: a slower judge may refuse "
                   "right solutions\n");
    if (check->same_answers)
        bv_cli_say("  all tests have the same answer: a program that only writes it passes\n");
    if (check->repeated)
        bv_cli_say("  hidden tests that have the input of another one: %zu\n", check->repeated);
    if (check->closed) bv_cli_say("  the deadline has passed: nobody can hand in\n");
}

static void say_check(const bv_level *level, const bv_level_check *check) {
    bv_cli_say("%s: %zu visible and %zu hidden tests\n", level->name, level->visible_count,
               level->test_count - level->visible_count);
    for (size_t i = 0; i < check->count; i++) {
        const bv_level_check_row *row = &check->rows[i];
        bv_cli_say("  %s %-32s %-14s %5.0f ms", row->good ? "ok " : "BAD", row->solution->name,
                   bv_level_verdict_name(row->verdict), (double)row->cpu_ns_max / 1e6);
        if (row->test) bv_cli_say("  %s", row->test->name);
        if (*row->message) bv_cli_say(": ");
        say_message(row->message);
        bv_cli_say("\n");
    }
    say_notes(check);
}

static json_t *check_json(const bv_level *level, const bv_level_check *check) {
    json_t *solutions = json_array();
    for (size_t i = 0; solutions && i < check->count; i++) {
        const bv_level_check_row *row = &check->rows[i];
        json_array_append_new(solutions,
                              json_pack("{ss sb sb ss ss? sf}", "name", row->solution->name,
                                        "reference", row->reference, "good", row->good, "verdict",
                                        bv_level_verdict_name(row->verdict), "test",
                                        row->test ? row->test->name : NULL, "cpu_ms_max",
                                        (double)row->cpu_ns_max / 1e6));
    }
    return json_pack("{ss sb sI sI sb sb sI sb so}", "name", level->name, "good", check->good,
                     "visible", (json_int_t)level->visible_count, "hidden",
                     (json_int_t)(level->test_count - level->visible_count), "tight", check->tight,
                     "same_answers", check->same_answers, "repeated", (json_int_t)check->repeated,
                     "closed", check->closed, "solutions", solutions);
}

/* All solutions of all levels are judged at once, on all threads; a level is told when it and all
 * before it are done. */
typedef struct check_run {
    const bv_flags *flags;
    const bv_level_maker *maker;
    bv_level **levels;
    bv_level_check *checks;
    size_t *left; /* solutions of each level that are not judged yet */
    size_t count, told;
    pthread_mutex_t lock; /* of `left` and `told`, while solutions are judged */
    json_t *list;
    bool good;
} check_run;

static bv_status load_levels(check_run *run) {
    const char *const *folders = bv_flags_arguments(run->flags, &run->count);
    run->levels = bv_calloc(run->count, sizeof *run->levels);
    run->checks = bv_calloc(run->count, sizeof *run->checks);
    run->left = bv_calloc(run->count, sizeof *run->left);
    run->list = json_array();
    if (!run->levels || !run->checks || !run->left || !run->list) return bv_fail_memory("levels");
    for (size_t i = 0; i < run->count; i++) {
        BV_TRY(bv_while(bv_level_load(folders[i], &run->levels[i]), "checking %s", folders[i]));
    }
    for (size_t i = 0; i < run->count; i++) {
        bv_level *level = run->levels[i];
        BV_TRY(bv_level_complete(level, run->maker));
        BV_TRY(bv_checker_check(level, run->maker));
        BV_TRY(bv_level_check_begin(level, &run->checks[i]));
        run->left[i] = run->checks[i].count;
    }
    return BV_OK;
}

static void tell_levels(check_run *run) {
    for (; run->told < run->count && !run->left[run->told]; run->told++) {
        const bv_level *level = run->levels[run->told];
        bv_level_check *check = &run->checks[run->told];
        bv_level_check_end(level, check);
        say_check(level, check);
        json_array_append_new(run->list, check_json(level, check));
        run->good = run->good && check->good;
    }
}

static bv_status judge_solution(void *context, size_t index) {
    check_run *run = context;
    size_t i = 0;
    while (index >= run->checks[i].count) index -= run->checks[i++].count;
    BV_TRY(bv_while(
        bv_level_check_judge(run->maker->pool, run->levels[i], &run->checks[i].rows[index]),
        "checking %s", run->levels[i]->name));
    pthread_mutex_lock(&run->lock);
    run->left[i]--;
    tell_levels(run);
    pthread_mutex_unlock(&run->lock);
    return BV_OK;
}

static bv_status check_all(check_run *run) {
    size_t solutions = 0;
    BV_TRY(load_levels(run));
    for (size_t i = 0; i < run->count; i++) solutions += run->checks[i].count;
    BV_TRY(bv_tasks_run(run->maker->threads, solutions, judge_solution, run));
    if (bv_flags_bool(run->flags, "json"))
        BV_TRY(bv_cli_json(json_pack("{sb sO}", "good", run->good, "levels", run->list)));
    if (run->good) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "a solution of reference/ fails, or one of wrong/ passes");
}

static void free_run(check_run *run) {
    for (size_t i = 0; run->checks && i < run->count; i++) bv_level_check_free(&run->checks[i]);
    for (size_t i = 0; run->levels && i < run->count; i++) bv_level_free(&run->levels[i]);
    bv_free(run->levels);
    bv_free(run->checks);
    bv_free(run->left);
    json_decref(run->list);
    pthread_mutex_destroy(&run->lock);
}

static bv_status run_check(const bv_flags *flags) {
    bv_sandbox_pool *pool = NULL;
    bv_level_maker_use use = {0};
    bv_sandbox_options options = {.warm_python = true};
    check_run run = {
        .flags = flags, .maker = &use.maker, .lock = PTHREAD_MUTEX_INITIALIZER, .good = true};
    bv_error *error = bv_policy_flag_read(flags, &options.policy);
    if (!error) error = bv_languages_flag_read(flags);
    if (!error) error = bv_sandbox_pool_create(&options, &pool);
    if (!error) error = bv_level_maker_begin(flags, pool, &use);
    if (!error) error = check_all(&run);
    free_run(&run);
    bv_level_maker_end(&use);
    bv_sandbox_pool_destroy(&pool);
    return error;
}

/* ---- list ---- */

static const bv_argument list_arguments[] = {{.name = "DIR", .help = "a folder of levels"}};
static const bv_flag list_flags[] = {BV_LANGUAGES_FLAG};
static bv_status run_list(const bv_flags *flags);
const bv_command bv_arena_list = {
    .name = "arena list",
    .brief = "the levels of a folder",
    .summary = "Lists the levels of a folder. Runs nothing.",
    .example = "beaver arena list levels",
    BV_ARGUMENTS(list_arguments),
    BV_FLAGS(list_flags),
    .run = run_list,
};

static void format_deadline(int64_t ms, char text[32]) {
    struct tm when;
    const time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &when);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &when);
}

static json_t *level_json(const bv_level *level) {
    char deadline[32] = "";
    json_t *languages = json_array();
    for (size_t i = 0; languages && i < level->language_count; i++)
        json_array_append_new(languages, json_string(level->languages[i]));
    if (level->deadline_ms) format_deadline(level->deadline_ms, deadline);
    return json_pack("{ss ss sI sI sI so ss? ss}", "name", level->name, "title", level->title,
                     "points", (json_int_t)level->points, "visible",
                     (json_int_t)level->visible_count, "hidden",
                     (json_int_t)(level->test_count - level->visible_count), "languages", languages,
                     "deadline", *deadline ? deadline : NULL, "hash", level->hash);
}

static bv_status print_level(const bv_level *level) {
    char line[400];
    const int n = snprintf(line, sizeof line, "%-24s %5lld points  %s\n", level->name,
                           (long long)level->points, level->title);
    return bv_cli_print(line, (size_t)n);
}

static bv_status run_list(const bv_flags *flags) {
    bv_level_set set = {0};
    const bool as_json = bv_flags_bool(flags, "json");
    json_t *list = json_array();
    bv_error *error = bv_languages_flag_read(flags);
    if (!error) error = bv_level_set_load(bv_flags_argument(flags, 0), &set);
    for (size_t i = 0; !error && i < set.count; i++) {
        if (as_json)
            json_array_append_new(list, level_json(set.levels[i]));
        else
            error = print_level(set.levels[i]);
    }
    if (!error && as_json) error = bv_cli_json(json_pack("{sO}", "levels", list));
    json_decref(list);
    bv_level_set_free(&set);
    return error;
}

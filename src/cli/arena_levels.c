#include "arena/level_check.h"
#include "arena/level_scaffold.h"
#include "arena/level_tests.h"
#include "base/file.h"
#include "cli/arena.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/machine_flags.h"
#include "cli/policy_flag.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- new ---- */

static const bv_argument new_arguments[] = {{.name = "DIR", .help = "folder of the new level"}};
static const bv_command new_command = {
    .name = "arena new",
    .summary = "Makes the folder of a level: a small working example of every part, to be "
               "replaced. Its name is the level's: small letters, digits and hyphens.",
    .example = "beaver arena new levels/11-sorting\n"
               "beaver arena check levels/11-sorting",
    .arguments = new_arguments,
    .argument_count = 1,
};

bv_status bv_arena_new(int argc, char **argv) {
    bv_flags *flags;
    BV_TRY(bv_flags_parse(&new_command, argc, argv, &flags));
    if (!flags) return BV_OK;
    const char *folder = bv_flags_argument(flags, 0);
    bv_error *error = bv_level_scaffold(folder);
    if (!error)
        bv_cli_say("%s: replace statement, tests, generator and solutions, then: beaver arena "
                   "check %s\n",
                   folder, folder);
    bv_flags_free(&flags);
    return error;
}

/* ---- check ---- */

static const bv_argument check_arguments[] = {
    {.name = "DIR", .help = "a level's folder", .repeated = true}};
static const bv_flag check_flags[] = {BV_POLICY_FLAG, BV_JSON_FLAG};
static const bv_command check_command = {
    .name = "arena check",
    .summary = "Makes a level's hidden tests and judges its own solutions in boxes. Refuses a "
               "level that one of wrong/ passes or one of reference/ fails.",
    .example = "beaver arena check levels/*",
    .arguments = check_arguments,
    .argument_count = 1,
    .flags = check_flags,
    .flag_count = sizeof check_flags / sizeof *check_flags,
};

static void say_check(const bv_level *level, const bv_level_check *check) {
    bv_cli_say("%s: %zu visible and %zu hidden tests\n", level->name, level->visible_count,
               level->test_count - level->visible_count);
    for (size_t i = 0; i < check->count; i++) {
        const bv_level_check_row *row = &check->rows[i];
        bv_cli_say("  %s %-32s %-14s %5.0f ms", row->good ? "ok " : "BAD", row->solution->name,
                   bv_level_verdict_name(row->verdict), (double)row->cpu_ns_max / 1e6);
        if (row->test) bv_cli_say("  %s", row->test->name);
        const int line = (int)strcspn(row->message, "\n"); /* a traceback's first line is enough */
        bv_cli_say("%s%.*s\n", line ? ": " : "", line, row->message);
    }
    if (check->tight)
        bv_cli_say("  a reference needs more than half of the CPU time: a slower judge may refuse "
                   "right solutions\n");
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
    return json_pack("{ss sb sI sI sb so}", "name", level->name, "good", check->good, "visible",
                     (json_int_t)level->visible_count, "hidden",
                     (json_int_t)(level->test_count - level->visible_count), "tight", check->tight,
                     "solutions", solutions);
}

/* Appends to `list`; *good becomes false for a level that is refused. */
static bv_status check_level(bv_sandbox_pool *pool, const char *folder, json_t *list, bool *good) {
    bv_level *level = NULL;
    bv_level_check check = {0};
    bv_error *error = bv_level_load(folder, &level);
    if (!error) error = bv_level_complete(level, pool);
    if (!error) error = bv_level_check_run(pool, level, &check);
    if (!error) {
        say_check(level, &check);
        json_array_append_new(list, check_json(level, &check));
        *good = *good && check.good;
    }
    bv_level_check_free(&check);
    bv_level_free(&level);
    return bv_while(error, "checking %s", folder);
}

static bv_status check_all(const bv_flags *flags, bv_sandbox_pool *pool) {
    bool good = true;
    json_t *list = json_array();
    bv_error *error = BV_OK;
    for (size_t i = 0; !error && i < bv_flags_argument_count(flags); i++)
        error = check_level(pool, bv_flags_argument(flags, i), list, &good);
    if (!error && bv_flags_bool(flags, "json"))
        error = bv_cli_json(json_pack("{sb sO}", "good", good, "levels", list));
    json_decref(list);
    if (!error && !good)
        error = bv_fail(BV_CODE_INPUT, "a solution of reference/ fails, or one of wrong/ passes");
    return error;
}

bv_status bv_arena_check(int argc, char **argv) {
    bv_flags *flags;
    bv_sandbox_pool *pool = NULL;
    bv_sandbox_options options = {.warm_python = true};
    BV_TRY(bv_flags_parse(&check_command, argc, argv, &flags));
    if (!flags) return BV_OK;
    bv_error *error = bv_policy_flag_read(flags, &options.policy);
    if (!error) error = bv_sandbox_pool_create(&options, &pool);
    if (!error) error = check_all(flags, pool);
    bv_sandbox_pool_destroy(&pool);
    bv_flags_free(&flags);
    return error;
}

/* ---- list ---- */

static const bv_argument list_arguments[] = {{.name = "DIR", .help = "a folder of levels"}};
static const bv_flag list_flags[] = {BV_JSON_FLAG};
static const bv_command list_command = {
    .name = "arena list",
    .summary = "Lists the levels of a folder. Runs nothing.",
    .example = "beaver arena list levels",
    .arguments = list_arguments,
    .argument_count = 1,
    .flags = list_flags,
    .flag_count = sizeof list_flags / sizeof *list_flags,
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

static bv_status list_one(const char *folder, const char *name, bool as_json, json_t *list) {
    bv_level *level = NULL;
    char *path = bv_path_join(folder, name), *file = path ? bv_path_join(path, "level.json") : NULL;
    bv_error *error = file ? BV_OK : bv_fail_memory("a path");
    if (!error && bv_file_exists(file)) {
        error = bv_level_load(path, &level);
        char line[400];
        const int n = error ? 0
                            : snprintf(line, sizeof line, "%-24s %5lld points  %s\n", level->name,
                                       (long long)level->points, level->title);
        if (!error && !as_json) error = bv_cli_print(line, (size_t)n);
        if (!error) json_array_append_new(list, level_json(level));
    }
    bv_level_free(&level);
    bv_free(path);
    bv_free(file);
    return error;
}

bv_status bv_arena_list(int argc, char **argv) {
    bv_flags *flags;
    char **names = NULL;
    size_t count = 0;
    BV_TRY(bv_flags_parse(&list_command, argc, argv, &flags));
    if (!flags) return BV_OK;
    const char *folder = bv_flags_argument(flags, 0);
    const bool as_json = bv_flags_bool(flags, "json");
    json_t *list = json_array();
    bv_error *error = bv_dir_list(folder, &names, &count);
    for (size_t i = 0; !error && i < count; i++) error = list_one(folder, names[i], as_json, list);
    if (!error && json_array_size(list) == 0)
        error = bv_try(bv_fail(BV_CODE_INPUT, "%s has no levels", folder),
                       "a folder whose folders have a level.json, as levels");
    if (!error && as_json) error = bv_cli_json(json_pack("{sO}", "levels", list));
    json_decref(list);
    for (size_t i = 0; i < count; i++) bv_free(names[i]);
    bv_free(names);
    bv_flags_free(&flags);
    return error;
}

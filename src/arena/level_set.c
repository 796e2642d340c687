#include "arena/level_set.h"

#include "arena/language.h"
#include "base/file.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

#define PROGRAM_BYTES_MAX ((size_t)64 << 20) /* of submissions that are kept compiled */
#define EXAMPLE_BYTES_MAX 4000               /* of an input or output that is shown */

/* ---- what is shown ---- */

static json_t *shown(const bv_buffer *bytes) {
    static const char more[] = "\n...";
    if (!bytes->data) return json_string("");
    size_t size = bytes->size < EXAMPLE_BYTES_MAX ? bytes->size : EXAMPLE_BYTES_MAX;
    size = bv_utf8_valid_prefix(bytes->data, size);
    if (size == bytes->size) return json_stringn(bytes->data, size);
    bv_buffer cut = {0};
    bv_buffer_append(&cut, bytes->data, size);
    bv_buffer_text(&cut, more);
    json_t *text = cut.failed ? NULL : json_stringn(cut.data, cut.size);
    bv_buffer_free(&cut);
    return text;
}

static json_t *examples_of(const bv_level *level) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < level->visible_count; i++) {
        const bv_level_test *test = &level->tests[i];
        const bool known = level->complete || !test->answer_made;
        json_array_append_new(list, json_pack("{ss so so}", "name", test->name, "input",
                                              shown(&test->input), "output",
                                              known ? shown(&test->answer) : json_null()));
    }
    return list;
}

static bv_status show(const bv_level *level, bv_site_level *out) {
    const bv_sandbox_limits *l = &level->limits;
    *out = (bv_site_level){.name = level->name,
                           .title = level->title,
                           .statement = level->statement,
                           .languages = level->languages,
                           .language_count = level->language_count,
                           .points = level->points,
                           .deadline_ms = level->deadline_ms,
                           .examples = examples_of(level)};
    out->limits = json_pack("{sf sI}", "cpu_seconds", (double)l->cpu_ns * 1e-9, "memory_bytes",
                            (json_int_t)l->memory_bytes);
    return out->examples && out->limits ? BV_OK : bv_fail_memory("levels");
}

/* ---- loading ---- */

static bv_status load_one(const char *path, bv_level_set *set) {
    bv_level **level = &set->levels[set->count];
    BV_TRY(bv_level_load(path, level));
    bv_site_level *site_level = &set->site_levels[set->count++];
    bv_buffer_printf(&set->names, "%s%s,", set->count == 1 ? "," : "", (*level)->name);
    BV_TRY(bv_buffer_error(&set->names));
    return show(*level, site_level);
}

static bv_status load_named(const char *folder, char **names, size_t count, bv_level_set *set) {
    set->levels = bv_calloc(count + 1, sizeof *set->levels);
    set->site_levels = bv_calloc(count + 1, sizeof *set->site_levels);
    bv_error *error = set->levels && set->site_levels ? BV_OK : bv_fail_memory("levels");
    for (size_t i = 0; !error && i < count; i++) {
        char *path = bv_path_join(folder, names[i]);
        char *file = path ? bv_path_join(path, "level.json") : NULL;
        if (!file)
            error = bv_fail_memory("a path");
        else if (bv_file_exists(file))
            error = load_one(path, set);
        bv_free(path);
        bv_free(file);
    }
    return error;
}

bv_status bv_level_set_load(const char *folder, bv_level_set *out) {
    char **names = NULL;
    size_t count = 0;
    BV_TRY(bv_dir_list(folder, &names, &count));
    bv_error *error = load_named(folder, names, count, out);
    bv_names_free(names, count);
    if (!error && !out->count)
        error = bv_try(bv_fail(BV_CODE_INPUT, "%s has no levels", folder),
                       "a folder whose folders have a level.json, as levels");
    return error;
}

static void free_shown(bv_site_level *level) {
    json_decref(level->examples);
    json_decref(level->limits);
    *level = (bv_site_level){0};
}

static bv_status prepare_languages(const bv_level *level, bv_sandbox_pool *pool) {
    for (size_t i = 0; i < level->language_count; i++) {
        const bv_language *language = bv_language_find(level->languages[i]);
        if (language) BV_TRY(bv_language_prepare(pool, language));
    }
    return BV_OK;
}

bv_status bv_level_set_complete(bv_level_set *set, const bv_level_maker *maker) {
    set->tools.pool = maker->pool;
    BV_TRY(bv_program_cache_create(PROGRAM_BYTES_MAX, &set->tools.programs));
    for (size_t i = 0; i < set->count; i++) {
        BV_TRY(prepare_languages(set->levels[i], maker->pool));
        BV_TRY(bv_level_complete(set->levels[i], maker));
        set->recalled += set->levels[i]->recalled;
        free_shown(&set->site_levels[i]);
        BV_TRY(show(set->levels[i], &set->site_levels[i]));
    }
    return BV_OK;
}

void bv_level_set_free(bv_level_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        free_shown(&set->site_levels[i]);
        bv_level_free(&set->levels[i]);
    }
    bv_free(set->levels);
    bv_free(set->site_levels);
    bv_buffer_free(&set->names);
    bv_program_cache_destroy(&set->tools.programs);
    *set = (bv_level_set){0};
}

/* ---- judging ---- */

static const bv_level *find(const bv_level_set *set, const char *name) {
    for (size_t i = 0; i < set->count; i++)
        if (!strcmp(set->levels[i]->name, name)) return set->levels[i];
    return NULL;
}

bv_status bv_level_set_judge(void *context, const bv_lease *lease, bv_judged *out) {
    const bv_level_set *set = context;
    const bv_level *level = find(set, lease->level);
    bv_level_judgement j = {0};
    if (!level) return bv_fail(BV_CODE_INPUT, "this judge has no level \"%s\"", lease->level);
    bv_error *error = bv_judge_level(&set->tools, level, lease->language, lease->source.data,
                                     lease->source.size, &j);
    if (!error) {
        json_t *detail = bv_level_judgement_json(level, &j);
        snprintf(out->verdict, sizeof out->verdict, "%s", bv_level_verdict_name(j.verdict));
        out->score = j.score;
        out->points = level->points;
        out->cost = (bv_judge_cost){.compile_us = (int64_t)(j.compile_wall_ns / 1000),
                                    .run_us = (int64_t)(j.run_wall_ns / 1000),
                                    .check_us = (int64_t)(j.check_wall_ns / 1000),
                                    .runs = (int64_t)j.run_count};
        error = bv_json_text(detail, 0, &out->detail);
        json_decref(detail);
    }
    bv_level_judgement_free(&j);
    return error;
}

/*
 * level.json: each member is a row of a table with the function that reads it; what is not in the
 * table is refused. Afterwards come the rules that concern two members.
 */
#include "arena/language.h"
#include "arena/level_read.h"
#include "base/quantity.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define SECOND 1000000000ull
#define COUNT(table) (sizeof(table) / sizeof *(table))

typedef struct reading {
    bv_level *level;
    bv_level_config *config;
    bool has_seed, has_tolerance;
} reading;

typedef struct member {
    const char *name;
    bool required;
    bv_status (*read)(reading *r, const char *key, const json_t *value);
} member;

static bv_status no_memory(void) {
    return bv_fail_memory("a level");
}

/* Unknown keys, then missing ones, then each member. */
static bv_status read_members(reading *r, const json_t *object, const member *table, size_t count) {
    const char *names[16];
    BV_ASSERT(count <= COUNT(names));
    for (size_t i = 0; i < count; i++) names[i] = table[i].name;
    BV_TRY(bv_json_check_members(object, names, count));
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, table[i].name);
        if (!value && table[i].required)
            return bv_fail(BV_CODE_INPUT, "member \"%s\" is missing", table[i].name);
        if (value) BV_TRY(table[i].read(r, table[i].name, value));
    }
    return BV_OK;
}

static bv_status need_string(const char *key, const json_t *value, const char **out) {
    if (!json_is_string(value)) return bv_fail(BV_CODE_INPUT, "\"%s\" is not a string", key);
    *out = json_string_value(value);
    if (strlen(*out) != json_string_length(value))
        return bv_fail(BV_CODE_INPUT, "\"%s\" has a zero byte", key);
    return BV_OK;
}

static bv_status need_int(const char *key, const json_t *value, int64_t min, int64_t max,
                          int64_t *out) {
    if (!json_is_integer(value)) return bv_fail(BV_CODE_INPUT, "\"%s\" is not a whole number", key);
    *out = json_integer_value(value);
    if (*out < min || *out > max)
        return bv_fail(BV_CODE_INPUT, "\"%s\": %lld is not between %lld and %lld", key,
                       (long long)*out, (long long)min, (long long)max);
    return BV_OK;
}

/* One of some names. */
static bv_status need_name(const char *key, const char *word, const char *const *names,
                           size_t count, size_t *out) {
    for (*out = 0; *out < count; (*out)++)
        if (!strcmp(names[*out], word)) return BV_OK;
    bv_error *error = bv_fail(BV_CODE_INPUT, "\"%s\": \"%.60s\" is not known", key, word);
    const char *near = bv_suggest(word, names, count);
    return bv_try(error, "\"%s\"", near ? near : names[0]);
}

/* ---- the members ---- */

static bv_status read_title(reading *r, const char *key, const json_t *value) {
    const char *text;
    BV_TRY(need_string(key, value, &text));
    if (!*text || strlen(text) > 200 || strpbrk(text, "\r\n\t"))
        return bv_fail(BV_CODE_INPUT, "\"%s\" is not one line of 1 to 200 bytes", key);
    r->level->title = bv_arena_strdup(r->level->arena, text);
    return r->level->title ? BV_OK : no_memory();
}

static bv_status read_points(reading *r, const char *key, const json_t *value) {
    return need_int(key, value, 1, 1000000, &r->level->points);
}

static bv_status read_seed(reading *r, const char *key, const json_t *value) {
    r->has_seed = true;
    return need_int(key, value, 0, 1000000000, &r->level->seed);
}

static bv_status read_tolerance(reading *r, const char *key, const json_t *value) {
    const double tolerance = json_number_value(value);
    if (!json_is_number(value) || !(tolerance > 0 && tolerance < 1))
        return bv_fail(BV_CODE_INPUT, "\"%s\" is not a number between 0 and 1", key);
    r->has_tolerance = true;
    r->level->check.tolerance = tolerance;
    return BV_OK;
}

static bv_status read_languages(reading *r, const char *key, const json_t *value) {
    bv_level *level = r->level;
    const char *const *names = bv_language_names(), *word;
    const size_t count = json_array_size(value);
    size_t known = 0;
    while (names[known]) known++;
    if (count == 0 || count > known)
        return bv_fail(BV_CODE_INPUT, "\"%s\" is not a list of 1 to %zu languages", key, known);
    level->languages = bv_arena_alloc(level->arena, count * sizeof *level->languages);
    if (!level->languages) return no_memory();
    for (size_t i = 0, which; i < count; i++) {
        BV_TRY(need_string(key, json_array_get(value, i), &word));
        BV_TRY(need_name(key, word, names, known, &which));
        if (bv_level_accepts(level, names[which]))
            return bv_fail(BV_CODE_INPUT, "\"%s\" names %s twice", key, word);
        level->languages[level->language_count++] = names[which];
    }
    return BV_OK;
}

bool bv_level_parse_deadline(const char *text, int64_t *ms) {
    int y, mo, d, h, mi, s, end = 0;
    if (strlen(text) != 20 || strspn(text, "0123456789-T:Z") != 20) return false;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &y, &mo, &d, &h, &mi, &s, &end) != 6 ||
        end != 20)
        return false;
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (y < 1970 || mo < 1 || mo > 12 || d < 1 || d > days[mo - 1] + (leap && mo == 2))
        return false;
    if (h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 59) return false;
    int64_t day = d - 1;
    for (int i = 0; i < mo - 1; i++) day += days[i] + (leap && i == 1);
    const int64_t before = y - 1;
    day += before * 365 + before / 4 - before / 100 + before / 400;
    day -= 1969ll * 365 + 1969 / 4 - 1969 / 100 + 1969 / 400; /* of 1970-01-01 */
    *ms = (((day * 24 + h) * 60 + mi) * 60 + s) * 1000;
    return true;
}

static bv_status read_deadline(reading *r, const char *key, const json_t *value) {
    const char *text;
    BV_TRY(need_string(key, value, &text));
    if (bv_level_parse_deadline(text, &r->level->deadline_ms)) return BV_OK;
    return bv_try(bv_fail(BV_CODE_INPUT, "\"%s\": \"%.40s\" is not a time in UTC", key, text),
                  "\"2030-12-31T23:59:59Z\"");
}

static bv_status read_scoring(reading *r, const char *key, const json_t *value) {
    static const char *const names[] = {"all", "each"};
    const char *word;
    size_t which;
    BV_TRY(need_string(key, value, &word));
    BV_TRY(need_name(key, word, names, 2, &which));
    r->level->scoring = (bv_level_scoring)which;
    return BV_OK;
}

/* A name of a file in the level's own folder. */
static bv_status need_file(reading *r, const char *key, const json_t *value, const char **out) {
    const char *text;
    BV_TRY(need_string(key, value, &text));
    if (!*text || *text == '.' || strlen(text) > 100 || strchr(text, '/'))
        return bv_fail(BV_CODE_INPUT, "\"%s\": \"%.60s\" is not a file of the level's folder", key,
                       text);
    *out = bv_arena_strdup(r->level->arena, text);
    return *out ? BV_OK : no_memory();
}

static bv_status read_generator(reading *r, const char *key, const json_t *value) {
    return need_file(r, key, value, &r->config->generator);
}

/* A word is one of ours, a name with a dot is a program. */
static bv_status read_checker(reading *r, const char *key, const json_t *value) {
    const char *word;
    size_t which;
    BV_TRY(need_string(key, value, &word));
    if (strchr(word, '.')) return need_file(r, key, value, &r->config->checker);
    BV_TRY(bv_try(need_name(key, word, bv_answer_check_names, BV_CHECK_COUNT, &which),
                  "a program, as \"checker.py\""));
    r->level->check.kind = (bv_answer_check_kind)which;
    return BV_OK;
}

/* ---- tests and limits: objects of their own ---- */

static bv_status read_visible(reading *r, const char *key, const json_t *value) {
    return need_int(key, value, 0, BV_LEVEL_TESTS_MAX, &r->config->visible);
}

static bv_status read_hidden(reading *r, const char *key, const json_t *value) {
    return need_int(key, value, 1, BV_LEVEL_TESTS_MAX, &r->config->hidden);
}

static bv_status read_tests(reading *r, const char *key, const json_t *value) {
    static const member table[] = {{"visible", true, read_visible}, {"hidden", true, read_hidden}};
    if (!json_is_object(value)) return bv_fail(BV_CODE_INPUT, "\"%s\" is not an object", key);
    return bv_while(read_members(r, value, table, COUNT(table)), "reading \"%s\"", key);
}

static bv_status read_time(const json_t *limits, const char *key, uint64_t *out) {
    const json_t *value = json_object_get(limits, key);
    const char *text;
    if (!value) return BV_OK;
    BV_TRY(need_string(key, value, &text));
    if (bv_parse_duration(text, out) && *out >= SECOND / 100 && *out <= 600 * SECOND) return BV_OK;
    return bv_try(
        bv_fail(BV_CODE_INPUT, "\"%s\": \"%.40s\" is not a time of 10 ms to 10 minutes", key, text),
        "\"2s\" or \"250ms\"");
}

static bv_status read_size(const json_t *limits, const char *key, uint64_t min, uint64_t *out) {
    const json_t *value = json_object_get(limits, key);
    const char *text;
    if (!value) return BV_OK;
    BV_TRY(need_string(key, value, &text));
    if (bv_parse_bytes(text, out) && *out >= min && *out <= 16000000000ull) return BV_OK;
    return bv_try(bv_fail(BV_CODE_INPUT, "\"%s\": \"%.40s\" is not a size of %llu bytes to 16G",
                          key, text, (unsigned long long)min),
                  "\"256M\" or \"64K\"");
}

/* Those that are not there stay as they are. */
static bv_status fill_limits(const json_t *value, bv_sandbox_limits *l) {
    static const char *const names[] = {"cpu", "wall", "memory", "output", "files", "pids"};
    const json_t *number = json_object_get(value, "pids");
    int64_t pids = l->pids;
    BV_TRY(bv_json_check_members(value, names, COUNT(names)));
    BV_TRY(read_time(value, "cpu", &l->cpu_ns));
    BV_TRY(read_time(value, "wall", &l->wall_ns));
    BV_TRY(read_size(value, "memory", 8 << 20, &l->memory_bytes));
    BV_TRY(read_size(value, "output", 1, &l->output_bytes));
    BV_TRY(read_size(value, "files", 64000, &l->files_bytes));
    if (number) BV_TRY(need_int("pids", number, 1, 1024, &pids));
    l->pids = (uint32_t)pids;
    return BV_OK;
}

static bv_status read_limits(reading *r, const char *key, const json_t *value) {
    bv_sandbox_limits *limits = &r->level->limits;
    if (!json_is_object(value)) return bv_fail(BV_CODE_INPUT, "\"%s\" is not an object", key);
    BV_TRY(bv_while(fill_limits(value, limits), "reading \"%s\"", key));
    if (json_object_get(value, "cpu") && !json_object_get(value, "wall"))
        limits->wall_ns = 2 * limits->cpu_ns;
    if (limits->wall_ns < limits->cpu_ns)
        return bv_try(bv_fail(BV_CODE_INPUT, "limits: the wall time is shorter than the CPU time, "
                                             "which could never be used up"),
                      "\"wall\" of twice \"cpu\"");
    return BV_OK;
}

/* ---- all of it ---- */

static const member members[] = {
    {"title", true, read_title},          {"points", true, read_points},
    {"languages", false, read_languages}, {"limits", false, read_limits},
    {"deadline", false, read_deadline},   {"scoring", false, read_scoring},
    {"tests", true, read_tests},          {"generator", false, read_generator},
    {"seed", false, read_seed},           {"checker", true, read_checker},
    {"tolerance", false, read_tolerance},
};

static bv_status check_together(const reading *r) {
    const bool numbers = !r->config->checker && r->level->check.kind == BV_CHECK_NUMBERS;
    if (r->has_seed && !r->config->generator)
        return bv_try(bv_fail(BV_CODE_INPUT, "\"seed\" without \"generator\""),
                      "leave \"seed\" out, or name the generator");
    if (r->has_tolerance && !numbers)
        return bv_try(bv_fail(BV_CODE_INPUT, "\"tolerance\" without the checker \"numbers\""),
                      "\"checker\": \"numbers\"");
    if (numbers && !r->has_tolerance)
        return bv_try(bv_fail(BV_CODE_INPUT, "the checker \"numbers\" needs a \"tolerance\""),
                      "\"tolerance\": 1e-6");
    return BV_OK;
}

/* Without a list every language with a source that people can read is accepted. */
static bv_status accept_all(bv_level *level) {
    const char *const *names = bv_language_names();
    size_t count = 0;
    while (names[count]) count++;
    level->languages = bv_arena_alloc(level->arena, count * sizeof *level->languages);
    if (!level->languages) return no_memory();
    for (size_t i = 0; i < count; i++)
        if (!bv_level_is_binary(names[i])) level->languages[level->language_count++] = names[i];
    return BV_OK;
}

bv_status bv_level_read_config(bv_level *level, const char *json, size_t size, const char *origin,
                               bv_level_config *config) {
    json_t *object;
    reading r = {.level = level, .config = config};
    *config = (bv_level_config){0};
    bv_sandbox_limits_default(&level->limits);
    BV_TRY(bv_json_parse(json, size, origin, &object));
    bv_error *error = BV_OK;
    if (!json_is_object(object)) error = bv_fail(BV_CODE_INPUT, "not an object");
    if (!error) error = read_members(&r, object, members, COUNT(members));
    if (!error) error = check_together(&r);
    if (!error && level->language_count == 0) error = accept_all(level);
    json_decref(object);
    return bv_while(error, "reading %s", origin);
}

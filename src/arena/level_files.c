/*
 * The files of a level: tests, the author's programs, solutions. Regular files only: a link in a
 * level's folder could show any file of the judge to whoever reads the statement.
 */
#include "arena/language.h"
#include "arena/level_read.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The path of what stands under this name; nothing on the way there may be a link. */
static bv_status find(const char *folder, const char *name, char path[PATH_MAX], struct stat *s) {
    if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return bv_fail(BV_CODE_INPUT, "the path %s/%s is too long", folder, name);
    for (char *slash = path + strlen(folder); slash;) {
        slash = strchr(slash + 1, '/');
        if (slash) *slash = 0;
        if (lstat(path, s) != 0) return bv_fail_errno("cannot read %s", path);
        if (S_ISLNK(s->st_mode))
            return bv_try(bv_fail(BV_CODE_INPUT, "%s is a link", path), "a copy of what it names");
        if (slash) *slash = '/';
    }
    return BV_OK;
}

bv_status bv_level_read_file(const char *folder, const char *name, size_t size_max,
                             bv_buffer *out) {
    char path[PATH_MAX];
    struct stat s;
    BV_TRY(find(folder, name, path, &s));
    if (!S_ISREG(s.st_mode)) return bv_fail(BV_CODE_INPUT, "%s is not a regular file", path);
    if ((uint64_t)s.st_size > size_max)
        return bv_fail(BV_CODE_INPUT, "%s has %lld bytes, %zu are allowed", path,
                       (long long)s.st_size, size_max);
    BV_TRY(bv_file_read(path, out));
    return bv_buffer_error(out);
}

/* Files of tools: .DS_Store, or a text that is being edited; not a test without a name. */
static bool is_of_a_tool(const char *name) {
    const char *end = strrchr(name, '.');
    return name[0] == '.' && strcmp(end, ".in") != 0 && strcmp(end, ".out") != 0;
}

static void drop_hidden(char **names, size_t *count) {
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (is_of_a_tool(names[i]))
            bv_free(names[i]);
        else
            names[kept++] = names[i];
    }
    *count = kept;
}

/* Names are shown as JSON, which holds no others. */
static bv_status check_names(char *const *names, size_t count, const char *folder) {
    for (size_t i = 0; i < count; i++)
        if (names[i][bv_utf8_valid_prefix(names[i], strlen(names[i]))])
            return bv_try(bv_fail(BV_CODE_INPUT, "%s/%s: the name is not UTF-8", folder, names[i]),
                          "another name");
    return BV_OK;
}

/* The caller frees the names, whatever is returned. */
static bv_status list_folder(const char *folder, const char *name, char ***names, size_t *count) {
    char path[PATH_MAX];
    struct stat s;
    *names = NULL;
    *count = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!bv_dir_exists(path)) return BV_OK;
    BV_TRY(find(folder, name, path, &s));
    BV_TRY(bv_dir_list(path, names, count));
    drop_hidden(*names, count);
    return check_names(*names, *count, name);
}

/* ---- programs ---- */

/* The language of a file by the end of its name; of several (c, c-tcc) the one that is first in the
 * alphabet. NULL: none. */
static const char *language_of(const char *file) {
    const char *end = strrchr(file, '.'), *best = NULL;
    const char *const *names = bv_language_names();
    for (size_t i = 0; end && names[i]; i++) {
        const char *other = strrchr(bv_language_find(names[i])->source, '.');
        if (other && !strcmp(end, other) && (!best || strcmp(names[i], best) < 0)) best = names[i];
    }
    return best;
}

static bv_status read_program(bv_level *level, const char *folder, const char *name,
                              bv_level_program *p) {
    p->language = language_of(name);
    if (!p->language)
        return bv_try(bv_fail(BV_CODE_INPUT, "%s is in no language of the arena", name),
                      "a name that ends as in solution.py or solution.c");
    if (!(p->name = bv_arena_strdup(level->arena, name))) return bv_fail_memory("a level");
    return bv_level_read_file(folder, name, BV_SOURCE_BYTES_MAX, &p->source);
}

static bv_status read_single(bv_level *level, const char *folder, const char *key, const char *name,
                             bv_level_programs *out) {
    if (!name) return BV_OK;
    out->list = bv_arena_alloc(level->arena, sizeof *out->list);
    if (!out->list) return bv_fail_memory("a level");
    out->count = 1;
    return bv_while(read_program(level, folder, name, out->list), "reading \"%s\"", key);
}

/* All files of reference/ or wrong/. */
static bv_status read_solutions(bv_level *level, const char *folder, const char *which,
                                bv_level_programs *out) {
    char **names;
    size_t count;
    bv_error *error = list_folder(folder, which, &names, &count);
    out->list = bv_arena_alloc(level->arena, (count + 1) * sizeof *out->list);
    if (!error && !out->list) error = bv_fail_memory("a level");
    for (size_t i = 0; !error && i < count; i++) {
        const char *name = bv_arena_printf(level->arena, "%s/%s", which, names[i]);
        if (!name) error = bv_fail_memory("a level");
        if (!error) error = read_program(level, folder, name, &out->list[out->count]);
        if (!error && !bv_level_accepts(level, out->list[out->count].language))
            error = bv_fail(BV_CODE_INPUT, "%s is in %s, which \"languages\" does not accept", name,
                            out->list[out->count].language);
        out->count++; /* also a half-read one has to be freed */
    }
    if (!error && count == 0)
        error = bv_try(bv_fail(BV_CODE_INPUT, "there is no solution in %s/", which),
                       "%s/solution.py", which);
    bv_names_free(names, count);
    return error;
}

/* ---- tests ---- */

static bool contains(char **names, size_t count, const char *stem, size_t stem_size,
                     const char *end) {
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == stem_size + strlen(end) && !strncmp(names[i], stem, stem_size) &&
            bv_ends_with(names[i], end))
            return true;
    return false;
}

static bv_status read_pair(bv_level *level, const char *folder, const char *which, const char *name,
                           bool has_answer) {
    char file[600];
    bv_level_test *test = &level->tests[level->test_count++];
    const int stem = (int)strlen(name) - 3;
    test->visible = !strcmp(which, "visible");
    test->generated = -1;
    test->answer_made = !has_answer;
    test->name = bv_arena_printf(level->arena, "%s/%.*s", which, stem, name);
    if (!test->name) return bv_fail_memory("a level");
    snprintf(file, sizeof file, "tests/%s/%s", which, name);
    BV_TRY(bv_level_read_file(folder, file, BV_LEVEL_TEST_BYTES_MAX, &test->input));
    if (!has_answer) return BV_OK;
    snprintf(file, sizeof file, "tests/%s/%.*s.out", which, stem, name);
    return bv_level_read_file(folder, file, BV_LEVEL_TEST_BYTES_MAX, &test->answer);
}

/* The pairs of a folder, at most `declared`. */
static bv_status read_pairs(bv_level *level, const char *folder, const char *which,
                            int64_t declared) {
    char **names, path[32];
    size_t count;
    int64_t pairs = 0;
    snprintf(path, sizeof path, "tests/%s", which);
    bv_error *error = list_folder(folder, path, &names, &count);
    for (size_t i = 0; !error && i < count; i++) {
        const size_t stem = strlen(names[i]) > 4 ? strlen(names[i]) - 4 : 0;
        const bool is_out = bv_ends_with(names[i], ".out"), is_in = bv_ends_with(names[i], ".in");
        if (!is_in && !is_out)
            error = bv_try(
                bv_fail(BV_CODE_INPUT, "%s/%s is neither NAME.in nor NAME.out", path, names[i]),
                "another folder for it");
        else if (is_out && !contains(names, count, names[i], stem, ".in"))
            error = bv_fail(BV_CODE_INPUT, "%s/%s has no input beside it", path, names[i]);
        else if (is_in && ++pairs > declared)
            error = bv_fail(BV_CODE_INPUT, "%s has more than the %lld tests of level.json", path,
                            (long long)declared);
        else if (is_in)
            error = read_pair(level, folder, which, names[i],
                              contains(names, count, names[i], strlen(names[i]) - 3, ".out"));
    }
    bv_names_free(names, count);
    return error;
}

/* Hidden tests that are not files are the generator's. */
static bv_status add_generated(bv_level *level, const bv_level_config *config) {
    const int64_t files = (int64_t)(level->test_count - level->visible_count);
    const int64_t missing = config->hidden - files;
    if (missing > 0 && !config->generator)
        return bv_try(bv_fail(BV_CODE_INPUT,
                              "tests/hidden has %lld tests, level.json says %lld, and there is no "
                              "generator",
                              (long long)files, (long long)config->hidden),
                      "\"generator\": \"generator.py\"");
    if (missing == 0 && config->generator)
        return bv_try(bv_fail(BV_CODE_INPUT,
                              "the generator would make no test: all %lld hidden "
                              "ones are files",
                              (long long)files),
                      "a larger number of \"hidden\" tests, or no \"generator\"");
    for (int64_t i = 0; i < missing; i++) {
        bv_level_test *test = &level->tests[level->test_count++];
        test->generated = i;
        test->answer_made = true;
        test->name = bv_arena_printf(level->arena, "hidden/generated-%lld", (long long)i);
        if (!test->name) return bv_fail_memory("a level");
    }
    return BV_OK;
}

static bv_status read_tests(bv_level *level, const char *folder, const bv_level_config *config) {
    const size_t count = (size_t)(config->visible + config->hidden);
    level->tests = bv_arena_alloc(level->arena, count * sizeof *level->tests);
    if (!level->tests) return bv_fail_memory("a level");
    BV_TRY(read_pairs(level, folder, "visible", config->visible));
    level->visible_count = level->test_count;
    if ((int64_t)level->visible_count < config->visible)
        return bv_try(bv_fail(BV_CODE_INPUT, "tests/visible has %zu tests, level.json says %lld",
                              level->visible_count, (long long)config->visible),
                      "tests/visible/1.in and 1.out");
    BV_TRY(read_pairs(level, folder, "hidden", config->hidden));
    return add_generated(level, config);
}

/* ---- all of it ---- */

static bv_status read_statement(bv_level *level, const char *folder) {
    bv_buffer text = {0};
    bv_error *error = bv_level_read_file(folder, "statement.md", BV_STATEMENT_BYTES_MAX, &text);
    const size_t valid = bv_utf8_valid_prefix(text.data ? text.data : "", text.size);
    if (!error && text.size == 0) error = bv_fail(BV_CODE_INPUT, "statement.md is empty");
    if (!error && (valid < text.size || memchr(text.data, 0, text.size)))
        error = bv_fail(BV_CODE_INPUT, "statement.md is not UTF-8 text (byte %zu)", valid);
    if (!error && !(level->statement = bv_arena_strdup(level->arena, text.data)))
        error = bv_fail_memory("a level");
    bv_buffer_free(&text);
    return error;
}

bv_status bv_level_read_files(bv_level *level, const char *folder, const bv_level_config *config) {
    BV_TRY(read_statement(level, folder));
    BV_TRY(read_tests(level, folder, config));
    BV_TRY(read_single(level, folder, "generator", config->generator, &level->generator));
    BV_TRY(read_single(level, folder, "checker", config->checker, &level->checker));
    BV_TRY(read_solutions(level, folder, "reference", &level->references));
    return read_solutions(level, folder, "wrong", &level->wrongs);
}

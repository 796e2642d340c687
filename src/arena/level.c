#include "arena/level.h"

#include "arena/level_read.h"
#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_MAX_BYTES 64

bv_status bv_level_name(bv_arena *arena, const char *folder, char **out) {
    char real[PATH_MAX];
    size_t end = bv_path_trimmed(folder), begin = end;
    while (begin > 0 && folder[begin - 1] != '/') begin--;
    const bool is_dots = end > begin && strspn(folder + begin, ".") >= end - begin;
    if (is_dots && realpath(folder, real)) {
        begin = (size_t)(strrchr(real, '/') + 1 - real);
        end = strlen(real);
        folder = real;
    }
    const size_t size = end - begin;
    char *name = *out = bv_arena_printf(arena, "%.*s", (int)size, folder + begin);
    if (!name) return bv_fail_memory("a level");
    if (size > 0 && size <= NAME_MAX_BYTES && name[0] != '-' &&
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size)
        return BV_OK;
    return bv_try(bv_fail(BV_CODE_INPUT, "\"%.80s\" is no name of a level", name),
                  "a folder of small letters, digits and hyphens, as 03-brackets");
}

static void add_part(bv_sha256 *hash, const char *name, const void *bytes, size_t size) {
    char head[700];
    const int n = snprintf(head, sizeof head, "%s %zu\n", name, size);
    bv_sha256_add(hash, head, (size_t)n);
    bv_sha256_add(hash, size ? bytes : "", size);
}

static void add_programs(bv_sha256 *hash, const char *kind, const bv_level_programs *programs) {
    for (size_t i = 0; i < programs->count; i++) {
        add_part(hash, kind, programs->list[i].name, strlen(programs->list[i].name));
        add_part(hash, programs->list[i].name, programs->list[i].source.data,
                 programs->list[i].source.size);
    }
}

/* Of level.json and the files that decide verdicts; not of statement and wrong solutions. */
static bv_status take_hash(bv_level *level, const bv_buffer *json) {
    bv_sha256 *hash;
    BV_TRY(bv_sha256_begin(&hash));
    add_part(hash, "level.json", json->data, json->size);
    for (size_t i = 0; i < level->test_count; i++) {
        const bv_level_test *test = &level->tests[i];
        add_part(hash, test->name, test->input.data, test->input.size);
        if (!test->answer_made) add_part(hash, "answer", test->answer.data, test->answer.size);
    }
    add_programs(hash, "generator", &level->generator);
    add_programs(hash, "checker", &level->checker);
    add_programs(hash, "reference", &level->references);
    bv_sha256_end(&hash, level->hash);
    return BV_OK;
}

static bv_status load(bv_level *level, const char *folder, bv_buffer *json) {
    char path[4096];
    struct stat s;
    bv_level_config config;
    BV_TRY(bv_level_name(level->arena, folder, &level->name));
    if (!bv_dir_exists(folder)) return bv_fail(BV_CODE_INPUT, "there is no such folder");
    snprintf(path, sizeof path, "%s/level.json", folder);
    if (lstat(path, &s) != 0 && errno == ENOENT)
        return bv_try(bv_fail(BV_CODE_INPUT, "%s is no level: it has no level.json", folder),
                      "beaver arena new DIR makes one; of a folder of levels: %s/*", folder);
    BV_TRY(bv_level_read_file(folder, "level.json", BV_LEVEL_JSON_BYTES_MAX, json));
    BV_TRY(bv_level_read_config(level, json->data ? json->data : "", json->size, path, &config));
    BV_TRY(bv_level_read_files(level, folder, &config));
    return take_hash(level, json);
}

bv_status bv_level_load(const char *folder, bv_level **out) {
    *out = NULL;
    bv_level *level = bv_calloc(1, sizeof *level);
    bv_buffer json = {0};
    bv_error *error = BV_OK;
    if (!level || !(level->arena = bv_arena_create())) error = bv_fail_memory("a level");
    if (!error) error = load(level, folder, &json);
    bv_buffer_free(&json);
    if (error)
        bv_level_free(&level);
    else
        *out = level;
    return bv_while(error, "loading the level %s", folder);
}

static void free_programs(bv_level_programs *programs) {
    for (size_t i = 0; i < programs->count; i++) bv_buffer_free(&programs->list[i].source);
}

void bv_level_free(bv_level **level) {
    bv_level *l = *level;
    if (!l) return;
    for (size_t i = 0; i < l->test_count; i++) {
        bv_buffer_free(&l->tests[i].input);
        bv_buffer_free(&l->tests[i].answer);
    }
    free_programs(&l->generator);
    free_programs(&l->checker);
    free_programs(&l->references);
    free_programs(&l->wrongs);
    bv_program_destroy(&l->checker_program);
    bv_arena_destroy(&l->arena);
    bv_free(l);
    *level = NULL;
}

bool bv_level_is_binary(const char *language) {
    return !strcmp(language, "static");
}

bool bv_level_accepts(const bv_level *level, const char *language) {
    for (size_t i = 0; i < level->language_count; i++)
        if (!strcmp(level->languages[i], language)) return true;
    return false;
}

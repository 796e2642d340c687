#include "arena/level_cache.h"

#include "arena/language.h"
#include "base/file.h"

#include <string.h>
#include <sys/stat.h>

/* A file is this line, the SHA-256 of the rest, a newline, and the rest: for each test, in the
 * level's order, what was made of it, input before answer, as 8 bytes of size and the bytes. */
#define HEAD "beaver level tests 1\n"
#define HEAD_BYTES (sizeof HEAD - 1)
#define REST_AT (HEAD_BYTES + BV_SHA256_TEXT_SIZE)

/* ---- the key ---- */

static bv_status make_path(const char *folder, const bv_level *level, char **out) {
    char key[BV_SHA256_TEXT_SIZE];
    bv_sha256 *hash;
    BV_TRY(bv_sha256_begin(&hash));
    bv_sha256_add(hash, HEAD, HEAD_BYTES);
    bv_sha256_add(hash, level->hash, strlen(level->hash) + 1);
    if (level->generator.count)
        bv_language_hash(bv_language_find(level->generator.list[0].language), hash);
    bv_language_hash(bv_language_find(level->references.list[0].language), hash);
    bv_sha256_end(&hash, key);
    *out = bv_path_join(folder, key);
    return *out ? BV_OK : bv_fail_memory("a path");
}

/* Whether others than its owner may do something in it. */
static bool is_open(const char *folder) {
    struct stat s;
    return stat(folder, &s) == 0 && S_ISDIR(s.st_mode) && (s.st_mode & 077);
}

/* ---- reading ---- */

typedef struct reader {
    const unsigned char *at;
    size_t left;
} reader;

/* False: there are not so many bytes. */
static bool take_part(reader *r, bv_buffer *out) {
    uint64_t size = 0;
    if (r->left < 8) return false;
    for (int i = 7; i >= 0; i--) size = size << 8 | r->at[i];
    if (size > r->left - 8) return false;
    bv_buffer_clear(out);
    bv_buffer_append(out, r->at + 8, (size_t)size);
    r->at += 8 + size;
    r->left -= 8 + (size_t)size;
    return true;
}

static bool take_tests(reader r, bv_level *level) {
    for (size_t i = 0; i < level->test_count; i++) {
        bv_level_test *test = &level->tests[i];
        if (test->generated >= 0 && !take_part(&r, &test->input)) return false;
        if (test->answer_made && !take_part(&r, &test->answer)) return false;
    }
    return r.left == 0;
}

static bv_status read_tests(const bv_map *map, bv_level *level, bool *found) {
    char sha256[BV_SHA256_TEXT_SIZE];
    if (map->size < REST_AT || memcmp(map->data, HEAD, HEAD_BYTES) != 0) return BV_OK;
    const reader rest = {map->data + REST_AT, map->size - REST_AT};
    BV_TRY(bv_sha256_bytes(rest.at, rest.left, sha256));
    sha256[BV_SHA256_TEXT_SIZE - 1] = '\n';
    if (memcmp(map->data + HEAD_BYTES, sha256, sizeof sha256) != 0) return BV_OK;
    *found = take_tests(rest, level);
    bv_error *error = BV_OK;
    for (size_t i = 0; i < level->test_count; i++) {
        if (!error) error = bv_buffer_error(&level->tests[i].input);
        if (!error) error = bv_buffer_error(&level->tests[i].answer);
    }
    return error;
}

bv_status bv_level_cache_get(const char *folder, bv_level *level, bool *found) {
    char *path = NULL;
    bv_map map = {0};
    *found = false;
    BV_TRY(make_path(folder, level, &path));
    bv_error *error = BV_OK;
    if (!is_open(folder) && bv_file_exists(path)) {
        error = bv_map_open(path, &map);
        if (!error) {
            error = read_tests(&map, level, found);
            bv_map_close(&map);
        } else if (bv_error_code(error) != BV_CODE_MEMORY) {
            bv_error_free(&error); /* gone meanwhile, or not ours: made anew */
        }
    }
    bv_free(path);
    return error;
}

/* ---- writing ---- */

static void put_part(bv_buffer *out, const bv_buffer *part) {
    unsigned char size[8];
    for (int i = 0; i < 8; i++) size[i] = (unsigned char)((uint64_t)part->size >> 8 * i);
    bv_buffer_append(out, size, sizeof size);
    bv_buffer_append(out, part->data, part->size);
}

static bv_status put_all(const bv_level *level, bv_buffer *out) {
    char sha256[BV_SHA256_TEXT_SIZE] = "";
    bv_buffer_append(out, HEAD, HEAD_BYTES);
    bv_buffer_append(out, sha256, sizeof sha256);
    for (size_t i = 0; i < level->test_count; i++) {
        const bv_level_test *test = &level->tests[i];
        if (test->generated >= 0) put_part(out, &test->input);
        if (test->answer_made) put_part(out, &test->answer);
    }
    BV_TRY(bv_buffer_error(out));
    BV_TRY(bv_sha256_bytes(out->data + REST_AT, out->size - REST_AT, sha256));
    sha256[sizeof sha256 - 1] = '\n';
    memcpy(out->data + HEAD_BYTES, sha256, sizeof sha256);
    return BV_OK;
}

/* A folder that was there is somebody's own: its rights are not ours to change. */
static bv_status make_folder(const char *folder) {
    if (is_open(folder))
        return bv_try(bv_fail(BV_CODE_USAGE, "others may look into %s", folder),
                      "chmod 700 %s, or another --cache", folder);
    const bool there = bv_dir_exists(folder);
    BV_TRY(bv_dir_make(folder));
    return there || chmod(folder, 0700) == 0 ? BV_OK
                                             : bv_fail_errno("cannot close %s to others", folder);
}

bv_status bv_level_cache_put(const char *folder, const bv_level *level) {
    char *path = NULL;
    bv_buffer text = {0};
    bv_error *error = make_folder(folder);
    if (!error) error = make_path(folder, level, &path);
    if (!error) error = put_all(level, &text);
    if (!error) error = bv_file_write(path, text.data, text.size);
    bv_buffer_free(&text);
    bv_free(path);
    return bv_while(error, "keeping the tests of %s", level->name);
}

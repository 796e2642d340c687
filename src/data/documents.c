#include "data/documents.h"

#include "base/memory.h"
#include <string.h>
#include <sys/stat.h>

struct bv_documents {
    char **paths;
    size_t count, capacity;
    uint64_t bytes;
    char *separator;
    size_t separator_size;
    bv_pool *pool;
    size_t next;      /* file to open next */
    size_t checked;   /* files that are known to be text */
    bv_survey survey; /* of the surveyed-th file */
    size_t surveyed;  /* 0: of none */
    bv_map map;
    size_t at;        /* in the open file */
    uint64_t cuts;    /* separators that were found since the beginning */
    size_t forgotten; /* up to there, of the documents before */
};

#define WINDOW ((size_t)1 << 20) /* bytes that are searched before they are forgotten */

/* Takes the path. */
static bv_status add_file(bv_documents *d, char *path) {
    if (!bv_list_grow((void **)&d->paths, d->count, &d->capacity, sizeof path)) {
        bv_free(path);
        return bv_fail_memory("a list of files");
    }
    d->paths[d->count++] = path;
    bv_map map;
    BV_TRY(bv_map_open(path, &map));
    d->bytes += map.size;
    bv_map_close(&map);
    return BV_OK;
}

/* A folder that is read, and those that it is in. */
typedef struct folder {
    const struct folder *outer;
    const char *path;
    dev_t device;
    ino_t number;
    int depth;
} folder;

#define DEPTH_MAX 64

/* A link that leads back would be read for ever. */
static bv_status enter(folder *f) {
    struct stat s;
    if (stat(f->path, &s) != 0) return bv_fail_errno("cannot look at %s", f->path);
    f->device = s.st_dev;
    f->number = s.st_ino;
    f->depth = f->outer ? f->outer->depth + 1 : 0;
    for (const folder *o = f->outer; o; o = o->outer)
        if (o->device == f->device && o->number == f->number)
            return bv_try(bv_fail(BV_CODE_INPUT, "%s is a link back to %s", f->path, o->path),
                          "remove the link, or name the files and folders beside it");
    if (f->depth < DEPTH_MAX) return BV_OK;
    return bv_try(
        bv_fail(BV_CODE_INPUT, "%s: folders are nested more than %d deep", f->path, DEPTH_MAX),
        "the inner folders as arguments of their own");
}

static bv_status add_path(bv_documents *d, const char *path, const folder *outer) {
    if (!bv_dir_exists(path)) {
        char *copy = bv_strdup(path);
        return copy ? add_file(d, copy) : bv_fail_memory("a path");
    }
    folder here = {.outer = outer, .path = path};
    BV_TRY(enter(&here));
    char **names;
    size_t count;
    BV_TRY(bv_dir_list(path, &names, &count));
    bv_error *error = BV_OK;
    for (size_t i = 0; !error && i < count; i++) {
        char inner[BV_PATH_SIZE];
        if (names[i][0] == '.') continue; /* of tools: .git */
        error = bv_path_in(inner, path, names[i]);
        if (!error) error = add_path(d, inner, &here);
    }
    bv_names_free(names, count);
    return error;
}

bv_status bv_documents_open(const char *const *paths, size_t count, const char *separator,
                            bv_pool *pool, bv_documents **out) {
    *out = NULL;
    bv_documents *d = bv_calloc(1, sizeof *d);
    if (!d) return bv_fail_memory("documents");
    d->pool = pool;
    d->separator = separator ? bv_strdup(separator) : NULL;
    d->separator_size = separator ? strlen(separator) : 0;
    bv_error *error = d->separator || !separator ? BV_OK : bv_fail_memory("documents");
    for (size_t i = 0; !error && i < count; i++) error = add_path(d, paths[i], NULL);
    if (!error && d->bytes == 0)
        error = bv_try(bv_fail(BV_CODE_INPUT, "there is no text: %zu files, 0 bytes", d->count),
                       "a file or folder with text");
    if (error) bv_documents_close(&d);
    *out = d;
    return error;
}

bv_status bv_documents_check_apart(const bv_documents *d, const char *out) {
    for (size_t i = 0; i < d->count; i++) BV_TRY(bv_file_check_apart(out, d->paths[i]));
    return BV_OK;
}

void bv_documents_close(bv_documents **documents) {
    bv_documents *d = *documents;
    if (!d) return;
    bv_map_close(&d->map);
    bv_survey_free(&d->survey);
    for (size_t i = 0; i < d->count; i++) bv_free(d->paths[i]);
    bv_free(d->paths);
    bv_free(d->separator);
    bv_free(d);
    *documents = NULL;
}

void bv_documents_rewind(bv_documents *d) {
    d->at = d->forgotten = 0;
    d->cuts = 0;
    if (d->count == 1 && d->checked == 1 && d->map.size) return; /* stays open */
    bv_map_close(&d->map);
    d->next = 0;
}

void bv_documents_leave(bv_documents *d) {
    bv_map_close(&d->map);
    d->next = d->at = d->forgotten = 0;
}

/* Where `bytes` stand first from `at` on; the map's size if they do not. */
static size_t find(const bv_map *map, size_t at, const char *bytes, size_t count) {
    while (at < map->size) {
        const size_t left = map->size - at, n = left < WINDOW + count ? left : WINDOW + count;
        const unsigned char *found = memmem(map->data + at, n, bytes, count);
        if (found) return (size_t)(found - map->data);
        if (n == left) break;
        bv_map_forget(map, at, at + WINDOW);
        at += WINDOW;
    }
    return map->size;
}

static bool begins(const bv_map *map, const char *bytes, size_t count) {
    return map->size >= count && !memcmp(map->data, bytes, count);
}

/* What has a NUL anywhere is in no encoding of bytes, such as Latin-1, either. */
static bv_status check_survey(const bv_survey *survey, const char *path) {
    if (survey->nul == SIZE_MAX && survey->other == SIZE_MAX) return BV_OK;
    if (begins(survey->map, "\xff\xfe", 2) || begins(survey->map, "\xfe\xff", 2))
        return bv_try(bv_fail(BV_CODE_INPUT, "%s is UTF-16, no UTF-8", path),
                      "iconv -f UTF-16 -t UTF-8 %s > text.txt, or leave that file out", path);
    if (begins(survey->map, "%PDF", 4))
        return bv_try(bv_fail(BV_CODE_INPUT, "%s is a PDF, no text", path),
                      "pdftotext %s text.txt, or leave that file out", path);
    if (survey->nul != SIZE_MAX)
        return bv_try(bv_fail(BV_CODE_INPUT, "%s is not text: byte %zu is NUL", path, survey->nul),
                      "leave that file out");
    return bv_try(bv_fail(BV_CODE_INPUT, "%s is no UTF-8: byte %zu", path, survey->other),
                  "iconv -f ISO-8859-1 -t UTF-8 %s > text.txt, or leave that file out", path);
}

bv_status bv_documents_check_text(const bv_map *map, const char *path) {
    bv_survey survey = {0};
    bv_error *error = bv_survey_run(&survey, NULL, map, 0, map->size, NULL, NULL);
    if (!error) error = bv_map_check(map, path);
    if (!error) error = check_survey(&survey, path);
    bv_survey_free(&survey);
    return error;
}

/* Of the open file. */
static bv_status survey(bv_documents *d, bv_survey_beside *beside, void *context) {
    d->surveyed = 0;
    BV_TRY(bv_survey_run(&d->survey, d->pool, &d->map, 0, d->map.size, beside, context));
    d->surveyed = d->next;
    return BV_OK;
}

/* Of the surveyed file. */
static bv_status check(bv_documents *d) {
    const char *path = d->paths[d->next - 1];
    BV_TRY(bv_map_check(&d->map, path));
    BV_TRY(check_survey(&d->survey, path));
    d->checked = d->next;
    return BV_OK;
}

static bv_status open_next(bv_documents *d) {
    const char *path = d->paths[d->next++];
    bv_map_close(&d->map);
    d->at = d->forgotten = 0;
    BV_TRY(bv_map_open(path, &d->map));
    if (d->next <= d->checked) return BV_OK;
    if (d->surveyed != d->next) BV_TRY(survey(d, NULL, NULL));
    return check(d);
}

/* What fails here fails again where the file is needed. */
void bv_documents_begin(bv_documents *d, bv_survey_beside *beside, void *context) {
    bv_map_close(&d->map);
    d->next = 1;
    bv_error *error = bv_map_open(d->paths[0], &d->map);
    if (error)
        beside(context);
    else
        error = survey(d, beside, context);
    if (!error) error = check(d);
    bv_error_free(&error);
    bv_documents_rewind(d);
}

bv_status bv_documents_survey(bv_documents *d, const char *text, size_t size,
                              const bv_survey **out) {
    const size_t begin = (size_t)(text - (const char *)d->map.data);
    *out = &d->survey;
    if (d->surveyed == d->next && size == d->map.size) return BV_OK;
    d->surveyed = 0;
    return bv_survey_run(&d->survey, d->pool, &d->map, begin, begin + size, NULL, NULL);
}

bv_status bv_documents_check(const bv_documents *d) {
    return d->next ? bv_map_check(&d->map, d->paths[d->next - 1]) : BV_OK;
}

void bv_documents_forget(const bv_documents *d, const char *text, size_t size) {
    const size_t begin = (size_t)(text - (const char *)d->map.data);
    if (size >= WINDOW / 4) bv_map_forget(&d->map, begin, begin + size);
}

bv_status bv_documents_next(bv_documents *d, const char **text, size_t *size) {
    for (;;) {
        while (d->at >= d->map.size) {
            *text = NULL;
            *size = 0;
            BV_TRY(bv_documents_check(d));
            if (d->next == d->count) return BV_OK;
            BV_TRY(open_next(d));
        }
        const size_t begin = d->at;
        const size_t end =
            d->separator_size ? find(&d->map, begin, d->separator, d->separator_size) : d->map.size;
        *text = (const char *)d->map.data + begin;
        *size = end - begin;
        if (end < d->map.size) d->cuts++;
        d->at = end == d->map.size ? end : end + d->separator_size;
        if (begin - d->forgotten >= WINDOW) { /* small documents, many at a time */
            bv_map_forget(&d->map, d->forgotten, begin);
            d->forgotten = begin;
        }
        if (*size) return BV_OK;
    }
}

uint64_t bv_documents_cuts(const bv_documents *d) {
    return d->cuts;
}

uint64_t bv_documents_bytes(const bv_documents *d) {
    return d->bytes;
}

#include "arena/record_cache.h"

#include "base/file.h"
#include "base/memory.h"

#include <pthread.h>
#include <string.h>

struct bv_record_cache {
    pthread_mutex_t lock; /* of all below */
    json_t *records;      /* key -> record */
    bv_append *file;
};

/* {"key": ..., "record": {...}} */
static bv_status take_line(bv_record_cache *cache, const char *text, size_t size) {
    json_t *line = NULL;
    bv_error *error = bv_json_parse(text, size, "", &line);
    const char *key = json_string_value(json_object_get(line, "key"));
    json_t *record = json_object_get(line, "record");
    if (bv_error_code(error) == BV_CODE_INPUT) bv_error_free(&error);
    if (!error && key && json_is_object(record) && json_object_set(cache->records, key, record))
        error = bv_fail_memory("a cache");
    json_decref(line);
    return error;
}

static bv_status read_lines(bv_record_cache *cache, const char *path) {
    bv_buffer text = {0};
    bv_error *error = bv_file_read(path, &text);
    for (size_t at = 0; !error && at < text.size;) {
        const char *newline = memchr(text.data + at, '\n', text.size - at);
        if (!newline) break;
        const size_t end = (size_t)(newline - text.data);
        error = take_line(cache, text.data + at, end - at);
        at = end + 1;
    }
    /* What a killed writer left unfinished must not spoil the next line. */
    const bool torn = text.size && text.data[text.size - 1] != '\n';
    bv_buffer_free(&text);
    if (!error) error = bv_append_open(path, &cache->file);
    return !error && torn ? bv_append_line(cache->file, "") : error;
}

bv_status bv_record_cache_open(const char *path, bv_record_cache **out) {
    *out = NULL;
    BV_TRY(bv_dir_make_parent(path));
    bv_record_cache *cache = bv_calloc(1, sizeof *cache);
    if (!cache) return bv_fail_memory("a cache");
    pthread_mutex_init(&cache->lock, NULL);
    cache->records = json_object();
    bv_error *error = cache->records ? BV_OK : bv_fail_memory("a cache");
    if (!error && bv_file_exists(path))
        error = read_lines(cache, path);
    else if (!error)
        error = bv_append_open(path, &cache->file);
    if (error)
        bv_record_cache_close(&cache);
    else
        *out = cache;
    return bv_while(error, "opening the cache %s", path);
}

void bv_record_cache_close(bv_record_cache **cache) {
    bv_record_cache *c = *cache;
    if (!c) return;
    if (c->file) {
        bv_error *error = bv_append_close(&c->file);
        bv_error_free(&error); /* a cache that was not synced is only a slower next time */
    }
    json_decref(c->records);
    pthread_mutex_destroy(&c->lock);
    bv_free(c);
    *cache = NULL;
}

json_t *bv_record_cache_get(bv_record_cache *cache, const char *key) {
    pthread_mutex_lock(&cache->lock);
    json_t *record = json_deep_copy(json_object_get(cache->records, key));
    pthread_mutex_unlock(&cache->lock);
    return record;
}

bv_status bv_record_cache_put(bv_record_cache *cache, const char *key, json_t *record) {
    bv_buffer text = {0};
    pthread_mutex_lock(&cache->lock);
    json_t *line = json_pack("{ss sO}", "key", key, "record", record);
    bv_error *error = bv_json_text(line, 0, &text);
    if (!error && json_object_set(cache->records, key, record)) error = bv_fail_memory("a cache");
    if (!error) error = bv_append_line(cache->file, text.data);
    json_decref(line);
    json_decref(record);
    pthread_mutex_unlock(&cache->lock);
    bv_buffer_free(&text);
    return error;
}

#include "arena/sample_cache.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static bv_status make_key(const bv_sample_cache *cache, const bv_problem *problem, size_t number,
                          char key[BV_SHA256_TEXT_SIZE]) {
    bv_buffer text = {0};
    const bv_sample_settings *t = cache->settings;
    bv_buffer_printf(&text, "%s\ntemperature %a top_p %a tokens %zu seed %llu sample %zu\n",
                     cache->source, t->temperature, t->top_p, t->tokens,
                     (unsigned long long)t->seed, number);
    for (size_t i = 0; cache->set->stops[i]; i++)
        bv_buffer_printf(&text, "%s\n--\n", cache->set->stops[i]);
    bv_buffer_text(&text, problem->prompt);
    bv_error *error = bv_buffer_error(&text);
    if (!error) error = bv_sha256_bytes(text.data, text.size, key);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_sample_cache_recall(const bv_sample_cache *cache, const bv_problem *problem,
                                 bv_samples *out, size_t *count) {
    *count = 0;
    while (cache->records && *count < cache->settings->n) {
        char key[BV_SHA256_TEXT_SIZE];
        BV_TRY(make_key(cache, problem, *count, key));
        json_t *record = bv_record_cache_get(cache->records, key);
        const char *text = json_string_value(json_object_get(record, "completion"));
        bv_error *error = text ? bv_samples_add(out, problem, text, strlen(text)) : BV_OK;
        const bool known = text != NULL;
        json_decref(record);
        if (error || !known) return error;
        ++*count;
    }
    return BV_OK;
}

bv_status bv_sample_cache_keep(const bv_sample_cache *cache, const bv_problem *problem,
                               size_t number, const char *bytes, size_t size, bv_samples *out) {
    char key[BV_SHA256_TEXT_SIZE];
    if (size > BV_COMPLETION_BYTES_MAX) size = BV_COMPLETION_BYTES_MAX;
    size = bv_utf8_valid_prefix(bytes, size); /* a character may have been cut */
    const char *zero = memchr(bytes, 0, size);
    if (zero) size = (size_t)(zero - bytes);
    BV_TRY(bv_samples_add(out, problem, bytes, size));
    if (!cache->records) return BV_OK;
    BV_TRY(make_key(cache, problem, number, key));
    json_t *record = json_pack("{ss%}", "completion", bytes, size);
    return record ? bv_record_cache_put(cache->records, key, record) : bv_fail_memory("a cache");
}

bv_status bv_sample_cache_sequence(const bv_sample_cache *cache, const bv_problem *problem,
                                   uint32_t *out) {
    char sha256[BV_SHA256_TEXT_SIZE];
    bv_buffer text = {0};
    bv_buffer_printf(&text, "seed %llu\n%s", (unsigned long long)cache->settings->seed,
                     problem->prompt);
    bv_error *error = bv_buffer_error(&text);
    if (!error) error = bv_sha256_bytes(text.data, text.size, sha256);
    bv_buffer_free(&text);
    if (error) return error;
    sha256[8] = 0; /* 32 bits of it */
    *out = (uint32_t)strtoul(sha256, NULL, 16) >> 1;
    return BV_OK;
}

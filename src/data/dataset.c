#include "data/dataset.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include <stdio.h>
#include <string.h>

typedef struct shard_file {
    bv_map map;
    char *path;
    char sha256[BV_SHA256_TEXT_SIZE]; /* as the manifest has it */
} shard_file;

typedef struct split {
    shard_file *shards;
    size_t shard_count;
    uint64_t shard_tokens; /* of all but the last */
    uint64_t tokens;
} split;

struct bv_dataset {
    size_t vocab_size, token_bytes;
    split splits[2];
};

void bv_dataset_close(bv_dataset **dataset) {
    bv_dataset *d = *dataset;
    if (!d) return;
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < d->splits[i].shard_count; k++) {
            bv_map_close(&d->splits[i].shards[k].map);
            bv_free(d->splits[i].shards[k].path);
        }
        bv_free(d->splits[i].shards);
    }
    bv_free(d);
    *dataset = NULL;
}

bv_status bv_dataset_check_apart(const bv_dataset *d, const char *folder, const char *out) {
    static const char *const beside[] = {"manifest.json", "tokenizer.json", NULL};
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < d->splits[i].shard_count; k++)
            BV_TRY(bv_file_check_apart(out, d->splits[i].shards[k].path));
    return bv_file_check_apart_from(out, folder, beside);
}

static bv_status open_shard(const bv_dataset *d, split *s, const char *folder, const json_t *file) {
    const char *name = "", *hash = "";
    int64_t bytes = 0;
    BV_TRY(bv_json_get_string(file, "name", &name));
    BV_TRY(bv_json_get_int(file, "bytes", &bytes));
    BV_TRY(bv_json_get_string(file, "sha256", &hash));
    if (strchr(name, '/')) return bv_fail(BV_CODE_INPUT, "the shard's name \"%s\" is a path", name);
    shard_file *next = &s->shards[s->shard_count++];
    snprintf(next->sha256, sizeof next->sha256, "%s", hash);
    next->path = bv_path_join(folder, name);
    if (!next->path) return bv_fail_memory("a path");
    BV_TRY(bv_map_open(next->path, &next->map));
    if (next->map.size == (uint64_t)bytes && next->map.size % d->token_bytes == 0) return BV_OK;
    return bv_try(bv_fail(BV_CODE_INPUT, "%s has %zu bytes, the manifest says %lld", next->path,
                          next->map.size, (long long)bytes),
                  "beaver data prepare again");
}

static bv_status open_split(const bv_dataset *d, split *s, const char *folder,
                            const json_t *value) {
    int64_t tokens = 0;
    BV_TRY(bv_json_get_int(value, "tokens", &tokens));
    const json_t *list = json_object_get(value, "shards");
    const size_t count = json_array_size(list);
    s->shards = bv_calloc(count + 1, sizeof *s->shards);
    if (!s->shards) return bv_fail_memory("a list of shards");
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++) {
        BV_TRY(open_shard(d, s, folder, json_array_get(list, i)));
        const uint64_t here = s->shards[i].map.size / d->token_bytes;
        if (i == 0)
            s->shard_tokens = here;
        else if (here > s->shard_tokens || (i + 1 < count && here < s->shard_tokens))
            return bv_fail(BV_CODE_INPUT, "shard %zu is of another size than the first", i);
        found += here;
    }
    if (found != (uint64_t)tokens)
        return bv_fail(BV_CODE_INPUT, "the shards hold %llu tokens, the manifest says %lld",
                       (unsigned long long)found, (long long)tokens);
    s->tokens = found;
    return BV_OK;
}

static bv_status open_manifest(bv_dataset *d, const char *folder, const json_t *m) {
    const char *format = "";
    int64_t vocab = 0, token_bytes = 0;
    BV_TRY(bv_json_get_string(m, "format", &format));
    if (strcmp(format, "beaver-data/1"))
        return bv_fail(BV_CODE_INPUT, "format \"%s\" is not beaver-data/1", format);
    BV_TRY(bv_json_get_int(m, "vocab_size", &vocab));
    BV_TRY(bv_json_get_int(m, "token_bytes", &token_bytes));
    if (vocab < 1 || vocab > UINT32_MAX || (token_bytes != 2 && token_bytes != 4))
        return bv_fail(BV_CODE_INPUT, "vocab_size or token_bytes is out of range");
    d->vocab_size = (size_t)vocab;
    d->token_bytes = (size_t)token_bytes;
    const json_t *splits = json_object_get(m, "splits");
    BV_TRY(open_split(d, &d->splits[0], folder, json_object_get(splits, "train")));
    return open_split(d, &d->splits[1], folder, json_object_get(splits, "val"));
}

static bv_status load_manifest(const char *folder, json_t **out) {
    char path[BV_PATH_SIZE];
    BV_TRY(bv_path_in(path, folder, "manifest.json"));
    if (bv_path_hidden(path)) return bv_fail_errno("cannot look into %s", folder);
    if (bv_file_exists(path)) return bv_json_load(path, out);
    bv_error *error = bv_fail(BV_CODE_INPUT, "%s is no data: it has no manifest.json", folder);
    return bv_path_taken(folder)
               ? bv_try(error, "beaver data prepare %s --out DIR, then --data DIR", folder)
               : bv_try(error, "beaver data prepare TEXT --out %s", folder);
}

bv_status bv_dataset_open(const char *folder, bv_dataset **out) {
    *out = NULL;
    bv_dataset *d = bv_calloc(1, sizeof *d);
    json_t *manifest = NULL;
    bv_error *error = d ? load_manifest(folder, &manifest) : bv_fail_memory("a data set");
    if (!error) error = open_manifest(d, folder, manifest);
    json_decref(manifest);
    if (error) bv_dataset_close(&d);
    *out = d;
    return bv_while(error, "opening the data in %s (made by: beaver data prepare)", folder);
}

bv_status bv_dataset_verify(const bv_dataset *d) {
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < d->splits[i].shard_count; k++) {
            const shard_file *s = &d->splits[i].shards[k];
            char now[BV_SHA256_TEXT_SIZE];
            BV_TRY(bv_sha256_bytes(s->map.data, s->map.size, now));
            if (strcmp(now, s->sha256))
                return bv_try(bv_fail(BV_CODE_INPUT,
                                      "%s is damaged: its SHA-256 is not the manifest's", s->path),
                              "beaver data prepare again");
        }
    return BV_OK;
}

bv_status bv_dataset_check(const bv_dataset *d) {
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < d->splits[i].shard_count; k++)
            BV_TRY(bv_map_check(&d->splits[i].shards[k].map, d->splits[i].shards[k].path));
    return BV_OK;
}

size_t bv_dataset_vocab_size(const bv_dataset *d) {
    return d->vocab_size;
}

uint64_t bv_dataset_tokens(const bv_dataset *d, bv_split which) {
    return d->splits[which].tokens;
}

void bv_dataset_read(const bv_dataset *d, bv_split which, uint64_t offset, size_t count,
                     uint32_t *tokens) {
    const split *s = &d->splits[which];
    BV_ASSERT(offset <= s->tokens && count <= s->tokens - offset);
    for (size_t i = 0; i < count; i++) {
        const uint64_t shard = (offset + i) / s->shard_tokens;
        const unsigned char *p =
            s->shards[shard].map.data + (offset + i) % s->shard_tokens * d->token_bytes;
        uint32_t token = p[0] | (uint32_t)p[1] << 8;
        if (d->token_bytes == 4) token |= (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        tokens[i] = token < d->vocab_size ? token : (uint32_t)d->vocab_size - 1;
    }
}

bv_status bv_dataset_check_context(const bv_dataset *d, size_t context) {
    const uint64_t tokens = d->splits[BV_SPLIT_TRAIN].tokens;
    if (tokens > context) return BV_OK;
    return bv_try(bv_fail(BV_CODE_INPUT,
                          "the training text has %llu tokens, a context of %zu needs %zu",
                          (unsigned long long)tokens, context, context + 1),
                  "more text, or --set context=N");
}

/* A permutation of 0..count-1: four rounds of a Feistel network on the next power of four, walked
 * until the value is in range. */
static uint64_t permute(uint64_t index, uint64_t count, uint64_t seed, uint32_t epoch) {
    int half = 1;
    while (half < 32 && ((uint64_t)1 << 2 * half) < count) half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t x = index;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (uint32_t round = 0; round < 4; round++) {
            const bv_random4 r =
                bv_random(seed, BV_RANDOM_SHUFFLE, 1 + round, epoch, (uint32_t)right, 0);
            const uint64_t next = left ^ (r.v[0] & mask);
            left = right;
            right = next;
        }
        x = left << half | right;
    } while (x >= count);
    return x;
}

uint64_t bv_dataset_offset(const bv_dataset *d, bv_order order, uint64_t seed, uint64_t n,
                           size_t context) {
    const uint64_t tokens = d->splits[BV_SPLIT_TRAIN].tokens;
    if (order == BV_ORDER_RANDOM) {
        const bv_random4 r =
            bv_random(seed, BV_RANDOM_SHUFFLE, 0, 1, (uint32_t)(n >> 32), (uint32_t)n);
        const double u = bv_uniform_f64(r.v[0], r.v[1]);
        return (uint64_t)(u * (double)(tokens - context));
    }
    const uint64_t windows = (tokens - 1) / context;
    return permute(n % windows, windows, seed, (uint32_t)(n / windows)) * context;
}

void bv_dataset_sequence(const bv_dataset *d, bv_order order, uint64_t seed, uint64_t n,
                         size_t context, uint32_t *inputs, uint32_t *targets) {
    const uint64_t offset = bv_dataset_offset(d, order, seed, n, context);
    bv_dataset_read(d, BV_SPLIT_TRAIN, offset, context, inputs);
    bv_dataset_read(d, BV_SPLIT_TRAIN, offset + 1, context, targets);
}

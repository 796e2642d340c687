#include "train/counted_text.h"

#include "base/file.h"
#include "base/memory.h"
#include <string.h>
#include <sys/stat.h>

#define FILE_NAME "counted.bin"
#define READ_TOKENS 4096

/* The training text, a byte a token; free with bv_free. */
static bv_status read_text(const bv_dataset *data, uint8_t **text, size_t *count) {
    uint32_t tokens[READ_TOKENS];
    *count = (size_t)bv_dataset_tokens(data, BV_SPLIT_TRAIN);
    *text = bv_calloc(*count + 1, 1);
    if (!*text) return bv_fail_memory("the text that n-grams are counted of");
    for (size_t done = 0; done < *count;) {
        const size_t left = *count - done, n = left < READ_TOKENS ? left : READ_TOKENS;
        bv_dataset_read(data, BV_SPLIT_TRAIN, done, n, tokens);
        for (size_t i = 0; i < n; i++) (*text)[done + i] = (uint8_t)tokens[i];
        done += n;
    }
    bv_error *error = bv_dataset_check(data);
    if (!error) return BV_OK;
    bv_free(*text);
    return error;
}

bv_status bv_counted_text_count(const bv_dataset *data, const bv_gpt_config *c,
                                bv_kneser_ney **out) {
    uint8_t *text;
    size_t count;
    *out = NULL;
    if (!c->kneser_ney) return BV_OK;
    BV_TRY(read_text(data, &text, &count));
    bv_error *error = bv_kneser_ney_create(text, count, c->vocab_size, c->kneser_ney, out);
    bv_free(text);
    return error;
}

static bv_status write_text(const char *run, const bv_dataset *data,
                            char hash[BV_SHA256_TEXT_SIZE]) {
    char path[BV_PATH_SIZE];
    uint8_t *text;
    size_t count;
    BV_TRY(bv_path_in(path, run, FILE_NAME));
    BV_TRY(read_text(data, &text, &count));
    bv_error *error = bv_file_write(path, text, count);
    if (!error) error = bv_sha256_bytes(text, count, hash);
    bv_free(text);
    return error;
}

bv_status bv_counted_text_save(const char *run, const char *data, const bv_gpt_config *c,
                               char hash[BV_SHA256_TEXT_SIZE]) {
    bv_dataset *set;
    hash[0] = 0;
    if (!c->kneser_ney) return BV_OK;
    BV_TRY(bv_dataset_open(data, &set));
    bv_error *error = write_text(run, set, hash);
    bv_dataset_close(&set);
    return error;
}

uint64_t bv_counted_text_tokens(const char *run) {
    char path[BV_PATH_SIZE];
    struct stat file;
    bv_error *error = bv_path_in(path, run, FILE_NAME);
    const bool known = !error && stat(path, &file) == 0;
    bv_error_free(&error);
    return known ? (uint64_t)file.st_size : 0;
}

/* The hash vouches for every token. */
bv_status bv_counted_text_load(const char *run, const char *hash, const bv_gpt_config *c,
                               bv_kneser_ney **out) {
    char path[BV_PATH_SIZE], found[BV_SHA256_TEXT_SIZE];
    bv_buffer text = {0};
    *out = NULL;
    if (!c->kneser_ney) return BV_OK;
    BV_TRY(bv_path_in(path, run, FILE_NAME));
    bv_error *error = bv_file_read(path, &text);
    const uint8_t *bytes = (const uint8_t *)text.data;
    if (!error) error = bv_sha256_bytes(bytes, text.size, found);
    if (!error && strcmp(found, hash) != 0)
        error = bv_fail(BV_CODE_INPUT, "%s is not what the run was made with", path);
    for (size_t i = 0; !error && i < text.size; i++)
        if (bytes[i] >= c->vocab_size)
            error = bv_fail(BV_CODE_INPUT, "%s has token %d of %zu", path, bytes[i], c->vocab_size);
    if (!error) error = bv_kneser_ney_create(bytes, text.size, c->vocab_size, c->kneser_ney, out);
    bv_buffer_free(&text);
    return bv_try(error, "copy the run again, or train it again");
}

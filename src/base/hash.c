#include "base/hash.h"

#include "base/file.h"
#include "base/memory.h"
/* Without the frame above them, whose start takes longer than hashing a megabyte. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdio.h>

struct bv_sha256 {
    SHA256_CTX context;
};

bv_status bv_sha256_begin(bv_sha256 **out) {
    bv_sha256 *hash = *out = bv_malloc(sizeof *hash);
    if (!hash) return bv_fail_memory("a hash");
    const int ok = SHA256_Init(&hash->context);
    BV_ASSERT(ok == 1);
    return BV_OK;
}

void bv_sha256_add(bv_sha256 *hash, const void *bytes, size_t size) {
    const int ok = SHA256_Update(&hash->context, bytes, size);
    BV_ASSERT(ok == 1);
}

void bv_sha256_end(bv_sha256 **hash, char text[BV_SHA256_TEXT_SIZE]) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const int ok = SHA256_Final(digest, &(*hash)->context);
    BV_ASSERT(ok == 1);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    bv_free(*hash);
    *hash = NULL;
}

bv_status bv_sha256_bytes(const void *bytes, size_t size, char text[BV_SHA256_TEXT_SIZE]) {
    bv_sha256 *hash;
    BV_TRY(bv_sha256_begin(&hash));
    bv_sha256_add(hash, bytes, size);
    bv_sha256_end(&hash, text);
    return BV_OK;
}

bv_status bv_sha256_file(const char *path, char text[BV_SHA256_TEXT_SIZE]) {
    bv_map map;
    BV_TRY(bv_map_open(path, &map));
    bv_error *error = bv_sha256_bytes(map.data, map.size, text);
    if (!error) error = bv_map_check(&map, path);
    bv_map_close(&map);
    return error;
}

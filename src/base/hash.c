#include "base/hash.h"

#include "base/file.h"
#include "base/memory.h"
#include <openssl/evp.h>
#include <stdio.h>

struct bv_sha256 {
    EVP_MD_CTX *context;
};

bv_status bv_sha256_begin(bv_sha256 **out) {
    bv_sha256 *hash = bv_malloc(sizeof *hash);
    if (!hash) return bv_fail_memory("a hash");
    hash->context = EVP_MD_CTX_new();
    if (!hash->context || EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(hash->context);
        bv_free(hash);
        return bv_fail_memory("a hash");
    }
    *out = hash;
    return BV_OK;
}

void bv_sha256_add(bv_sha256 *hash, const void *bytes, size_t size) {
    const int ok = EVP_DigestUpdate(hash->context, bytes, size);
    BV_ASSERT(ok == 1);
}

void bv_sha256_end(bv_sha256 **hash, char text[BV_SHA256_TEXT_SIZE]) {
    unsigned char digest[32];
    unsigned size = 0;
    const int ok = EVP_DigestFinal_ex((*hash)->context, digest, &size);
    BV_ASSERT(ok == 1 && size == sizeof digest);
    for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free((*hash)->context);
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

/* SHA-256 (FIPS 180-4, by OpenSSL's libcrypto): proofs of equal bits and content keys. */
#ifndef BV_BASE_HASH_H
#define BV_BASE_HASH_H

#include "base/status.h"
#include <stddef.h>

#define BV_SHA256_TEXT_SIZE 65 /* 64 lower-case hexadecimal digits and a NUL */

typedef struct bv_sha256 bv_sha256;
bv_status bv_sha256_begin(bv_sha256 **out);
void bv_sha256_add(bv_sha256 *hash, const void *bytes, size_t size);
void bv_sha256_end(bv_sha256 **hash, char text[BV_SHA256_TEXT_SIZE]); /* frees */
bv_status bv_sha256_bytes(const void *bytes, size_t size, char text[BV_SHA256_TEXT_SIZE]);
bv_status bv_sha256_file(const char *path, char text[BV_SHA256_TEXT_SIZE]);

#endif

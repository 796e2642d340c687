/*
 * safetensors files (huggingface/safetensors format): an 8-byte little-endian length, a JSON
 * header, the data. Written canonically (names sorted by bytes, no metadata), so equal tensors are
 * equal files and a SHA-256 of the file proves equal bits. Read by mapping, fully checked.
 */
#ifndef BV_MODEL_SAFETENSORS_H
#define BV_MODEL_SAFETENSORS_H

#include "base/hash.h"
#include "model/named_tensor.h"

/* Streams the tensors (f32) into `path`, all or nothing; sha256 of the file into text. */
bv_status bv_safetensors_write(const char *path, const bv_named_tensor *list, size_t count,
                               char text[BV_SHA256_TEXT_SIZE]);
/* Fills the tensors of the list, each of which must be in the file with its shape and type, and
 * nothing else. On failure some may have been filled. */
bv_status bv_safetensors_read(const char *path, const bv_named_tensor *list, size_t count);

#endif

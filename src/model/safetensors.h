/*
 * safetensors files (huggingface/safetensors format): an 8-byte little-endian length, a JSON
 * header, the data. Written canonically (names sorted by bytes, no metadata), so equal tensors are
 * equal files and a SHA-256 of the file proves equal bits. Read by mapping, fully checked.
 */
#ifndef BV_MODEL_SAFETENSORS_H
#define BV_MODEL_SAFETENSORS_H

#include "base/file.h"
#include "base/hash.h"
#include "model/named_tensor.h"

/* Streams the tensors (f32) into `path`, all or nothing; sha256 of the file into text. */
bv_status bv_safetensors_write(const char *path, const bv_named_tensor *list, size_t count,
                               char text[BV_SHA256_TEXT_SIZE]);
/* Fills the tensors of the list, each of which must be in the file with its shape and type, and
 * nothing else. On failure some may have been filled. */
bv_status bv_safetensors_read(const char *path, const bv_named_tensor *list, size_t count);
/* The same without copying: points the tensors' data into the map of the file, which who calls
 * closes when they are no longer used. Data that no float can be read from in place is
 * BV_CODE_INPUT (bv_safetensors_write aligns it). */
bv_status bv_safetensors_map(const char *path, bv_named_tensor *list, size_t count, bv_map *map);

#endif

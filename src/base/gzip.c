#include "base/gzip.h"

#include "base/file.h"
#include "base/memory.h"
#include <zlib.h>

#define STEP (256u << 10)

static voidpf allocate(voidpf context, uInt count, uInt size) {
    (void)context;
    return bv_calloc(count, size);
}

static void release(voidpf context, voidpf pointer) {
    (void)context;
    bv_free(pointer);
}

static bv_status too_large(const char *path, size_t size_max) {
    return bv_fail(BV_CODE_INPUT, "%s has more than %zu bytes", path, size_max);
}

/* Members follow each other, as RFC 1952 allows. */
static bv_status unpack(z_stream *z, const char *path, size_t size_max, bv_buffer *out) {
    const size_t begin = out->size;
    for (int state = Z_OK; z->avail_in || state != Z_STREAM_END;) {
        if (out->size - begin >= size_max) return too_large(path, size_max);
        if (!bv_buffer_reserve(out, STEP)) return bv_fail_memory("unpacked bytes");
        z->next_out = (Bytef *)out->data + out->size;
        z->avail_out = STEP;
        state = inflate(z, Z_NO_FLUSH);
        out->size += STEP - z->avail_out;
        if (state == Z_MEM_ERROR) return bv_fail_memory("unpacking");
        if (state != Z_OK && state != Z_STREAM_END)
            return bv_fail(BV_CODE_INPUT, "%s is damaged: %s", path,
                           z->msg ? z->msg : "it ends too early");
        if (state == Z_STREAM_END && z->avail_in && inflateReset(z) != Z_OK)
            return bv_fail(BV_CODE_FAULT, "zlib cannot go on");
    }
    out->data[out->size] = 0;
    return out->size - begin > size_max ? too_large(path, size_max) : BV_OK;
}

bv_status bv_gzip_read(const char *path, size_t size_max, bv_buffer *out) {
    bv_map map;
    BV_TRY(bv_map_open(path, &map));
    bv_error *error = BV_OK;
    if (map.size < 2 || map.data[0] != 0x1f || map.data[1] != 0x8b) {
        if (map.size > size_max) error = too_large(path, size_max);
        if (!error) bv_buffer_append(out, map.data, map.size);
        if (!error) error = bv_buffer_error(out);
    } else if (map.size > UINT32_MAX) {
        error = too_large(path, UINT32_MAX);
    } else {
        z_stream z = {.zalloc = allocate,
                      .zfree = release,
                      .next_in = (z_const Bytef *)map.data,
                      .avail_in = (uInt)map.size};
        if (inflateInit2(&z, 16 + 15) != Z_OK) error = bv_fail_memory("unpacking");
        if (!error) error = unpack(&z, path, size_max, out);
        inflateEnd(&z);
    }
    if (!error) error = bv_map_check(&map, path);
    bv_map_close(&map);
    return error;
}

/* Bytes that are nearly right: the house's way of fuzzing loaders. A mutation is a function of
 * (seed, file, number), so a failure can be repeated from what is printed. */
#ifndef BV_TESTS_SUPPORT_MANGLE_H
#define BV_TESTS_SUPPORT_MANGLE_H

#include "base/random.h"
#include "support/check.h"

static inline uint32_t mangle_word(uint32_t seed, uint32_t file, uint32_t n, uint32_t i) {
    return bv_random(seed, BV_RANDOM_TEST, file, n, i, 0).v[0];
}

/* One to four changes of a copy of `from`: bits flipped, pieces cut out, doubled or replaced. */
static inline void mangle(const bv_buffer *from, uint32_t seed, uint32_t file, uint32_t n,
                          bv_buffer *to) {
    bv_buffer_clear(to);
    bv_buffer_append(to, from->data, from->size);
    const uint32_t changes = 1 + mangle_word(seed, file, n, 0) % 4;
    for (uint32_t c = 0; c < changes && to->size; c++) {
        const size_t at = mangle_word(seed, file, n, 4 * c + 1) % to->size;
        const size_t length = 1 + mangle_word(seed, file, n, 4 * c + 2) % 16;
        const size_t end = at + length < to->size ? at + length : to->size;
        const uint32_t value = mangle_word(seed, file, n, 4 * c + 4);
        switch (mangle_word(seed, file, n, 4 * c + 3) % 5) {
        case 0:
            to->data[at] ^= (char)(1 << value % 8);
            break;
        case 1:
            to->size = at;
            break;
        case 2: /* cut out */
            memmove(to->data + at, to->data + end, to->size - end);
            to->size -= end - at;
            break;
        case 3:
            memset(to->data + at, (int)value, end - at);
            break;
        case 4:
            bv_buffer_append(to, from->data, length < from->size ? length : from->size);
            break;
        }
    }
}

/* Mangles a file `times` times, calls `load`, which must succeed or refuse (BV_CODE_USAGE to
 * BV_CODE_MEMORY), and puts it back. */
static inline void mangle_file(const char *path, uint32_t seed, uint32_t file, uint32_t times,
                               bv_error *(*load)(void)) {
    bv_buffer good = {0}, bad = {0};
    size_t refused = 0;
    assert_ok(bv_file_read(path, &good));
    assert_ok(load());
    for (uint32_t n = 0; n < times; n++) {
        mangle(&good, seed, file, n, &bad);
        assert_ok(bv_file_write(path, bad.data ? bad.data : "", bad.size));
        bv_error *error = load();
        if (bv_error_code(error) >= BV_CODE_FAULT)
            fail_msg("%s, seed %u, mutation %u: %s", path, seed, n, bv_error_text(error));
        refused += error != NULL;
        bv_error_free(&error);
    }
    assert_ok(bv_file_write(path, good.data, good.size));
    assert_true(refused > 0);
    bv_buffer_free(&good);
    bv_buffer_free(&bad);
}

#endif

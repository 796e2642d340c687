/*
 * Memory between guards for tests of kernels, and its elements of any type as doubles. One thread;
 * cmocka's allocator, so that what is forgotten is found.
 */
#ifndef BV_TESTS_SUPPORT_GUARDED_H
#define BV_TESTS_SUPPORT_GUARDED_H

#include "kernel/dtype.h"
#include "support/check.h"

#define GUARD 0xa5
#define GUARD_BYTES 192

typedef struct guarded {
    unsigned char *memory;
    void *data; /* aligned to 64, and `misalign` bytes further */
    size_t bytes;
} guarded;

static inline guarded guarded_make(size_t bytes, size_t misalign) {
    guarded g = {.memory = test_malloc(bytes + 2 * GUARD_BYTES + 256), .bytes = bytes};
    memset(g.memory, GUARD, bytes + 2 * GUARD_BYTES + 256);
    const uintptr_t at = (uintptr_t)g.memory + GUARD_BYTES;
    g.data = g.memory + GUARD_BYTES + (64 - at % 64) % 64 + misalign;
    return g;
}

static inline void guarded_check(const guarded *g) {
    for (const unsigned char *p = g->memory; p < (unsigned char *)g->data; p++)
        assert_int_equal(*p, GUARD);
    const unsigned char *end = (const unsigned char *)g->data + g->bytes;
    for (const unsigned char *p = end; p < end + GUARD_BYTES; p++) assert_int_equal(*p, GUARD);
}

static inline void guarded_free(guarded *g) {
    guarded_check(g);
    test_free(g->memory);
}

static inline float as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static inline uint32_t as_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

/* x, or where `half` what bf16 holds exactly when its lower half is cut off. A mask, not a branch:
 * gcc 12 forgets a conditional clearing of a float's lower half. */
static inline float cut(float x, bool half) {
    return as_float(as_bits(x) & (half ? 0xffff0000u : 0xffffffffu));
}

/* Element `at`; bf16 is cut off, not rounded. */
static inline void put(void *x, bv_dtype type, size_t at, double value) {
    const uint16_t half = (uint16_t)(as_bits((float)value) >> 16);
    if (type == BV_F64) ((double *)x)[at] = value;
    if (type == BV_F32) ((float *)x)[at] = (float)value;
    if (type == BV_BF16) memcpy((uint16_t *)x + at, &half, 2);
}

static inline double get(const void *x, bv_dtype type, size_t at) {
    if (type == BV_F64) return ((const double *)x)[at];
    if (type == BV_F32) return ((const float *)x)[at];
    return as_float((uint32_t)((const uint16_t *)x)[at] << 16);
}

/* `count` values of any type, `misalign` elements beyond an aligned place. */
static inline guarded guarded_values(const float *x, size_t count, bv_dtype type, size_t misalign) {
    guarded g = guarded_make(count * bv_dtype_size(type), misalign * bv_dtype_size(type));
    for (size_t i = 0; i < count; i++) put(g.data, type, i, (double)x[i]);
    return g;
}

#endif

#include "kernel/attention.h"

#include <string.h>

#define LANES 16

static size_t width_of(size_t d_head) {
    return (d_head + LANES - 1) / LANES * LANES;
}

size_t bv_attention_key_bytes(bv_dtype type, size_t d_head) {
    if (type == BV_BF16) return (d_head + 1) / 2 * BV_ATTENTION_TILE * sizeof(uint32_t);
    return d_head * BV_ATTENTION_TILE * bv_dtype_size(type);
}

size_t bv_attention_value_bytes(bv_dtype type, size_t d_head) {
    return width_of(d_head) * BV_ATTENTION_TILE * bv_dtype_size(type);
}

static void store_key_words(const bv_attention_store_args *a) {
    const uint16_t *rows = a->k_rows;
    for (size_t step = 0; step < (a->d_head + 1) / 2; step++) {
        uint32_t *to = (uint32_t *)a->k_tile + step * BV_ATTENTION_TILE + a->begin;
        const bool whole = 2 * step + 1 < a->d_head;
        for (size_t i = 0; i < a->end - a->begin; i++) {
            const uint16_t *from = rows + i * a->stride + 2 * step;
            to[i] = from[0] | (whole ? (uint32_t)from[1] << 16 : 0);
        }
    }
}

/* A word that gets its even position forgets the odd one: absent values are zeros. */
static void store_value_words(const bv_attention_store_args *a) {
    const size_t width = width_of(a->d_head);
    for (size_t p = a->begin; p < a->end; p++) {
        const uint16_t *from = (const uint16_t *)a->v_rows + (p - a->begin) * a->stride;
        uint32_t *to = (uint32_t *)a->v_tile + p / 2 * width;
        if (p % 2)
            for (size_t c = 0; c < a->d_head; c++)
                to[c] = (to[c] & 0xffffu) | (uint32_t)from[c] << 16;
        else
            for (size_t c = 0; c < a->d_head; c++) to[c] = from[c];
    }
}

static void store_reals(const bv_attention_store_args *a) {
    const size_t size = bv_dtype_size(a->type), block = a->d_head * LANES;
    const char *k = a->k_rows, *v = a->v_rows;
    for (size_t p = a->begin; p < a->end; p++, k += a->stride * size, v += a->stride * size) {
        char *column = (char *)a->k_tile + (p / LANES * block + p % LANES) * size;
        char *row = (char *)a->v_tile + p * LANES * size;
        for (size_t c = 0; c < a->d_head; c++)
            memcpy(column + c * LANES * size, k + c * size, size);
        for (size_t c = 0; c < a->d_head; c += LANES) {
            const size_t left = a->d_head - c, count = left < LANES ? left : LANES;
            memcpy(row + c * BV_ATTENTION_TILE * size, v + c * size, count * size);
        }
    }
}

void bv_attention_store(const bv_attention_store_args *args) {
    if (args->type == BV_BF16) {
        store_key_words(args);
        store_value_words(args);
    } else {
        store_reals(args);
    }
}

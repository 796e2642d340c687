#include "kernel/attention.h"

#include <string.h>

#define LANES 16

/* ---- a tile of the KV cache ---- */

static size_t word_bytes(bv_dtype type) {
    return type == BV_BF16 ? sizeof(uint32_t) : bv_dtype_size(type);
}

static size_t steps(bv_dtype type, size_t n) {
    return type == BV_BF16 ? (n + 1) / 2 : n;
}

/* Bytes of one head in a block: of n channels of keys, or of n positions of values. */
static size_t head_bytes(bv_dtype type, size_t n) {
    return steps(type, n) * LANES * word_bytes(type);
}

size_t bv_attention_key_block(bv_dtype type, size_t kv_heads, size_t d_head) {
    return kv_heads * head_bytes(type, d_head);
}

size_t bv_attention_value_block(bv_dtype type, size_t kv_heads) {
    return kv_heads * head_bytes(type, BV_ATTENTION_TILE);
}

size_t bv_attention_key_bytes(bv_dtype type, size_t kv_heads, size_t d_head) {
    return BV_ATTENTION_TILE / LANES * bv_attention_key_block(type, kv_heads, d_head);
}

size_t bv_attention_value_bytes(bv_dtype type, size_t kv_heads, size_t d_head) {
    return (d_head + LANES - 1) / LANES * bv_attention_value_block(type, kv_heads);
}

/* ---- storing into it ---- */

/* The first word of position p; keys. */
static char *key_at(const bv_attention_store_args *a, size_t p) {
    return (char *)a->k_tile + p / LANES * bv_attention_key_block(a->type, a->kv_heads, a->d_head) +
           a->kv * head_bytes(a->type, a->d_head) + p % LANES * word_bytes(a->type);
}

/* The same of values, from a channel on that begins a block. */
static char *value_at(const bv_attention_store_args *a, size_t p, size_t channel) {
    return (char *)a->v_tile + channel / LANES * bv_attention_value_block(a->type, a->kv_heads) +
           a->kv * head_bytes(a->type, BV_ATTENTION_TILE) +
           (steps(a->type, p + 1) - 1) * LANES * word_bytes(a->type);
}

static void store_key_words(const bv_attention_store_args *a, size_t p, const uint16_t *from) {
    uint32_t *to = (uint32_t *)(void *)key_at(a, p);
    for (size_t c = 0; c < a->d_head; c += 2, to += LANES)
        *to = from[c] | (c + 1 < a->d_head ? (uint32_t)from[c + 1] << 16 : 0);
}

/* A word that gets its even position forgets the odd one: absent values are zeros. */
static void store_value_words(const bv_attention_store_args *a, size_t p, const uint16_t *from) {
    for (size_t c = 0; c < a->d_head; c += LANES) {
        uint32_t *to = (uint32_t *)(void *)value_at(a, p, c);
        for (size_t i = 0; i < LANES && c + i < a->d_head; i++)
            to[i] = p % 2 ? (to[i] & 0xffffu) | (uint32_t)from[c + i] << 16 : from[c + i];
    }
}

static void store_reals(const bv_attention_store_args *a, size_t p, const char *k, const char *v) {
    const size_t size = bv_dtype_size(a->type);
    char *column = key_at(a, p);
    for (size_t c = 0; c < a->d_head; c++) memcpy(column + c * LANES * size, k + c * size, size);
    for (size_t c = 0; c < a->d_head; c += LANES) {
        const size_t left = a->d_head - c, count = left < LANES ? left : LANES;
        memcpy(value_at(a, p, c), v + c * size, count * size);
    }
}

void bv_attention_store(const bv_attention_store_args *a) {
    const size_t row = a->stride * bv_dtype_size(a->type);
    const char *k = a->k_rows, *v = a->v_rows;
    for (size_t p = a->begin; p < a->end; p++, k += row, v += row) {
        if (a->type == BV_BF16) {
            store_key_words(a, p, (const uint16_t *)(const void *)k);
            store_value_words(a, p, (const uint16_t *)(const void *)v);
        } else {
            store_reals(a, p, k, v);
        }
    }
}

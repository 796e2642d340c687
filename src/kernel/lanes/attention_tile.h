/*
 * What forward and backward attention share beside the product of tiles: the packing it needs,
 * which keys a query sees, and dropout.
 *
 * A key that a query does not see has p = 0, so that its step adds 0 to the chain and may be left
 * out: only the sign of a zero can tell, and zeros are written as +0. That holds while the other
 * factor is finite. Packing looks for values that are not, and where there is one in a tile that
 * some query sees in part, product_seen() takes the steps one by one instead (law 3).
 */
#ifndef BV_KERNEL_LANES_ATTENTION_TILE_H
#define BV_KERNEL_LANES_ATTENTION_TILE_H

#include "base/random.h"
#include "base/status.h"
#include "kernel/lanes/attention_product.h"
#include "kernel/real.h"

#define BLOCKS (TILE / BV_LANES) /* of 16 queries or keys in a tile */

/* Whether a run computes in bf16; never at the f64 level. */
BV_INLINE bool in_pairs(const bv_attention_args *a) {
    return BV_REAL_TYPE == BV_F32 && a->type == BV_BF16;
}

BV_INLINE const void *element(const void *base, bv_dtype type, size_t at) {
    return (const char *)base + at * bv_dtype_size(type);
}

/* ---- packing ---- */

#if defined(BV_LEVEL_AVX512)
/* 16 x 16 words. */
BV_INLINE void transpose(__m512i x[16]) {
    __m512i y[16];
    UNROLL for (int i = 0; i < 16; i += 4) {
        const __m512i a = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        const __m512i b = _mm512_unpackhi_epi32(x[i], x[i + 1]);
        const __m512i c = _mm512_unpacklo_epi32(x[i + 2], x[i + 3]);
        const __m512i d = _mm512_unpackhi_epi32(x[i + 2], x[i + 3]);
        y[i] = _mm512_unpacklo_epi64(a, c);
        y[i + 1] = _mm512_unpackhi_epi64(a, c);
        y[i + 2] = _mm512_unpacklo_epi64(b, d);
        y[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        const __m512i a = _mm512_shuffle_i32x4(y[i], y[i + 4], 0x88);
        const __m512i b = _mm512_shuffle_i32x4(y[i], y[i + 4], 0xdd);
        const __m512i c = _mm512_shuffle_i32x4(y[i + 8], y[i + 12], 0x88);
        const __m512i d = _mm512_shuffle_i32x4(y[i + 8], y[i + 12], 0xdd);
        x[i] = _mm512_shuffle_i32x4(a, c, 0x88);
        x[i + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
        x[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
        x[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

/* x: rows of `halves` 16-bit units, `stride` bytes apart -> words in columns [halves / 2, TILE],
 * absent rows 0, as far as their block of 16. */
static void pack_columns(void *out, const void *x, size_t stride, size_t rows, size_t d,
                         bool pairs) {
    const size_t halves = pairs ? d : 2 * d;
    for (size_t r = 0; r < rows; r += 16)
        for (size_t h = 0; h < halves; h += 32) {
            const size_t left = halves - h, words = left < 32 ? (left + 1) / 2 : 16;
            const __mmask32 mask = left < 32 ? (1u << left) - 1u : 0xffffffffu;
            __m512i t[16];
            _Pragma("GCC unroll 16") for (size_t i = 0; i < 16; i++) {
                const char *from = (const char *)x + smaller(r + i, rows - 1) * stride + 2 * h;
                t[i] = _mm512_maskz_loadu_epi16(r + i < rows ? mask : 0, from);
            }
            transpose(t);
            uint32_t *to = (uint32_t *)out + h / 2 * TILE + r;
            _Pragma("GCC unroll 16") for (size_t i = 0; i < 16; i++) if (i < words)
                _mm512_storeu_si512(to + i * TILE, t[i]);
        }
}
#elif defined(BV_LEVEL_AVX2)
/* 8 rows of `bytes` (at most 32) -> a column of words each, `rows` of them there. */
static __attribute__((noinline)) void pack_part(uint32_t *to, const char *from, size_t stride,
                                                size_t rows, size_t bytes) {
    uint32_t words[8][8] = {{0}};
    __m256 t[8];
    for (size_t i = 0; i < rows; i++) memcpy(words[i], from + i * stride, bytes);
    UNROLL for (size_t i = 0; i < 8; i++) t[i] = v8_load_words(words[i]);
    v8_transpose(t);
    for (size_t i = 0; i < (bytes + 3) / 4; i++) v8_store_words(to + i * TILE, t[i]);
}

static void pack_columns(void *out, const void *x, size_t stride, size_t rows, size_t d,
                         bool pairs) {
    const size_t bytes = d * (pairs ? 2 : sizeof(real));
    for (size_t r = 0; r < round_up(rows, BV_LANES); r += 8) {
        const size_t there = r < rows ? smaller(rows - r, 8) : 0;
        for (size_t at = 0; at < bytes; at += 32) {
            const size_t left = smaller(bytes - at, 32);
            const char *from = (const char *)x + r * stride + at;
            uint32_t *to = (uint32_t *)out + at / 4 * TILE + r;
            if (there < 8 || left < 32) {
                pack_part(to, from, stride, there, left);
                continue;
            }
            __m256 t[8];
            UNROLL for (size_t i = 0; i < 8; i++) t[i] =
                v8_load_words((const void *)(from + i * stride));
            v8_transpose(t);
            UNROLL for (size_t i = 0; i < 8; i++) v8_store_words(to + i * TILE, t[i]);
        }
    }
}
#else
static void pack_columns(void *out, const void *x, size_t stride, size_t rows, size_t d,
                         bool pairs) {
    const size_t step = pairs ? 4 : sizeof(real), bytes = d * (pairs ? 2 : sizeof(real));
    for (size_t r = 0; r < round_up(rows, BV_LANES); r++)
        for (size_t at = 0; at < bytes; at += step) {
            char *to = (char *)out + at * TILE + r * step;
            const char *from = (const char *)x + r * stride + at;
            memset(to, 0, step);
            if (r >= rows) continue;
            if (bytes - at < step)
                memcpy(to, from, bytes - at);
            else
                memcpy(to, from, step);
        }
}
#endif

/* x: rows `stride` elements apart -> [rows, width], columns from d on 0. Are all finite? */
static bool pack_reals(real *out, const real *x, size_t stride, size_t begin, size_t end,
                       size_t d) {
    const size_t width = round_up(d, BV_LANES);
    vreal probe = v_zero();
    for (size_t r = begin; r < end; r++) {
        const real *from = x + r * stride;
        real *to = out + r * width;
        for (size_t i = 0; i < width; i += BV_LANES) {
            const vreal value =
                i + BV_LANES <= d ? v_load(from + i) : v_load_first(from + i, d - i);
            v_store(to + i, value);
            probe = v_fma(value, v_zero(), probe);
        }
    }
    const real sum = v_sum(probe);
    return sum == sum;
}

/* Words of d elements of two rows, zeros up to width. Are all finite? */
BV_INLINE bool pair_row(uint32_t *restrict to, const uint16_t *restrict even,
                        const uint16_t *restrict odd, size_t d, size_t width) {
#if defined(BV_LEVEL_AVX512)
    const __m512i exponent = _mm512_set1_epi16(0x7f80);
    __mmask32 bad = 0;
    for (size_t i = 0; i < width; i += BV_LANES) {
        const __mmask16 mask = v_mask_first(smaller(d - i, BV_LANES));
        const __m512i e = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, even + i));
        const __m512i o = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, odd + i));
        const __m512i words = _mm512_or_si512(e, _mm512_slli_epi32(o, 16));
        bad |= _mm512_cmpeq_epi16_mask(_mm512_and_si512(words, exponent), exponent);
        _mm512_storeu_si512(to + i, words);
    }
#else
    uint32_t bad = 0;
    size_t i = 0;
#if defined(BV_LEVEL_AVX2)
    const __m256i exponent = _mm256_set1_epi16(0x7f80);
    __m256i infinite = _mm256_setzero_si256();
    for (; i + 8 <= d; i += 8) {
        const __m256i e = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(even + i)));
        const __m256i o = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(odd + i)));
        const __m256i words = _mm256_or_si256(e, _mm256_slli_epi32(o, 16));
        infinite = _mm256_or_si256(infinite,
                                   _mm256_cmpeq_epi16(_mm256_and_si256(words, exponent), exponent));
        _mm256_storeu_si256((void *)(to + i), words);
    }
    bad = (uint32_t)_mm256_movemask_epi8(infinite);
#endif
    for (; i < d; i++) {
        const uint32_t e = even[i], o = odd[i];
        bad |= (uint32_t)((e & 0x7f80u) == 0x7f80u) | (uint32_t)((o & 0x7f80u) == 0x7f80u);
        to[i] = e | o << 16;
    }
    for (; i < width; i++) to[i] = 0;
#endif
    return bad == 0;
}

/* The same for bf16: words of rows 2j (low) and 2j + 1, [rows / 2, width]; rows outside begin ..
 * end - 1 are 0. */
static bool pack_pairs(uint32_t *out, const uint16_t *x, size_t stride, size_t begin, size_t end,
                       size_t d) {
    static const uint16_t zeros[D_HEAD_MAX];
    const size_t width = round_up(d, BV_LANES);
    bool finite = true;
    for (size_t r = begin / 2; r < (end + 1) / 2; r++) {
        const uint16_t *even = 2 * r >= begin ? x + 2 * r * stride : zeros;
        const uint16_t *odd = 2 * r + 1 < end ? x + (2 * r + 1) * stride : zeros;
        finite &= pair_row(out + r * width, even, odd, d, width);
    }
    return finite;
}

BV_INLINE bool pack_rows(void *out, const void *x, size_t stride, size_t begin, size_t end,
                         size_t d, bool pairs) {
    return pairs ? pack_pairs(out, x, stride, begin, end, d)
                 : pack_reals(out, x, stride, begin, end, d);
}

/* Rows that can be read in words: bf16 rows of odd length are copied and padded. */
typedef struct word_rows {
    const void *rows;
    size_t stride, step; /* bytes from row to row, and from word to word of a row */
} word_rows;

BV_INLINE size_t word_bytes(bool pairs) {
    return pairs ? sizeof(uint32_t) : sizeof(real);
}

static word_rows read_words(void *copy, const void *x, size_t stride, size_t rows, size_t d,
                            bool pairs) {
    const size_t step = word_bytes(pairs);
    if (!pairs || d % 2 == 0) return (word_rows){x, stride * (pairs ? 2 : sizeof(real)), step};
    uint16_t *to = copy;
    for (size_t r = 0; r < rows; r++) {
        memcpy(to + r * (d + 1), (const uint16_t *)x + r * stride, 2 * d);
        to[r * (d + 1) + d] = 0;
    }
    return (word_rows){copy, 2 * (d + 1), step};
}

BV_INLINE size_t steps(size_t n, bool pairs) {
    return pairs ? (n + 1) / 2 : n;
}

/* Words of two rows rounded to bf16; the first is the even element. */
BV_INLINE void store_pair(uint32_t *out, vreal even, vreal odd) {
#if defined(BV_LEVEL_AVX512) && defined(__AVX512BF16__)
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi16(order, both));
#elif defined(BV_LEVEL_AVX2)
    for (int q = 0; q < 2; q++) {
        const __m128i e = v8_to_bf16(even.v[q]), o = v8_to_bf16(odd.v[q]);
        _mm_storeu_si128((void *)(out + 8 * q), _mm_unpacklo_epi16(e, o));
        _mm_storeu_si128((void *)(out + 8 * q + 4), _mm_unpackhi_epi16(e, o));
    }
#else
    uint16_t e[BV_LANES], o[BV_LANES];
    v_store_bf16(e, even);
    v_store_bf16(o, odd);
    for (int i = 0; i < BV_LANES; i++) out[i] = e[i] | (uint32_t)o[i] << 16;
#endif
}

/* Rounds rows of d columns and writes them; +0 for -0 (and, at bf16, for what is flushed). */
static void write_row(const bv_attention_args *a, void *out, size_t at, const real *row,
                      real factor) {
    const bool pairs = in_pairs(a);
    for (size_t i = 0; i < a->d_head; i += BV_LANES) {
        const size_t n = smaller(a->d_head - i, BV_LANES);
        vreal x = v_mul(v_load(row + i), v_set(factor));
        if (pairs) {
            x = v_if_less(v_abs(x), v_set((real)0x1p-126), v_zero(), x);
            v_store_bf16_first((uint16_t *)out + at + i, x, n);
        } else {
            v_store_first((real *)out + at + i, v_add(x, v_zero()), n);
        }
    }
}

/* exp for the softmax, the bits of v_exp: there is nothing above 0 but, at the end of a chain, a
 * rounding. */
BV_INLINE vreal softmax_exp(vreal x) {
#if defined(BV_LEVEL_AVX512) || defined(BV_LEVEL_AVX2)
    x = v_min(v_set(89.0f), v_max(v_set(-104.0f), x)); /* a NaN stays */
    const vreal n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    vreal r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vreal p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_add(v_fma(p, v_mul(r, r), r), v_set(1.0f));
    return v_scale(p, n);
#else
    return v_exp(x);
#endif
}

/* ---- which keys a query sees ---- */

/* A tile of queries. Positions as reals: exact below 2^24. A query that is absent sees nothing. */
typedef struct sight {
    real low[TILE], high[TILE]; /* visible keys of a query: low .. high */
    size_t low_min[BLOCKS], low_max[BLOCKS], high_min[BLOCKS], high_max[BLOCKS];
    size_t lowest, highest; /* over the tile */
    size_t queries, blocks;
} sight;

/* First visible key of row r of a sequence; a query always sees itself. */
BV_INLINE size_t first_key(const bv_attention_args *a, const bv_attention_sequence *s, size_t r) {
    const size_t position = s->position + r;
    size_t low = a->band && position + 1 > a->band ? position + 1 - a->band : 0;
    if (a->first_visible && a->first_visible[s->row + r] > low) low = a->first_visible[s->row + r];
    return smaller(low, position);
}

static void look(const bv_attention_args *a, const bv_attention_sequence *s, size_t query,
                 sight *out) {
    out->queries = smaller(s->rows - query, TILE);
    out->blocks = (out->queries + BV_LANES - 1) / BV_LANES;
    out->lowest = SIZE_MAX;
    out->highest = s->position + query + out->queries - 1;
    for (size_t b = 0; b < out->blocks; b++) {
        size_t low_min = SIZE_MAX, low_max = 0;
        const size_t end = smaller((b + 1) * BV_LANES, out->queries);
        for (size_t i = b * BV_LANES; i < end; i++) {
            const size_t low = first_key(a, s, query + i);
            if (low < low_min) low_min = low;
            if (low > low_max) low_max = low;
            out->low[i] = (real)low;
            out->high[i] = (real)(s->position + query + i);
        }
        for (size_t i = end; i < (b + 1) * BV_LANES; i++) {
            out->low[i] = 1, out->high[i] = 0;
            low_max = SIZE_MAX;
        }
        out->low_min[b] = low_min, out->low_max[b] = low_max;
        out->high_min[b] = s->position + query + b * BV_LANES;
        out->high_max[b] = s->position + query + end - 1;
        if (low_min < out->lowest) out->lowest = low_min;
    }
}

BV_INLINE bool sees(const sight *w, size_t query, size_t key) {
    return query < w->queries && (real)key >= w->low[query] && (real)key <= w->high[query];
}

/* x where the query of a lane sees the key, else y; lane 0 is query i. */
BV_INLINE vreal where_seen(const sight *w, size_t i, size_t key, vreal x, vreal y) {
    const vreal k = v_set((real)key);
    const vreal seen = v_if_less(k, v_load(w->low + i), y, x);
    return v_if_less(v_load(w->high + i), k, y, seen);
}

typedef enum seen_state { SEEN_NONE, SEEN_SOME, SEEN_ALL } seen_state;

/* A tile of keys seen by a tile of queries, in blocks of 16 x 16. */
typedef struct view {
    const sight *sight;
    size_t base, keys, groups;           /* absolute position, existing keys, blocks of them */
    unsigned char state[BLOCKS][BLOCKS]; /* [keys, queries] */
    bool whole;                          /* every query sees every key */
    size_t first_query[BLOCKS], end_query[BLOCKS]; /* of a block of keys; blocks of queries */
    size_t first_key[BLOCKS], end_key[BLOCKS];     /* of a block of queries; keys of the tile */
} view;

static void make_view(const sight *w, size_t tile, view *out) {
    out->sight = w;
    out->base = tile * TILE;
    out->keys = smaller(w->highest + 1 - out->base, TILE);
    out->groups = (out->keys + BV_LANES - 1) / BV_LANES;
    out->whole = true;
    for (size_t b = 0; b < BLOCKS; b++) {
        out->first_query[b] = BLOCKS, out->end_query[b] = 0;
        out->first_key[b] = TILE, out->end_key[b] = 0;
    }
    for (size_t g = 0; g < out->groups; g++)
        for (size_t b = 0; b < w->blocks; b++) {
            const size_t end = smaller((g + 1) * BV_LANES, out->keys);
            const size_t first = out->base + g * BV_LANES, last = out->base + end - 1;
            const bool none = last < w->low_min[b] || first > w->high_max[b];
            const bool all = first >= w->low_max[b] && last <= w->high_min[b];
            out->state[g][b] = none ? SEEN_NONE : all ? SEEN_ALL : SEEN_SOME;
            out->whole = out->whole && all;
            if (none) continue;
            if (b < out->first_query[g]) out->first_query[g] = b;
            out->end_query[g] = b + 1;
            if (g * BV_LANES < out->first_key[b]) out->first_key[b] = g * BV_LANES;
            out->end_key[b] = end;
        }
    for (size_t b = 0; b < BLOCKS; b++) {
        if (out->first_query[b] > out->end_query[b]) out->first_query[b] = out->end_query[b];
        if (out->first_key[b] > out->end_key[b]) out->first_key[b] = out->end_key[b];
    }
}

/* out [keys, TILE queries] = scale (rows . columns), blocks that nobody sees left out. */
static void score_tile(const view *w, word_rows rows, const void *columns, size_t d, real scale,
                       real *out, bool pairs) {
    for (size_t g = 0; g < w->groups; g++) {
        const size_t begin = w->first_query[g] * BV_LANES, key = g * BV_LANES;
        const tile_product t = {.m = smaller(w->keys - key, BV_LANES),
                                .n = w->end_query[g] * BV_LANES - begin,
                                .k = steps(d, pairs),
                                .a = (const char *)rows.rows + key * rows.stride,
                                .a_row = rows.stride,
                                .a_step = rows.step,
                                .b = (const char *)columns + begin * word_bytes(pairs),
                                .b_row = TILE,
                                .c = out + key * TILE + begin,
                                .c_row = TILE,
                                .scale = scale};
        product(&t, pairs);
    }
}

/* The product where 0 times infinity may occur: row i of C and step k are a query and a key (or a
 * key and a query); unseen ones are passed over. i0, k0: of the tile. */
static __attribute__((noinline, cold)) void product_seen(const tile_product *t, const view *w,
                                                         bool rows_are_queries, size_t i0,
                                                         size_t k0, bool pairs) {
    tile_product start = *t;
    start.k = 0;
    product(&start, pairs);
    const size_t parts = pairs ? 2 : 1;
    for (size_t i = 0; i < t->m; i++)
        for (size_t k = 0; k < t->k * parts; k++) {
            /* The odd element of a pair goes first. */
            const size_t e = pairs ? k ^ 1 : k, step = k / parts;
            const size_t query = rows_are_queries ? i0 + i : k0 + e;
            const size_t key = w->base + (rows_are_queries ? k0 + e : i0 + i);
            if (!sees(w->sight, query, key)) continue;
            tile_product one = *t;
            uint32_t a, b[D_HEAD_MAX];
            one.m = 1, one.k = 1, one.add = true, one.factor = NULL;
            one.a = (const char *)t->a + i * t->a_row + step * t->a_step;
            one.b = (const char *)t->b + step * t->b_row * (pairs ? 4 : sizeof(real));
            one.c = t->c + i * t->c_row;
            if (pairs) {
                const uint32_t half = e % 2 ? 0xffff0000u : 0xffffu;
                memcpy(&a, one.a, 4);
                a &= half;
                for (size_t j = 0; j < t->n; j++) b[j] = ((const uint32_t *)one.b)[j] & half;
                one.a = &a, one.a_step = sizeof a, one.b = b;
            }
            product(&one, pairs);
        }
}

/* ---- dropout ---- */

/* Words for 16 queries from `query` on and the four keys from `key` on (a multiple of 4). */
BV_INLINE void random_block(const bv_attention_args *a, uint32_t who, size_t query, size_t key,
                            uint32_t words[4][BV_LANES]) {
    for (size_t i = 0; i < BV_LANES; i++) {
        const bv_random4 r = bv_random(a->seed, BV_RANDOM_ATTENTION_DROPOUT, a->site, a->step, who,
                                       (uint32_t)((query + i) << 16 | (key / 4 & 0xffffu)));
        for (size_t k = 0; k < 4; k++) words[k][i] = r.v[k];
    }
}

/* Multiplies the seen blocks of a [keys, TILE queries] tile by 0 or 1 / (1 - dropout). */
static void drop_tile(const bv_attention_args *a, const bv_attention_sequence *s, size_t head,
                      size_t query, const view *w, real *tile) {
    const uint32_t who = s->sample * (uint32_t)a->heads + (uint32_t)head;
    const real keep = (real)(1 / (1 - a->dropout));
    for (size_t j = 0; j < w->keys; j += 4)
        for (size_t b = 0; b < w->sight->blocks; b++) {
            if (w->state[j / BV_LANES][b] == SEEN_NONE) continue;
            uint32_t words[4][BV_LANES];
            random_block(a, who, s->position + query + b * BV_LANES, w->base + j, words);
            for (size_t k = 0; k < 4 && j + k < w->keys; k++) {
                real *p = tile + (j + k) * TILE + b * BV_LANES;
                for (size_t i = 0; i < BV_LANES; i++)
                    p[i] *= bv_uniform_f32(words[k][i]) >= (float)a->dropout ? keep : 0;
            }
        }
}

#endif

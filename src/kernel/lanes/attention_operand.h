/*
 * Operands of attention: packing them for the product of tiles (attention_operand.c), and writing
 * what comes out (attention_output.c).
 */
#ifndef BV_KERNEL_LANES_ATTENTION_OPERAND_H
#define BV_KERNEL_LANES_ATTENTION_OPERAND_H

#include "kernel/lanes/attention.h"

/* The level's own functions, by their names in its files. */
#define pack_columns BV_NAME(bv_attention_pack_columns)
#define pack_rows BV_NAME(bv_attention_pack_rows)
#define read_words BV_NAME(bv_attention_read_words)
#define write_rows BV_NAME(bv_attention_write_rows)
#define write_output BV_NAME(bv_attention_write_output)

/* x: rows of d elements, `stride` bytes apart -> words in columns [words of a row, TILE], absent
 * rows 0, as far as their block of 16. */
void pack_columns(void *out, const void *x, size_t stride, size_t rows, size_t d, bool pairs);

/* x: rows `stride` elements apart -> [rows, width], columns from d on 0; at bf16 words of rows 2j
 * (low) and 2j + 1, [rows / 2, width], and rows outside begin .. end - 1 are 0. Are all finite? */
bool pack_rows(void *out, const void *x, size_t stride, size_t begin, size_t end, size_t d,
               bool pairs);

/* Rows that can be read in words: bf16 rows of odd length are copied and padded. */
typedef struct word_rows {
    const void *rows;
    size_t stride, step; /* bytes from row to row, and from word to word of a row */
    size_t block;        /* bytes from 16 rows to the next */
} word_rows;

word_rows read_words(void *copy, const void *x, size_t stride, size_t rows, size_t d, bool pairs);

/* Rounds `count` rows of [d, up to lanes] and writes them at element `at` of out and `stride`
 * elements further each; +0 for -0 (and, at bf16, for what is flushed). factors: of the rows, or
 * NULL. */
void write_rows(const bv_attention_args *a, void *out, size_t at, size_t stride, const real *rows,
                size_t count, const real *factors);

/* Words of two rows rounded to bf16; the first is the even element. */
BV_INLINE void store_pair(uint32_t *out, vreal even, vreal odd) {
#if defined(BV_LEVEL_AVX512)
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

#endif

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

#endif

/*
 * Rows of a table by their ids: embeddings of tokens and positions.
 *
 *   forward: y[r] = table[ids[r]]      backward: dtable[ids[r], c] += dy[r, c], rows ascending
 *
 * Forward's ranges are rows; backward's are columns over all rows, so that no two threads meet.
 */
#ifndef BV_KERNEL_EMBEDDING_H
#define BV_KERNEL_EMBEDDING_H

#include "kernel/dtype.h"
#include <stdint.h>

typedef struct bv_embed_args {
    size_t cols;
    const uint32_t *ids; /* [rows] */
    const void *table;   /* [entries, cols] of table_type */
    bv_dtype table_type;
    void *y; /* [rows, cols] of y_type */
    bv_dtype y_type;
    const void *dy; /* [rows, cols] of y_type */
    void *dtable;   /* [entries, cols] real */
} bv_embed_args;

typedef struct bv_embedding_kernels {
    void (*forward)(const bv_embed_args *args, size_t row_begin, size_t row_end);
    void (*backward)(const bv_embed_args *args, size_t rows, size_t col_begin, size_t col_end);
} bv_embedding_kernels;

#endif

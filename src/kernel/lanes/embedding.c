/* Rows of a table at one level. */
#include "kernel/embedding.h"

#include "kernel/lanes/tables.h"
#include "kernel/real.h"

BV_INLINE void embed_body(const bv_embed_args *a, size_t row_begin, size_t row_end, bv_dtype tt,
                          bv_dtype yt) {
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t i = 0; i < a->cols; i += BV_LANES) {
            const size_t n = BV_LANES_LEFT(i, a->cols);
            v_put_first(a->y, yt, r * a->cols + i,
                        v_get_first(a->table, tt, a->ids[r] * a->cols + i, n), n);
        }
}

static void embed(const bv_embed_args *a, size_t row_begin, size_t row_end) {
    BV_BY_TYPES(a->table_type, a->y_type, embed_body, a, row_begin, row_end);
}

BV_INLINE void embed_backward_body(const bv_embed_args *a, size_t rows, size_t col_begin,
                                   size_t col_end, bv_dtype type) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = col_begin; i < col_end; i += BV_LANES) {
            const size_t n = BV_LANES_LEFT(i, col_end), at = a->ids[r] * a->cols + i;
            const vreal sum = v_add(v_get_first(a->dtable, BV_REAL_TYPE, at, n),
                                    v_get_first(a->dy, type, r * a->cols + i, n));
            v_put_first(a->dtable, BV_REAL_TYPE, at, sum, n);
        }
}

static void embed_backward(const bv_embed_args *a, size_t rows, size_t col_begin, size_t col_end) {
    BV_BY_TYPE(a->y_type, embed_backward_body, a, rows, col_begin, col_end);
}

const bv_embedding_kernels BV_NAME(bv_embedding_table) = {.forward = embed,
                                                          .backward = embed_backward};

/* Sums, casts, dropout and gradients of biases at one level. */
#include "kernel/elementwise.h"

#include "kernel/lanes/random.h"
#include "kernel/lanes/tables.h"
#include "kernel/real.h"

/* ---- sums and casts ---- */

BV_INLINE void add_body(const bv_add_args *a, size_t begin, size_t end, bv_dtype bt, bv_dtype at,
                        bv_dtype yt) {
    const vreal scale = v_set((real)a->scale);
    for (size_t i = begin; i < end; i += BV_LANES) {
        const size_t n = BV_LANES_LEFT(i, end);
        vreal y = v_get_first(a->a, at, i, n);
        if (a->b) y = v_add(y, v_get_first(a->b, bt, i, n));
        if (a->scale != 1) y = v_mul(y, scale);
        v_put_first(a->y, yt, i, y, n);
    }
}

BV_INLINE void add_to_bf16_or_real(const bv_add_args *a, size_t begin, size_t end, bv_dtype at,
                                   bv_dtype yt) {
    if (a->b && a->b_type == BV_BF16)
        add_body(a, begin, end, BV_BF16, at, yt);
    else
        add_body(a, begin, end, BV_REAL_TYPE, at, yt);
}

static void add(const bv_add_args *a, size_t begin, size_t end) {
    BV_BY_TYPES(a->a_type, a->y_type, add_to_bf16_or_real, a, begin, end);
}

/* ---- dropout ---- */

#define KEPT (4 * BV_LANES) /* columns at a time: four a counter, and a lane for each counter */

/* Columns from col on: 1 where it is kept, else 0. A uniform number is its word's upper 24 bits. */
BV_INLINE void keep_columns(const bv_dropout_args *a, size_t row, size_t col, real keep[KEPT]) {
    const uint32_t least = (uint32_t)ceil((double)(float)a->p * 0x1p24);
    uint32_t words[4][BV_LANES];
    v_random(a->seed, BV_RANDOM_DROPOUT, a->site, a->step, a->row_ids[row], (uint32_t)(col / 4), 1,
             words);
    for (size_t i = 0; i < BV_LANES; i++)
        for (size_t w = 0; w < 4; w++) keep[4 * i + w] = words[w][i] >> 8 >= least;
}

BV_INLINE void dropout_body(const bv_dropout_args *a, size_t row_begin, size_t row_end, bv_dtype xt,
                            bv_dtype yt) {
    const vreal scale = v_set((real)(1 / (1 - a->p)));
    real keep[KEPT];
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t i = 0; i < a->cols; i += BV_LANES) {
            const size_t n = BV_LANES_LEFT(i, a->cols);
            if (i % KEPT == 0) keep_columns(a, r, i, keep);
            const vreal x = v_mul(v_get_first(a->x, xt, r * a->cols + i, n), scale);
            const vreal y = v_if_less(v_zero(), v_load(keep + i % KEPT), x, v_zero());
            v_put_first(a->y, yt, r * a->cols + i, y, n);
        }
}

static void dropout(const bv_dropout_args *a, size_t row_begin, size_t row_end) {
    BV_BY_TYPES(a->x_type, a->y_type, dropout_body, a, row_begin, row_end);
}

/* ---- sums over rows, a chain a column ---- */

BV_INLINE void bias_body(const bv_bias_gradient_args *a, size_t rows, size_t col_begin,
                         size_t col_end, bv_dtype type) {
    for (size_t i = col_begin; i < col_end; i += BV_LANES) {
        const size_t n = BV_LANES_LEFT(i, col_end);
        vreal sum = v_get_first(a->dbias, BV_REAL_TYPE, i, n);
        for (size_t r = 0; r < rows; r++)
            sum = v_add(sum, v_get_first(a->dy, type, r * a->cols + i, n));
        v_put_first(a->dbias, BV_REAL_TYPE, i, sum, n);
    }
}

static void bias_gradient(const bv_bias_gradient_args *a, size_t rows, size_t col_begin,
                          size_t col_end) {
    BV_BY_TYPE(a->dy_type, bias_body, a, rows, col_begin, col_end);
}

const bv_elementwise_kernels BV_NAME(bv_elementwise_table) = {
    .add = add,
    .dropout = dropout,
    .bias_gradient = bias_gradient,
};

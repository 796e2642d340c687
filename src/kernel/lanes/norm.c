/* Layer norm and RMS norm at one level. */
#include "kernel/norm.h"

#include "kernel/lanes/tables.h"
#include "kernel/real.h"

BV_INLINE vreal centred(vreal x, real mean, bool rms) {
    return rms ? x : v_sub(x, v_set(mean));
}

/* Rows that go together, of a constant number: a chain of sums waits for each addition, several
 * chains wait less. */
#define ROWS_AT_ONCE 4

/* Sums over rows of x, of which the first begins at `at`. */
BV_INLINE void row_sums(const void *x, size_t at, size_t cols, bv_dtype type, int rows,
                        real sums[ROWS_AT_ONCE]) {
    vreal sum[ROWS_AT_ONCE];
    for (int r = 0; r < rows; r++) sum[r] = v_zero();
    for (size_t i = 0; i < cols; i += BV_LANES)
        for (int r = 0; r < rows; r++)
            sum[r] = v_add(sum[r],
                           v_get_first(x, type, at + (size_t)r * cols + i, BV_LANES_LEFT(i, cols)));
    for (int r = 0; r < rows; r++) sums[r] = v_sum(sum[r]);
}

/* The same of (x - mean)^2. */
BV_INLINE void row_square_sums(const void *x, size_t at, size_t cols, const real *means, bool rms,
                               bv_dtype type, int rows, real sums[ROWS_AT_ONCE]) {
    vreal sum[ROWS_AT_ONCE];
    for (int r = 0; r < rows; r++) sum[r] = v_zero();
    for (size_t i = 0; i < cols; i += BV_LANES) {
        const size_t n = BV_LANES_LEFT(i, cols);
        for (int r = 0; r < rows; r++) {
            vreal d = centred(v_get_first(x, type, at + (size_t)r * cols + i, n), means[r], rms);
            if (n < BV_LANES) d = v_first(n, d, v_zero());
            sum[r] = v_fma(d, d, sum[r]);
        }
    }
    for (int r = 0; r < rows; r++) sums[r] = v_sum(sum[r]);
}

BV_INLINE vreal gain_at(const bv_norm_args *a, size_t i, size_t n) {
    return a->gain ? v_get_first(a->gain, BV_REAL_TYPE, i, n) : v_set(1);
}

BV_INLINE void forward_row(const bv_norm_args *a, size_t row, real mean, real rstd, bv_dtype xt,
                           bv_dtype yt) {
    for (size_t i = 0; i < a->cols; i += BV_LANES) {
        const size_t n = BV_LANES_LEFT(i, a->cols), at = row * a->cols + i;
        vreal y = v_mul(centred(v_get_first(a->x, xt, at, n), mean, a->rms), v_set(rstd));
        if (a->gain) y = v_mul(y, gain_at(a, i, n));
        if (a->bias) y = v_add(y, v_get_first(a->bias, BV_REAL_TYPE, i, n));
        v_put_first(a->y, yt, at, y, n);
    }
    if (a->mean) ((real *)a->mean)[row] = mean;
    if (a->rstd) ((real *)a->rstd)[row] = rstd;
}

BV_INLINE void forward_rows(const bv_norm_args *a, size_t row, int rows, bv_dtype xt, bv_dtype yt) {
    const size_t cols = a->cols, at = row * cols;
    real mean[ROWS_AT_ONCE] = {0}, square[ROWS_AT_ONCE];
    if (!a->rms) {
        row_sums(a->x, at, cols, xt, rows, mean);
        for (int r = 0; r < rows; r++) mean[r] /= (real)cols;
    }
    row_square_sums(a->x, at, cols, mean, a->rms, xt, rows, square);
    for (int r = 0; r < rows; r++) {
        const real rstd = 1 / real_sqrt(square[r] / (real)cols + (real)a->eps);
        forward_row(a, row + (size_t)r, mean[r], rstd, xt, yt);
    }
}

BV_INLINE void forward_body(const bv_norm_args *a, size_t row_begin, size_t row_end, bv_dtype xt,
                            bv_dtype yt) {
    size_t r = row_begin;
    for (; r + ROWS_AT_ONCE <= row_end; r += ROWS_AT_ONCE) forward_rows(a, r, ROWS_AT_ONCE, xt, yt);
    for (; r < row_end; r++) forward_rows(a, r, 1, xt, yt);
}

static void forward(const bv_norm_args *a, size_t row_begin, size_t row_end) {
    BV_BY_TYPES(a->x_type, a->y_type, forward_body, a, row_begin, row_end);
}

/* dx = rstd (dy' - mean(dy') - xhat mean(dy' xhat)), dy' = dy gain; without mean(dy') for rms. */
BV_INLINE void input_body(const bv_norm_args *a, size_t row_begin, size_t row_end, bv_dtype xt,
                          bv_dtype yt) {
    const size_t cols = a->cols;
    for (size_t r = row_begin; r < row_end; r++) {
        const size_t at = r * cols;
        const real mean = a->rms ? 0 : ((const real *)a->mean)[r],
                   rstd = ((const real *)a->rstd)[r];
        vreal sum = v_zero(), product = v_zero();
        for (size_t i = 0; i < cols; i += BV_LANES) {
            const size_t n = cols - i < BV_LANES ? cols - i : BV_LANES;
            const vreal d = v_mul(v_get_first(a->dy, yt, at + i, n), gain_at(a, i, n));
            vreal h = v_mul(centred(v_get_first(a->x, xt, at + i, n), mean, a->rms), v_set(rstd));
            if (n < BV_LANES) h = v_first(n, h, v_zero());
            sum = v_add(sum, d);
            product = v_fma(d, h, product);
        }
        const real c1 = a->rms ? 0 : v_sum(sum) / (real)cols;
        const real c2 = v_sum(product) / (real)cols;
        for (size_t i = 0; i < cols; i += BV_LANES) {
            const size_t n = cols - i < BV_LANES ? cols - i : BV_LANES;
            const vreal d = v_mul(v_get_first(a->dy, yt, at + i, n), gain_at(a, i, n));
            const vreal h =
                v_mul(centred(v_get_first(a->x, xt, at + i, n), mean, a->rms), v_set(rstd));
            const vreal rest = v_fma(h, v_set(-c2), v_sub(d, v_set(c1)));
            vreal dx = v_mul(rest, v_set(rstd));
            if (a->addend) dx = v_add(v_get_first(a->addend, xt, at + i, n), dx);
            v_put_first(a->dx, xt, at + i, dx, n);
            if (a->dx_rounded) v_put_first(a->dx_rounded, yt, at + i, dx, n);
        }
    }
}

static void backward_input(const bv_norm_args *a, size_t row_begin, size_t row_end) {
    BV_BY_TYPES(a->x_type, a->y_type, input_body, a, row_begin, row_end);
}

BV_INLINE void params_body(const bv_norm_args *a, size_t rows, size_t col_begin, size_t col_end,
                           bv_dtype xt, bv_dtype yt) {
    for (size_t i = col_begin; i < col_end; i += BV_LANES) {
        const size_t n = col_end - i < BV_LANES ? col_end - i : BV_LANES;
        vreal gain = v_get_first(a->dgain, BV_REAL_TYPE, i, n);
        vreal bias = a->dbias ? v_get_first(a->dbias, BV_REAL_TYPE, i, n) : v_zero();
        for (size_t r = 0; r < rows; r++) {
            const real mean = a->rms ? 0 : ((const real *)a->mean)[r];
            const vreal rstd = v_set(((const real *)a->rstd)[r]);
            const vreal d = v_get_first(a->dy, yt, r * a->cols + i, n);
            const vreal x = v_get_first(a->x, xt, r * a->cols + i, n);
            gain = v_fma(d, v_mul(centred(x, mean, a->rms), rstd), gain);
            bias = v_add(bias, d);
        }
        v_put_first(a->dgain, BV_REAL_TYPE, i, gain, n);
        if (a->dbias) v_put_first(a->dbias, BV_REAL_TYPE, i, bias, n);
    }
}

static void backward_params(const bv_norm_args *a, size_t rows, size_t col_begin, size_t col_end) {
    BV_BY_TYPES(a->x_type, a->y_type, params_body, a, rows, col_begin, col_end);
}

const bv_norm_kernels BV_NAME(bv_norm_table) = {
    .forward = forward, .backward_input = backward_input, .backward_params = backward_params};

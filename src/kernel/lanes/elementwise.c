/* Elementwise families at one level. */
#include "kernel/elementwise.h"

#include "base/random.h"
#include "base/status.h"
#include "kernel/lanes/tables.h"
#include "kernel/real.h"

#define LANES_LEFT(i, end) ((end) - (i) < BV_LANES ? (end) - (i) : BV_LANES)

/* ---- activations ---- */

/* 0.5 (1 + tanh(u)) = sigmoid(2u), so gelu(x) = x sigmoid(A x (1 + B x^2)), A = 2 sqrt(2 / pi): one
 * exponential and one division. */
#define GELU_A ((real)1.5957691216057308)
#define GELU_B ((real)0.044715)

BV_INLINE vreal gelu(vreal x) {
    const vreal inner = v_fma(v_mul(x, x), v_set(GELU_A * GELU_B), v_set(GELU_A));
    return v_mul(x, v_sigmoid(v_mul(x, inner)));
}

BV_INLINE vreal gelu_slope(vreal x) {
    const vreal x2 = v_mul(x, x);
    const vreal s = v_sigmoid(v_mul(x, v_fma(x2, v_set(GELU_A * GELU_B), v_set(GELU_A))));
    const vreal du = v_fma(x2, v_set(3 * GELU_A * GELU_B), v_set(GELU_A));
    return v_fma(v_mul(v_mul(x, du), s), v_sub(v_set(1), s), s);
}

BV_INLINE vreal silu_slope(vreal x) {
    const vreal s = v_sigmoid(x);
    return v_mul(s, v_fma(x, v_sub(v_set(1), s), v_set(1)));
}

BV_INLINE vreal activate(bv_activation kind, vreal x) {
    const vreal positive = v_if_less(v_zero(), x, x, v_mul(x, v_zero()));
    if (kind == BV_GELU_TANH) return gelu(x);
    if (kind == BV_RELU2) return v_mul(positive, positive);
    return v_mul(x, v_sigmoid(x));
}

BV_INLINE vreal slope(bv_activation kind, vreal x) {
    if (kind == BV_GELU_TANH) return gelu_slope(x);
    if (kind == BV_RELU2) return v_mul(v_set(2), v_if_less(v_zero(), x, x, v_mul(x, v_zero())));
    return silu_slope(x);
}

BV_INLINE void activation_rows(const bv_activation_args *a, size_t row_begin, size_t row_end,
                               bv_activation kind, bv_dtype xt, bv_dtype yt) {
    const size_t x_cols = kind == BV_SWIGLU ? 2 * a->cols : a->cols;
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t i = 0; i < a->cols; i += BV_LANES) {
            const size_t n = LANES_LEFT(i, a->cols), at = r * x_cols + i;
            const vreal x = v_get_first(a->x, xt, at, n);
            vreal y = activate(kind == BV_SWIGLU ? BV_SILU : kind, x);
            if (kind == BV_SWIGLU) y = v_mul(y, v_get_first(a->x, xt, at + a->cols, n));
            v_put_first(a->y, yt, r * a->cols + i, y, n);
        }
}

BV_INLINE void activation_body(const bv_activation_args *a, size_t row_begin, size_t row_end,
                               bv_dtype xt, bv_dtype yt) {
    switch (a->kind) {
    case BV_GELU_TANH:
        activation_rows(a, row_begin, row_end, BV_GELU_TANH, xt, yt);
        break;
    case BV_RELU2:
        activation_rows(a, row_begin, row_end, BV_RELU2, xt, yt);
        break;
    case BV_SILU:
        activation_rows(a, row_begin, row_end, BV_SILU, xt, yt);
        break;
    case BV_SWIGLU:
        activation_rows(a, row_begin, row_end, BV_SWIGLU, xt, yt);
        break;
    }
}

static void activation(const bv_activation_args *a, size_t row_begin, size_t row_end) {
    BV_BY_TYPES(a->x_type, a->y_type, activation_body, a, row_begin, row_end);
}

BV_INLINE void slope_rows(const bv_activation_args *a, size_t row_begin, size_t row_end,
                          bv_activation kind, bv_dtype xt, bv_dtype yt) {
    const size_t x_cols = kind == BV_SWIGLU ? 2 * a->cols : a->cols;
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t i = 0; i < a->cols; i += BV_LANES) {
            const size_t n = LANES_LEFT(i, a->cols), at = r * x_cols + i;
            const vreal x = v_get_first(a->x, xt, at, n);
            const vreal dy = v_get_first(a->dy, yt, r * a->cols + i, n);
            if (kind != BV_SWIGLU) {
                v_put_first(a->dx, xt, at, v_mul(dy, slope(kind, x)), n);
                continue;
            }
            const vreal up = v_get_first(a->x, xt, at + a->cols, n);
            v_put_first(a->dx, xt, at, v_mul(v_mul(dy, up), silu_slope(x)), n);
            v_put_first(a->dx, xt, at + a->cols, v_mul(dy, activate(BV_SILU, x)), n);
        }
}

BV_INLINE void slope_body(const bv_activation_args *a, size_t row_begin, size_t row_end,
                          bv_dtype xt, bv_dtype yt) {
    switch (a->kind) {
    case BV_GELU_TANH:
        slope_rows(a, row_begin, row_end, BV_GELU_TANH, xt, yt);
        break;
    case BV_RELU2:
        slope_rows(a, row_begin, row_end, BV_RELU2, xt, yt);
        break;
    case BV_SILU:
        slope_rows(a, row_begin, row_end, BV_SILU, xt, yt);
        break;
    case BV_SWIGLU:
        slope_rows(a, row_begin, row_end, BV_SWIGLU, xt, yt);
        break;
    }
}

static void activation_backward(const bv_activation_args *a, size_t row_begin, size_t row_end) {
    BV_BY_TYPES(a->x_type, a->y_type, slope_body, a, row_begin, row_end);
}

/* ---- sums and casts ---- */

BV_INLINE void add_body(const bv_add_args *a, size_t begin, size_t end, bv_dtype bt, bv_dtype at,
                        bv_dtype yt) {
    const vreal scale = v_set((real)a->scale);
    for (size_t i = begin; i < end; i += BV_LANES) {
        const size_t n = LANES_LEFT(i, end);
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

BV_INLINE void dropout_body(const bv_dropout_args *a, size_t row_begin, size_t row_end, bv_dtype xt,
                            bv_dtype yt) {
    const vreal scale = v_set((real)(1 / (1 - a->p)));
    const float p = (float)a->p;
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t i = 0; i < a->cols; i += BV_LANES) {
            const size_t n = LANES_LEFT(i, a->cols);
            real keep[BV_LANES] = {0};
            for (size_t k = 0; k < n; k += 4) {
                const bv_random4 words = bv_random(a->seed, BV_RANDOM_DROPOUT, a->site, a->step,
                                                   a->row_ids[r], (uint32_t)((i + k) / 4));
                for (size_t w = 0; w < 4; w++) keep[k + w] = bv_uniform_f32(words.v[w]) >= p;
            }
            const vreal x = v_mul(v_get_first(a->x, xt, r * a->cols + i, n), scale);
            const vreal y = v_if_less(v_zero(), v_load(keep), x, v_zero());
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
        const size_t n = LANES_LEFT(i, col_end);
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

/* ---- rows of a table ---- */

BV_INLINE void embed_body(const bv_embed_args *a, size_t row_begin, size_t row_end, bv_dtype tt,
                          bv_dtype yt) {
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t i = 0; i < a->cols; i += BV_LANES) {
            const size_t n = LANES_LEFT(i, a->cols);
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
            const size_t n = LANES_LEFT(i, col_end), at = a->ids[r] * a->cols + i;
            const vreal sum = v_add(v_get_first(a->dtable, BV_REAL_TYPE, at, n),
                                    v_get_first(a->dy, type, r * a->cols + i, n));
            v_put_first(a->dtable, BV_REAL_TYPE, at, sum, n);
        }
}

static void embed_backward(const bv_embed_args *a, size_t rows, size_t col_begin, size_t col_end) {
    BV_BY_TYPE(a->y_type, embed_backward_body, a, rows, col_begin, col_end);
}

/* ---- queries and keys ---- */

#define D_HEAD_MAX 256

BV_INLINE void read_head(real *head, const void *x, size_t at, size_t d, bv_dtype type) {
    for (size_t i = 0; i < d; i += BV_LANES) {
        const size_t n = LANES_LEFT(i, d);
        v_store(head + i, v_get_first(x, type, at + i, n)); /* absent lanes become 0 */
    }
}

BV_INLINE void write_head(void *y, const real *head, size_t at, size_t d, bv_dtype type) {
    for (size_t i = 0; i < d; i += BV_LANES)
        v_put_first(y, type, at + i, v_load(head + i), LANES_LEFT(i, d));
}

BV_INLINE real head_dot(const real *a, const real *b, size_t d) {
    vreal sum = v_zero();
    for (size_t i = 0; i < d; i += BV_LANES) sum = v_fma(v_load(a + i), v_load(b + i), sum);
    return v_sum(sum);
}

/* Rotation by the position's angles; `sign` -1 turns back. */
BV_INLINE void rotate(const bv_heads_args *a, real *head, size_t position, real sign) {
    const size_t half = a->d_head / 2;
    const real *cosine = (const real *)a->cos + position * half;
    const real *sine = (const real *)a->sin + position * half;
    for (size_t i = 0; i < half; i++) {
        const real x = head[i], y = head[i + half], s = sign * sine[i];
        head[i] = real_fma(x, cosine[i], -(y * s));
        head[i + half] = real_fma(y, cosine[i], x * s);
    }
}

BV_INLINE real head_rstd(const bv_heads_args *a, const real *head) {
    return 1 / real_sqrt(head_dot(head, head, a->d_head) / (real)a->d_head + (real)a->eps);
}

BV_INLINE void heads_body(const bv_heads_args *a, size_t row_begin, size_t row_end, bv_dtype type) {
    const size_t d = a->d_head, all = a->heads + 2 * a->kv_heads;
    real head[D_HEAD_MAX + BV_LANES];
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t h = 0; h < all; h++) {
            const size_t at = (r * all + h) * d;
            read_head(head, a->x, at, d, type);
            const bool turned = h < a->heads + a->kv_heads;
            if (turned && a->qk_norm) {
                const real rstd = head_rstd(a, head);
                for (size_t i = 0; i < d; i++) head[i] *= rstd;
            }
            if (turned && a->cos) rotate(a, head, a->positions[r], 1);
            write_head(a->y, head, at, d, type);
        }
}

static void heads(const bv_heads_args *a, size_t row_begin, size_t row_end) {
    BV_ASSERT(a->d_head <= D_HEAD_MAX);
    BV_BY_TYPE(a->type, heads_body, a, row_begin, row_end);
}

BV_INLINE void heads_backward_body(const bv_heads_args *a, size_t row_begin, size_t row_end,
                                   bv_dtype type) {
    const size_t d = a->d_head, all = a->heads + 2 * a->kv_heads;
    real grad[D_HEAD_MAX + BV_LANES], head[D_HEAD_MAX + BV_LANES];
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t h = 0; h < all; h++) {
            const size_t at = (r * all + h) * d;
            read_head(grad, a->dy, at, d, type);
            const bool turned = h < a->heads + a->kv_heads;
            if (turned && a->cos) rotate(a, grad, a->positions[r], -1);
            if (turned && a->qk_norm) {
                read_head(head, a->x, at, d, type);
                const real rstd = head_rstd(a, head);
                for (size_t i = 0; i < d; i++) head[i] *= rstd;
                const real c = head_dot(grad, head, d) / (real)d;
                for (size_t i = 0; i < d; i++) grad[i] = real_fma(head[i], -c, grad[i]) * rstd;
            }
            write_head(a->dx, grad, at, d, type);
        }
}

static void heads_backward(const bv_heads_args *a, size_t row_begin, size_t row_end) {
    BV_ASSERT(a->d_head <= D_HEAD_MAX);
    BV_BY_TYPE(a->type, heads_backward_body, a, row_begin, row_end);
}

const bv_elementwise_kernels BV_NAME(bv_elementwise_table) = {
    .activation = activation,
    .activation_backward = activation_backward,
    .add = add,
    .dropout = dropout,
    .bias_gradient = bias_gradient,
    .embed = embed,
    .embed_backward = embed_backward,
    .heads = heads,
    .heads_backward = heads_backward,
};

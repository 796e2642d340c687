/* Activations at one level. */
#include "kernel/activation.h"

#include "kernel/lanes/tables.h"
#include "kernel/real.h"

/* 0.5 (1 + tanh(u)) = sigmoid(2u), so gelu(x) = x sigmoid(A x (1 + B x^2)), A = 2 sqrt(2 / pi): one
 * power of two and one division. Both activations are x / (1 + 2^t). */
#define GELU_A ((real)1.5957691216057308)
#define GELU_B ((real)0.044715)
#define LOG2_E ((real)1.4426950408889634)

/* 1 + 2^t */
BV_INLINE vreal gelu_divisor(vreal x, vreal x2) {
    const vreal inner = v_fma(x2, v_set(-LOG2_E * GELU_A * GELU_B), v_set(-LOG2_E * GELU_A));
    return v_add(v_set(1), v_exp2_near(v_mul(x, inner)));
}

BV_INLINE vreal silu_divisor(vreal x) {
    return v_add(v_set(1), v_exp2_near(v_mul(x, v_set(-LOG2_E))));
}

BV_INLINE vreal gelu_slope(vreal x) {
    const vreal x2 = v_mul(x, x), s = v_div(v_set(1), gelu_divisor(x, x2));
    const vreal du = v_fma(x2, v_set(3 * GELU_A * GELU_B), v_set(GELU_A));
    return v_fma(v_mul(v_mul(x, du), s), v_sub(v_set(1), s), s);
}

BV_INLINE vreal silu_slope(vreal x) {
    const vreal s = v_div(v_set(1), silu_divisor(x));
    return v_mul(s, v_fma(x, v_sub(v_set(1), s), v_set(1)));
}

BV_INLINE vreal activate(bv_activation kind, vreal x) {
    const vreal positive = v_if_less(v_zero(), x, x, v_mul(x, v_zero()));
    if (kind == BV_GELU_TANH) return v_div(x, gelu_divisor(x, v_mul(x, x)));
    if (kind == BV_RELU2) return v_mul(positive, positive);
    return v_div(x, silu_divisor(x));
}

BV_INLINE vreal slope(bv_activation kind, vreal x) {
    if (kind == BV_GELU_TANH) return gelu_slope(x);
    if (kind == BV_RELU2) return v_mul(v_set(2), v_if_less(v_zero(), x, x, v_mul(x, v_zero())));
    return silu_slope(x);
}

/* CALL(kind, ...), the kind a constant in each. */
#define BY_KIND(kind, CALL, ...)                                                                   \
    switch (kind) {                                                                                \
    case BV_GELU_TANH:                                                                             \
        CALL(BV_GELU_TANH, __VA_ARGS__);                                                           \
        break;                                                                                     \
    case BV_RELU2:                                                                                 \
        CALL(BV_RELU2, __VA_ARGS__);                                                               \
        break;                                                                                     \
    case BV_SILU:                                                                                  \
        CALL(BV_SILU, __VA_ARGS__);                                                                \
        break;                                                                                     \
    case BV_SWIGLU:                                                                                \
        CALL(BV_SWIGLU, __VA_ARGS__);                                                              \
        break;                                                                                     \
    }

BV_INLINE void activation_rows(bv_activation kind, const bv_activation_args *a, size_t row_begin,
                               size_t row_end, bv_dtype xt, bv_dtype yt) {
    const size_t x_cols = kind == BV_SWIGLU ? 2 * a->cols : a->cols;
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t i = 0; i < a->cols; i += BV_LANES) {
            const size_t n = BV_LANES_LEFT(i, a->cols), at = r * x_cols + i;
            const vreal x = v_get_first(a->x, xt, at, n);
            vreal y = activate(kind == BV_SWIGLU ? BV_SILU : kind, x);
            if (kind == BV_SWIGLU) y = v_mul(y, v_get_first(a->x, xt, at + a->cols, n));
            v_put_first(a->y, yt, r * a->cols + i, y, n);
        }
}

BV_INLINE void activation_body(const bv_activation_args *a, size_t row_begin, size_t row_end,
                               bv_dtype xt, bv_dtype yt) {
    BY_KIND(a->kind, activation_rows, a, row_begin, row_end, xt, yt);
}

static void activation(const bv_activation_args *a, size_t row_begin, size_t row_end) {
    BV_BY_TYPES(a->x_type, a->y_type, activation_body, a, row_begin, row_end);
}

BV_INLINE void slope_rows(bv_activation kind, const bv_activation_args *a, size_t row_begin,
                          size_t row_end, bv_dtype xt, bv_dtype yt) {
    const size_t x_cols = kind == BV_SWIGLU ? 2 * a->cols : a->cols;
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t i = 0; i < a->cols; i += BV_LANES) {
            const size_t n = BV_LANES_LEFT(i, a->cols), at = r * x_cols + i;
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
    BY_KIND(a->kind, slope_rows, a, row_begin, row_end, xt, yt);
}

static void activation_backward(const bv_activation_args *a, size_t row_begin, size_t row_end) {
    BV_BY_TYPES(a->x_type, a->y_type, slope_body, a, row_begin, row_end);
}

const bv_activation_kernels BV_NAME(bv_activation_table) = {.forward = activation,
                                                            .backward = activation_backward};

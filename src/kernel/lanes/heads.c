/* Queries and keys before attention, at one level. */
#include "kernel/heads.h"

#include "base/status.h"
#include "kernel/lanes/tables.h"
#include "kernel/real.h"

#define D_HEAD_MAX 256

BV_INLINE void read_head(real *head, const void *x, size_t at, size_t d, bv_dtype type) {
    for (size_t i = 0; i < d; i += BV_LANES) {
        const size_t n = BV_LANES_LEFT(i, d);
        v_store(head + i, v_get_first(x, type, at + i, n)); /* absent lanes become 0 */
    }
}

BV_INLINE void write_head(void *y, const real *head, size_t at, size_t d, bv_dtype type) {
    for (size_t i = 0; i < d; i += BV_LANES)
        v_put_first(y, type, at + i, v_load(head + i), BV_LANES_LEFT(i, d));
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

const bv_heads_kernels BV_NAME(bv_heads_table) = {.forward = heads, .backward = heads_backward};

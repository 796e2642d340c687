/* What comes out of attention, at one level: rows, and the log-sum-exp of forward. */
#include "kernel/lanes/attention_forward.h"
#include "kernel/real_host.h"

BV_INLINE void write_body(const bv_attention_args *a, void *out, size_t at, size_t stride,
                          const real *rows, size_t count, const real *factors, bool pairs) {
    const size_t d = a->d_head, width = up(d, BV_LANES);
    for (size_t r = 0; r < count; r++, at += stride, rows += width) {
        const vreal factor = v_set(factors ? factors[r] : 1);
        for (size_t i = 0; i < d; i += BV_LANES) {
            const size_t n = least(d - i, BV_LANES);
            const vreal x = v_mul(v_load(rows + i), factor);
            if (pairs) {
                const vreal normal = v_if_less(v_abs(x), v_set((real)0x1p-126), v_zero(), x);
                v_store_bf16_first((uint16_t *)out + at + i, normal, n);
            } else {
                v_store_first((real *)out + at + i, v_add(x, v_zero()), n);
            }
        }
    }
}

void write_rows(const bv_attention_args *a, void *out, size_t at, size_t stride, const real *rows,
                size_t count, const real *factors) {
    if (in_pairs(a))
        write_body(a, out, at, stride, rows, count, factors, true);
    else
        write_body(a, out, at, stride, rows, count, factors, false);
}

/* log of sums in lanes: Cephes' logf (Moshier 1989) with fused multiply-adds, error below 2 ulp;
 * what is not finite stays as it is. Sums are at least 1 unless scores are infinite. */
#ifdef BV_LEVEL_F64
static void log_sums(real *x) {
    for (size_t i = 0; i < BV_LANES; i++) x[i] = bv_log(x[i]);
}
#else
static void log_sums(real *x) {
    real exponent[BV_LANES], mantissa[BV_LANES];
    for (size_t i = 0; i < BV_LANES; i++) {
        uint32_t u;
        memcpy(&u, x + i, sizeof u);
        const uint32_t m = (u & 0x7fffffu) | 0x3f000000u;
        memcpy(mantissa + i, &m, sizeof m);
        exponent[i] = (real)((int32_t)(u >> 23) - 126);
    }
    const vreal m = v_load(mantissa), root = v_set(0.707106781186547524f);
    const vreal e = v_sub(v_load(exponent), v_if_less(m, root, v_set(1), v_zero()));
    const vreal r = v_sub(v_add(m, v_if_less(m, root, m, v_zero())), v_set(1));
    vreal p = v_set(7.0376836292e-2f);
    p = v_fma(p, r, v_set(-1.1514610310e-1f));
    p = v_fma(p, r, v_set(1.1676998740e-1f));
    p = v_fma(p, r, v_set(-1.2420140846e-1f));
    p = v_fma(p, r, v_set(1.4249322787e-1f));
    p = v_fma(p, r, v_set(-1.6668057665e-1f));
    p = v_fma(p, r, v_set(2.0000714765e-1f));
    p = v_fma(p, r, v_set(-2.4999993993e-1f));
    p = v_fma(p, r, v_set(3.3333331174e-1f));
    const vreal square = v_mul(r, r);
    p = v_mul(v_mul(p, r), square);
    p = v_fma(e, v_set(-2.12194440e-4f), p);
    p = v_fma(square, v_set(-0.5f), p);
    p = v_fma(e, v_set(0.693359375f), v_add(r, p));
    const vreal l = v_load(x);
    v_store(x, v_if_less(l, v_set(HUGE_VALF), p, l));
}
#endif

void write_output(const bv_attention_args *a, const forward_scratch *f, size_t row, size_t row_step,
                  size_t head, size_t head_step, size_t count, softmax_state *state) {
    real factors[TILE];
    for (size_t i = 0; i < TILE; i++) factors[i] = 1 / state->l[i];
    write_rows(a, a->out, row * a->out_stride + head * a->d_head,
               row_step * a->out_stride + head_step * a->d_head, f->o, count, factors);
    if (!a->lse) return;
    for (size_t i = 0; i < count; i += BV_LANES) log_sums(state->l + i);
    for (size_t i = 0; i < count; i++)
        ((real *)a->lse)[(row + i * row_step) * a->heads + head + i * head_step] =
            state->m[i] + state->l[i];
}

/*
 * Forward attention, of a tile of queries or of one row: scratch, the state of the softmax, the
 * output, and where a KV head begins.
 */
#ifndef BV_KERNEL_LANES_ATTENTION_FORWARD_H
#define BV_KERNEL_LANES_ATTENTION_FORWARD_H

#include "kernel/lanes/attention_operand.h"
#include "kernel/real_host.h"

/* Scratch of one thread. Rows of reals are `width` long: d_head rounded up to lanes. */
typedef struct forward_scratch {
    size_t width;
    void *columns; /* q^T, or k^T of a tile for one row: [d, TILE] */
    void *rows;    /* rows of odd length, padded */
    real *s, *o;   /* scores, then p: [TILE keys, TILE queries]; output: [TILE, width] */
    void *v;       /* [TILE, width] (bf16: words of row pairs) */
    uint32_t *p;   /* bf16: words of pairs of keys [TILE / 2, TILE] */
    size_t bytes;
} forward_scratch;

static forward_scratch place(const bv_attention_args *a, void *scratch) {
    forward_scratch f = {.width = round_up(a->d_head, BV_LANES)};
    char *at = scratch;
    f.columns = at, at += f.width * TILE * sizeof(real);
    f.s = (void *)at, at += TILE * TILE * sizeof(real);
    f.o = (void *)at, at += f.width * TILE * sizeof(real);
    f.v = at, at += f.width * TILE * sizeof(real);
    f.p = (void *)at, at += TILE / 2 * TILE * sizeof(uint32_t);
    f.rows = at, at += f.width * TILE * sizeof(uint16_t) + TILE * sizeof(uint16_t);
    f.bytes = (size_t)(at - (char *)scratch);
    return f;
}

/* Maximum and sum of each query so far, and the factor that the last tile put on its output. */
typedef struct softmax_state {
    real m[TILE], l[TILE], alpha[TILE];
} softmax_state;

static void begin_state(softmax_state *state) {
    for (size_t i = 0; i < TILE; i++) {
        state->m[i] = -(real)HUGE_VALF;
        state->l[i] = 0;
    }
}

/* exp of a score is taken against this: while nothing is seen any finite number gives 0. */
BV_INLINE vreal reference(vreal m) {
    return v_if_less(v_set(-(real)HUGE_VALF), m, m, v_zero());
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

/* Output and log-sum-exp of `count` queries; query i is row + i * row_step, head + i * head_step.
 */
static void write_output(const bv_attention_args *a, const forward_scratch *f, size_t row,
                         size_t row_step, size_t head, size_t head_step, size_t count,
                         softmax_state *state) {
    for (size_t i = 0; i < count; i++) {
        const size_t at = (row + i * row_step) * a->out_stride + (head + i * head_step) * a->d_head;
        write_row(a, a->out, at, f->o + i * f->width, 1 / state->l[i]);
    }
    if (!a->lse) return;
    for (size_t i = 0; i < count; i += BV_LANES) log_sums(state->l + i);
    for (size_t i = 0; i < count; i++)
        ((real *)a->lse)[(row + i * row_step) * a->heads + head + i * head_step] =
            state->m[i] + state->l[i];
}

/* Where a KV head begins in a tile of keys or of values. */
static const void *head_keys(const bv_attention_args *a, const void *tile, size_t kv) {
    if (a->paged) return (const char *)tile + kv * bv_attention_key_bytes(a->type, a->d_head);
    return element(tile, a->type, kv * a->d_head);
}

static const void *head_values(const bv_attention_args *a, const void *tile, size_t kv) {
    if (a->paged) return (const char *)tile + kv * bv_attention_value_bytes(a->type, a->d_head);
    return element(tile, a->type, kv * a->d_head);
}

#endif

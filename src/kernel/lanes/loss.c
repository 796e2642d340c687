/* Cross-entropy at one level. */
#include "kernel/loss.h"

#include "kernel/lanes/tables.h"
#include "kernel/real.h"
#include "kernel/real_log.h"

BV_INLINE void soften(real *row, size_t classes, real cap) {
    for (size_t i = 0; i < classes; i += BV_LANES) {
        const size_t n = classes - i < BV_LANES ? classes - i : BV_LANES;
        const vreal x = v_div(v_load_first(row + i, n), v_set(cap));
        v_store_first(row + i, v_mul(v_set(cap), v_tanh(x)), n);
    }
}

BV_INLINE void add_prior(real *row, const real *prior, size_t classes) {
    const vreal weight = v_set(1 + row[classes]);
    for (size_t i = 0; i < classes; i += BV_LANES) {
        const size_t n = classes - i < BV_LANES ? classes - i : BV_LANES;
        const vreal p = v_mul(weight, v_load_first(prior + i, n));
        v_store_first(row + i, v_add(v_load_first(row + i, n), p), n);
    }
}

BV_INLINE real row_largest(const real *row, size_t classes) {
    vreal m = v_set(-(real)HUGE_VALF);
    for (size_t i = 0; i < classes; i += BV_LANES) {
        const size_t n = classes - i < BV_LANES ? classes - i : BV_LANES;
        const vreal x = v_load_first(row + i, n);
        m = v_max(n == BV_LANES ? x : v_first(n, x, m), m);
    }
    return v_largest(m);
}

BV_INLINE real row_exp_sum(const real *row, size_t classes, real largest) {
    vreal sum = v_zero();
    for (size_t i = 0; i < classes; i += BV_LANES) {
        const size_t n = classes - i < BV_LANES ? classes - i : BV_LANES;
        const vreal e = v_exp(v_sub(v_load_first(row + i, n), v_set(largest)));
        sum = v_add(sum, n == BV_LANES ? e : v_first(n, e, v_zero()));
    }
    return v_sum(sum);
}

/* Of the gate: the sum over the classes of dlogit * prior. */
BV_INLINE real gate_gradient(const bv_loss_args *a, size_t r, real lse) {
    const real *row = (const real *)a->logits + r * a->stride;
    const real *prior = (const real *)a->prior + r * a->classes;
    const real weight = a->weights ? ((const real *)a->weights)[r] : 1;
    vreal sum = v_zero();
    if (a->targets[r] >= a->classes) return 0;
    for (size_t i = 0; i < a->classes; i += BV_LANES) {
        const size_t n = a->classes - i < BV_LANES ? a->classes - i : BV_LANES;
        const vreal p = v_exp(v_sub(v_load_first(row + i, n), v_set(lse)));
        const vreal x = v_mul(p, v_load_first(prior + i, n));
        sum = v_add(sum, n == BV_LANES ? x : v_first(n, x, v_zero()));
    }
    return (v_sum(sum) - prior[a->targets[r]]) * weight * (real)a->scale;
}

/* dlogit = (softmax - onehot) * scale, through the soft cap. */
BV_INLINE void gradient_body(const bv_loss_args *a, size_t r, real lse, bool counted,
                             bv_dtype type) {
    const real *row = (const real *)a->logits + r * a->stride;
    const size_t at = r * a->stride;
    const real weight = a->weights ? ((const real *)a->weights)[r] : 1;
    const real scale = counted ? weight * (real)a->scale : 0;
    const size_t target = counted ? a->targets[r] : a->classes;
    for (size_t i = 0; i < a->stride; i += BV_LANES) {
        const size_t n = a->stride - i < BV_LANES ? a->stride - i : BV_LANES;
        const size_t real_n = i >= a->classes ? 0 : a->classes - i < n ? a->classes - i : n;
        const vreal x = v_load_first(row + i, n);
        vreal p = counted ? v_exp(v_sub(x, v_set(lse))) : v_zero();
        if (target - i < BV_LANES && target >= i) {
            real t[BV_LANES];
            v_store(t, p);
            t[target - i] -= 1;
            p = v_load(t);
        }
        vreal d = v_mul(p, v_set(scale));
        if (a->soft_cap > 0) {
            const vreal t = v_div(x, v_set((real)a->soft_cap));
            d = v_mul(d, v_sub(v_set(1), v_mul(t, t)));
        }
        if (real_n < BV_LANES) d = v_first(real_n, d, v_zero());
        v_put_first(a->dlogits, type, at + i, d, n);
    }
}

static void cross_entropy(const bv_loss_args *a, size_t row_begin, size_t row_end) {
    for (size_t r = row_begin; r < row_end; r++) {
        real *row = (real *)a->logits + r * a->stride;
        if (a->soft_cap > 0) soften(row, a->classes, (real)a->soft_cap);
        if (a->prior) add_prior(row, (const real *)a->prior + r * a->classes, a->classes);
        const real largest = row_largest(row, a->classes);
        const real sum = row_exp_sum(row, a->classes, largest);
        const real lse = largest + (real)bv_log_inline((double)sum);
        const bool counted = a->targets[r] < a->classes;
        ((real *)a->losses)[r] = counted ? lse - row[a->targets[r]] : 0;
        if (!a->dlogits) continue;
        const real gate = a->prior ? gate_gradient(a, r, lse) : 0;
        BV_BY_TYPE(a->dlogits_type, gradient_body, a, r, lse, counted);
        if (a->prior)
            v_put_first(a->dlogits, a->dlogits_type, r * a->stride + a->classes, v_set(gate), 1);
    }
}

static void logs(const double *p, void *log_p, size_t n) {
    for (size_t i = 0; i < n; i++) ((real *)log_p)[i] = (real)bv_log_inline(p[i]);
}

const bv_loss_kernels BV_NAME(bv_loss_table) = {.cross_entropy = cross_entropy, .logs = logs};

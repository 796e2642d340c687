/* Optimizer arithmetic at one level. */
#include "kernel/optimizer.h"

#include "kernel/lanes/tables.h"

static void adamw(const bv_adamw_args *a, size_t begin, size_t end) {
    const vreal scale = v_set((real)a->gradient_scale);
    const vreal b1 = v_set((real)a->beta1), b2 = v_set((real)a->beta2);
    const vreal o1 = v_set((real)(1 - a->beta1)), o2 = v_set((real)(1 - a->beta2));
    const vreal c2 = v_set((real)(1 / sqrt(a->correction2)));
    const vreal eps = v_set((real)a->eps), step = v_set((real)(-a->lr / a->correction1));
    const vreal decay = v_set((real)(-a->lr * a->weight_decay));
    for (size_t i = begin; i < end; i += BV_LANES) {
        const size_t n = end - i < BV_LANES ? end - i : BV_LANES;
        const vreal g = v_mul(v_get_first(a->gradient, BV_REAL_TYPE, i, n), scale);
        vreal p = v_get_first(a->parameter, BV_REAL_TYPE, i, n);
        vreal m = v_get_first(a->m, BV_REAL_TYPE, i, n), v = v_get_first(a->v, BV_REAL_TYPE, i, n);
        m = v_fma(b1, m, v_mul(o1, g));
        v = v_fma(b2, v, v_mul(v_mul(o2, g), g));
        const vreal update = v_div(m, v_fma(v_sqrt(v), c2, eps));
        p = v_fma(decay, p, p);
        p = v_fma(step, update, p);
        v_put_first(a->parameter, BV_REAL_TYPE, i, p, n);
        v_put_first(a->m, BV_REAL_TYPE, i, m, n);
        v_put_first(a->v, BV_REAL_TYPE, i, v, n);
    }
}

/* One chunk in double: element i in lane i % 16, then the fixed tree. */
BV_INLINE double chunk_sum(const real *x, size_t begin, size_t end, bool square) {
    double lane[BV_LANES] = {0};
    for (size_t i = begin; i < end; i += BV_LANES) {
        const size_t n = end - i < BV_LANES ? end - i : BV_LANES;
        for (size_t k = 0; k < n; k++) {
            const double value = (double)x[i + k];
            lane[k] += square ? value * value : value;
        }
    }
    for (int half = BV_LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) lane[k] += lane[k + half];
    return lane[0];
}

BV_INLINE void chunk_sums(const void *x, size_t count, double *sums, size_t chunk_begin,
                          size_t chunk_end, bool square) {
    for (size_t c = chunk_begin; c < chunk_end; c++) {
        const size_t begin = c * BV_SUM_CHUNK;
        const size_t end = count - begin < BV_SUM_CHUNK ? count : begin + BV_SUM_CHUNK;
        sums[c] = chunk_sum(x, begin, end, square);
    }
}

static void square_sums(const void *x, size_t count, double *sums, size_t chunk_begin,
                        size_t chunk_end) {
    chunk_sums(x, count, sums, chunk_begin, chunk_end, true);
}

static void sums(const void *x, size_t count, double *result, size_t chunk_begin,
                 size_t chunk_end) {
    chunk_sums(x, count, result, chunk_begin, chunk_end, false);
}

static void momentum(void *m, const void *gradient, void *out, double beta, double scale,
                     size_t begin, size_t end) {
    const vreal b = v_set((real)beta), o = v_set((real)(1 - beta)), s = v_set((real)scale);
    for (size_t i = begin; i < end; i += BV_LANES) {
        const size_t n = end - i < BV_LANES ? end - i : BV_LANES;
        const vreal g = v_mul(v_get_first(gradient, BV_REAL_TYPE, i, n), s);
        const vreal next = v_fma(b, v_get_first(m, BV_REAL_TYPE, i, n), v_mul(o, g));
        v_put_first(m, BV_REAL_TYPE, i, next, n);
        v_put_first(out, BV_REAL_TYPE, i, v_fma(b, next, v_mul(o, g)), n);
    }
}

static void descend(void *parameter, const void *update, double lr, double weight_decay,
                    size_t begin, size_t end) {
    const vreal step = v_set((real)-lr), decay = v_set((real)(-lr * weight_decay));
    for (size_t i = begin; i < end; i += BV_LANES) {
        const size_t n = end - i < BV_LANES ? end - i : BV_LANES;
        vreal p = v_get_first(parameter, BV_REAL_TYPE, i, n);
        p = v_fma(decay, p, p);
        p = v_fma(step, v_get_first(update, BV_REAL_TYPE, i, n), p);
        v_put_first(parameter, BV_REAL_TYPE, i, p, n);
    }
}

const bv_optimizer_kernels BV_NAME(bv_optimizer_table) = {.adamw = adamw,
                                                          .square_sums = square_sums,
                                                          .sums = sums,
                                                          .momentum = momentum,
                                                          .descend = descend};

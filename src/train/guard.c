#include "train/guard.h"

#include "kernel/real_host.h"
#include <math.h>
#include <stdio.h>

#define LEAST_STEPS 32 /* a mean over fewer judges nothing */
/* Standard deviations are taken to be at least these, so that a calm stretch makes no alarm: a
 * tenth of a nat of loss, a fifth in the logarithm of the norm. */
#define LEAST_LOSS_DEVIATION 0.1
#define LEAST_NORM_DEVIATION 0.2

static double log_norm(double norm) {
    return norm > 0 ? bv_log(norm) : -745;
}

static double z_score(const double *window, size_t count, double least, double value) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) sum += window[i];
    const double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) squares += (window[i] - mean) * (window[i] - mean);
    const double deviation = sqrt(squares / (double)count);
    return (value - mean) / (deviation > least ? deviation : least);
}

bv_verdict bv_guard_judge(const bv_guard *g, double limit, double loss, double norm) {
    bv_verdict v = {.bad = !isfinite(loss) || !isfinite(norm)};
    if (v.bad) {
        snprintf(v.why, sizeof v.why, "the %s is not finite",
                 isfinite(loss) ? "gradient norm" : "loss");
        return v;
    }
    if (limit <= 0 || g->accepted < LEAST_STEPS) return v;
    const size_t count = g->accepted < BV_GUARD_WINDOW ? g->accepted : BV_GUARD_WINDOW;
    const double loss_z = z_score(g->loss, count, LEAST_LOSS_DEVIATION, loss);
    const double norm_z = z_score(g->norm, count, LEAST_NORM_DEVIATION, log_norm(norm));
    v.bad = loss_z > limit || norm_z > limit;
    if (loss_z > limit)
        snprintf(v.why, sizeof v.why,
                 "the loss %.4g is %.3g standard deviations above the last %zu", loss, loss_z,
                 count);
    else if (norm_z > limit)
        snprintf(v.why, sizeof v.why,
                 "the gradient norm %.4g is %.3g standard deviations above the last %zu", norm,
                 norm_z, count);
    return v;
}

void bv_guard_accept(bv_guard *g, double loss, double norm) {
    const size_t at = g->accepted++ % BV_GUARD_WINDOW;
    g->loss[at] = loss;
    g->norm[at] = log_norm(norm);
    g->in_a_row = 0;
}

static size_t stored(const bv_guard *g) {
    return g->accepted < BV_GUARD_WINDOW ? g->accepted : BV_GUARD_WINDOW;
}

json_t *bv_guard_json(const bv_guard *g) {
    json_t *loss = json_array(), *norm = json_array();
    for (size_t i = 0; i < stored(g); i++) {
        json_array_append_new(loss, json_real(g->loss[i]));
        json_array_append_new(norm, json_real(g->norm[i]));
    }
    return json_pack("{sI sI sI sI so so}", "accepted", (json_int_t)g->accepted, "in_a_row",
                     (json_int_t)g->in_a_row, "skipped", (json_int_t)g->skipped, "returns",
                     (json_int_t)g->returns, "loss", loss, "log_norm", norm);
}

static bv_status get_count(const json_t *value, const char *key, size_t *out) {
    int64_t number;
    BV_TRY(bv_json_get_int(value, key, &number));
    if (number < 0) return bv_fail(BV_CODE_INPUT, "guard: %s is negative", key);
    *out = (size_t)number;
    return BV_OK;
}

bv_status bv_guard_parse(bv_guard *g, const json_t *value) {
    *g = (bv_guard){0};
    BV_TRY(get_count(value, "accepted", &g->accepted));
    BV_TRY(get_count(value, "in_a_row", &g->in_a_row));
    BV_TRY(get_count(value, "skipped", &g->skipped));
    BV_TRY(get_count(value, "returns", &g->returns));
    const json_t *loss = json_object_get(value, "loss"), *norm = json_object_get(value, "log_norm");
    if (json_array_size(loss) != stored(g) || json_array_size(norm) != stored(g))
        return bv_fail(BV_CODE_INPUT, "guard: its window has another length than it says");
    for (size_t i = 0; i < stored(g); i++) {
        g->loss[i] = json_number_value(json_array_get(loss, i));
        g->norm[i] = json_number_value(json_array_get(norm, i));
    }
    return BV_OK;
}

#include "cli/compute.h"

#include "cli/cli.h"

bv_status bv_compute_open(int64_t threads, bv_compute *out) {
    *out = (bv_compute){0};
    BV_TRY(bv_kernels_pick(&out->kernels));
    BV_TRY(bv_pool_create((int)threads, &out->pool));
    out->threads = bv_pool_threads(out->pool);
    return BV_OK;
}

void bv_compute_close(bv_compute *compute) {
    bv_pool_destroy(&compute->pool);
}

bv_status bv_compute_measure(const bv_compute *compute, double seconds, bv_limits *out) {
    BV_TRY(bv_limits_measure(compute->kernels, compute->pool, seconds, out));
    bv_error *error = bv_limits_remember(compute->threads, compute->kernels->level, out);
    if (error) bv_cli_say("%s: not remembered: %s\n", bv_cli_name(), bv_error_text(error));
    bv_error_free(&error);
    return BV_OK;
}

bv_status bv_compute_limits(const bv_compute *compute, bv_limits *out) {
    if (bv_limits_cached(compute->threads, compute->kernels->level, out)) return BV_OK;
    bv_cli_say("measuring this machine's limits (1.5 s, once)\n");
    return bv_compute_measure(compute, 1.5, out);
}

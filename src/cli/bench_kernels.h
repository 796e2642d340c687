/* The kernels' benchmark: one table of cases, each a kernel, a shape and what it must do at least.
 */
#ifndef BV_CLI_BENCH_KERNELS_H
#define BV_CLI_BENCH_KERNELS_H

#include "base/json.h"
#include "base/pool.h"
#include "kernel/kernel.h"

/* Says a line for each case on standard error and appends one object for each to `rows`. */
bv_status bv_bench_kernels(const bv_kernels *kernels, bv_pool *pool, json_t *rows);

#endif

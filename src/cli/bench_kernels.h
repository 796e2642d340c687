/*
 * Benchmarks of the kernels: each family in the shapes that GPT-2 124M (4 x 1024 tokens) and a
 * small model give it, the median of repeated runs, and its share of this machine's limit. Says a
 * line for each on standard error, and appends an object for each to `rows`.
 */
#ifndef BV_CLI_BENCH_KERNELS_H
#define BV_CLI_BENCH_KERNELS_H

#include "base/json.h"
#include "cli/machine_flags.h"

typedef struct bv_bench_kernels_options {
    const char *filter; /* only those whose line contains it; NULL: all */
    double seconds;     /* for each, about */
} bv_bench_kernels_options;

bv_status bv_bench_kernels(const bv_machine_use *use, const bv_bench_kernels_options *options,
                           json_t *rows);

#endif

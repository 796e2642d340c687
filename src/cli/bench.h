/* The benchmarks behind `beaver bench`; cmd_bench.c lists them. */
#ifndef BV_CLI_BENCH_H
#define BV_CLI_BENCH_H

#include "base/status.h"
#include <stddef.h>

bv_status bv_bench_limits(int argc, char **argv);
bv_status bv_bench_kernels(int argc, char **argv);
bv_status bv_bench_train(int argc, char **argv);

/* Sorts the values. count >= 1. */
double bv_bench_median(double *values, size_t count);

#endif

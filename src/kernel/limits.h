/*
 * This machine's limits: the peak of multiply-adds from registers alone, the bandwidth of reads,
 * and what threads wait for each other. Every benchmark is a share of the first two. Measuring
 * takes the time asked for; never done inside training or generation.
 */
#ifndef BV_KERNEL_LIMITS_H
#define BV_KERNEL_LIMITS_H

#include "base/pool.h"
#include "base/status.h"
#include "kernel/dtype.h"
#include <stddef.h>

struct bv_kernels;

typedef struct bv_limits_kernels {
    /* Runs `rounds` of independent chains; returns the operations done. */
    double (*multiply_add)(size_t rounds, float *sink);
    double (*dot_bf16)(size_t rounds, float *sink);
    double (*dot_int8)(size_t rounds, float *sink);
} bv_limits_kernels;

/* For looking whether the machine gives all its cores now: how long to look, and the share of the
 * best peak that was seen below which a timing of several threads does not count. */
#define BV_PEAK_SECONDS 0.01
#define BV_PEAK_HELD 0.9

/* GFLOP/s (of BV_INT8 GOP/s) of all threads of the pool together, best of rounds filling about
 * `seconds`. */
double bv_limits_peak_gflops(const struct bv_kernels *kernels, bv_pool *pool, bv_dtype type,
                             double seconds);
/* What is read to measure memory, many more bytes than the caches hold; NULL without memory. Free
 * with bv_free_aligned. */
void *bv_limits_buffer(size_t bytes);
/* GB/s of all threads reading it, best of rounds filling about `seconds`. */
double bv_limits_read_gbps(bv_pool *pool, const void *buffer, size_t bytes, double seconds);
/* Nanoseconds of a run of the pool in which nothing is done, the median of many: what threads wait
 * for each other. Several times as long where their cores share no cache. */
double bv_limits_run_ns(bv_pool *pool);

#endif

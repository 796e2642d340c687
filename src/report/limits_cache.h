/*
 * This machine's measured limits, kept in $XDG_CACHE_HOME/beaver/limits.json (or ~/.cache/beaver),
 * one entry for each CPU model, number of threads and kernel level. `doctor` and `bench limits`
 * measure and write; training and generation only read. Of each figure the largest that was ever
 * measured stays: a limit is what the machine reaches when it does nothing else, and other programs
 * only take from it. Removing the file forgets. A cache that is absent, unreadable or
 * garbage is an empty one; writing replaces the file all at once.
 */
#ifndef BV_REPORT_LIMITS_CACHE_H
#define BV_REPORT_LIMITS_CACHE_H

#include "base/pool.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include <stdbool.h>

typedef struct bv_limits {
    /* Multiply-adds from registers alone, all threads together; each counts as two. */
    double f32_gflops, bf16_gflops, int8_gops;
    double read_gbps; /* reads of a buffer larger than the caches */
} bv_limits;

/* The peaks of arithmetic alone; read_gbps becomes 0. Takes about `seconds`, a third for each. */
void bv_limits_measure_peaks(const bv_kernels *kernels, bv_pool *pool, double seconds,
                             bv_limits *out);
/* Of a buffer to measure memory with on this machine. */
size_t bv_limits_buffer_bytes(void);
/* Takes about `seconds`, a quarter for each figure. */
bv_status bv_limits_measure(const bv_kernels *kernels, bv_pool *pool, double seconds,
                            bv_limits *out);

/* For people: "f32 207 GFLOP/s, bf16 207 GFLOP/s, int8 334 GOP/s, memory 32.5 GB/s". */
typedef struct bv_limits_line {
    char text[160];
} bv_limits_line;
bv_limits_line bv_limits_text(const bv_limits *limits);

/* False when nothing is known of this CPU with that many threads at that level. */
bool bv_limits_cached(int threads, const char *level, bv_limits *out);
/* *best: what is remembered from now on; `measured` where nothing can be. */
bv_status bv_limits_remember(int threads, const char *level, const bv_limits *measured,
                             bv_limits *best);
/* Of each figure the larger one. */
bv_limits bv_limits_larger(const bv_limits *a, const bv_limits *b);
/* The smallest share that a figure of `measured` is of its like in `best`. */
double bv_limits_share(const bv_limits *measured, const bv_limits *best);

/* The file's path, or NULL when neither XDG_CACHE_HOME nor HOME is set; free with bv_free. */
char *bv_limits_path(void);

#endif

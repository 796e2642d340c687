#include "kernel/limits.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/order.h"
#include "kernel/kernel.h"
#include <stdint.h>
#include <string.h>

typedef struct peak_task {
    double (*loop)(size_t rounds, float *sink);
    size_t rounds;
    double flops;
} peak_task;

static void peak_part(void *context, int part, int parts) {
    (void)parts;
    peak_task *task = context;
    float sink;
    const double flops = task->loop(task->rounds, &sink);
    if (part == 0) task->flops = flops;
}

double bv_limits_peak_gflops(const bv_kernels *kernels, bv_pool *pool, bv_dtype type,
                             double seconds) {
    peak_task task = {.loop = type == BV_BF16   ? kernels->limits->dot_bf16
                              : type == BV_INT8 ? kernels->limits->dot_int8
                                                : kernels->limits->multiply_add,
                      .rounds = 20000};
    double best = 0;
    const double end = bv_clock_seconds() + seconds;
    do {
        const double begin = bv_clock_seconds();
        bv_pool_run(pool, peak_part, &task);
        const double rate = task.flops * bv_pool_threads(pool) / (bv_clock_seconds() - begin);
        if (rate > best) best = rate;
    } while (bv_clock_seconds() < end);
    return best * 1e-9;
}

#define STREAMS 6

typedef struct read_task {
    const uint64_t *data;
    size_t bytes;
    uint64_t sums[256]; /* keeps the reads from being optimized away */
} read_task;

/* Several streams at once: memory gives them up to half as much again as one. */
static void read_part(void *context, int part, int parts) {
    read_task *task = context;
    const size_t line = 64 / sizeof(uint64_t);
    size_t begin, end;
    bv_pool_range(task->bytes / sizeof(uint64_t), STREAMS * line, part, parts, &begin, &end);
    const size_t length = (end - begin) / STREAMS / line * line;
    uint64_t sum[8] = {0};
    for (size_t i = begin; i < begin + length; i += line)
        for (size_t s = 0; s < STREAMS; s++)
            for (size_t k = 0; k < line; k++) sum[k] += task->data[i + s * length + k];
    for (int k = 1; k < 8; k++) sum[0] ^= sum[k];
    task->sums[part % 256] = sum[0];
}

void *bv_limits_buffer(size_t bytes) {
    void *buffer = bv_malloc_aligned(bytes);
    if (buffer) memset(buffer, 1, bytes); /* pages that were never written are one page of zeros */
    return buffer;
}

double bv_limits_read_gbps(bv_pool *pool, const void *buffer, size_t bytes, double seconds) {
    read_task task = {.data = buffer, .bytes = bytes};
    double best = 0;
    const double end = bv_clock_seconds() + seconds;
    do {
        const double begin = bv_clock_seconds();
        bv_pool_run(pool, read_part, &task);
        const double rate = (double)bytes * 1e-9 / (bv_clock_seconds() - begin);
        if (rate > best) best = rate;
    } while (bv_clock_seconds() < end);
    return best;
}

#define RUNS 20 /* that are timed together */
#define TIMINGS 201
#define TIMINGS_NS 50000000 /* where more threads than cores make runs slow */

static void do_nothing(void *context, int part, int parts) {
    (void)context, (void)part, (void)parts;
}

double bv_limits_run_ns(bv_pool *pool) {
    double ns[TIMINGS];
    size_t count = 0;
    const uint64_t end = bv_clock_ns() + TIMINGS_NS;
    do {
        const uint64_t begin = bv_clock_ns();
        for (int run = 0; run < RUNS; run++) bv_pool_run(pool, do_nothing, NULL);
        ns[count++] = (double)(bv_clock_ns() - begin) / RUNS;
    } while (count < TIMINGS && bv_clock_ns() < end);
    return bv_median(ns, count);
}

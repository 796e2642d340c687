#include "cli/bench_job.h"

#include "base/clock.h"
#include "base/order.h"
#include "cli/cli.h"
#include "report/units.h"

#include <stdio.h>

#define ATTEMPTS 5

/* ---- operands ---- */

void *bv_bench_take(bv_bench_job *j, size_t bytes) {
    BV_ASSERT(j->buffer_count < BV_BENCH_BUFFERS_MAX);
    void *memory = bv_malloc_aligned(bytes + 64);
    if (!memory) j->failed = true;
    j->buffers[j->buffer_count++] = memory;
    return memory;
}

void *bv_bench_filled(bv_bench_job *j, bv_dtype type, size_t count) {
    char *memory = bv_bench_take(j, count * bv_dtype_size(type));
    for (size_t i = 0; memory && i < count; i++) {
        const uint32_t hash = (uint32_t)i * 2654435761u,
                       word = 0x3d800000u | (hash >> 7 & 0xffffffu);
        const uint32_t bits = word | (hash & 1) << 31;
        if (type == BV_BF16)
            ((uint16_t *)memory)[i] = (uint16_t)(bits >> 16);
        else
            ((uint32_t *)memory)[i] = bits;
    }
    return memory;
}

uint32_t *bv_bench_indices(bv_bench_job *j, size_t count, size_t limit) {
    uint32_t *list = bv_bench_take(j, count * sizeof *list);
    for (size_t i = 0; list && i < count; i++) list[i] = (uint32_t)(i * 2654435761u % limit);
    return list;
}

/* ---- measuring ---- */

/* "4096 x 768 x 3072" */
static void shape_text(const bv_bench_job *j, char text[64]) {
    size_t used = 0;
    for (size_t i = 0; i < j->rank; i++)
        used += (size_t)snprintf(text + used, 64 - used, i ? " x %zu" : "%zu", j->shape[i]);
}

static const char *dtype_of(const bv_bench_job *j) {
    return j->type == BV_INT8 ? "int8" : j->type == BV_BF16 ? "bf16" : "f32";
}

static double *peak_of(bv_bench_suite *s, bv_dtype type) {
    return type == BV_INT8   ? &s->limits.int8_gops
           : type == BV_BF16 ? &s->limits.bf16_gflops
                             : &s->limits.f32_gflops;
}

static void record(bv_bench_suite *s, const bv_bench_job *j, double seconds, bool steady) {
    const double peak = *peak_of(s, j->type);
    const double compute = j->flops * 1e-9 / peak, memory = j->bytes * 1e-9 / s->limits.read_gbps;
    const char *limit = compute > memory ? "compute" : "memory";
    const double share = (compute > memory ? compute : memory) / seconds;
    const double gflops = j->flops * 1e-9 / seconds, gbps = j->bytes * 1e-9 / seconds;
    char shape[64];
    shape_text(j, shape);
    bv_cli_say("%-18s %-5s %-18s %-4s %9.3f ms  %7.1f %s  %4s of %s\n", j->kernel, j->model->name,
               shape, dtype_of(j), 1e3 * seconds, j->flops > 0 ? gflops : gbps,
               j->type == BV_INT8 ? "GOP/s  "
               : j->flops > 0     ? "GFLOP/s"
                                  : "GB/s   ",
               bv_human_share(share).text, limit);
    json_t *dims = json_array();
    for (size_t i = 0; i < j->rank; i++)
        json_array_append_new(dims, json_integer((json_int_t)j->shape[i]));
    json_t *row =
        json_pack("{ss ss ss si so sf sf sf ss sf sf sb}", "name", j->kernel, "model",
                  j->model->name, "dtype", dtype_of(j), "threads", bv_pool_threads(s->use->pool),
                  "shape", dims, "ms", 1e3 * seconds, "gflops", gflops, "gbps", gbps, "limit",
                  limit, "limit_gflops", gflops / share, "share_of_limit", share, "steady", steady);
    static const char *const sides[] = {"m", "n", "k"};
    for (size_t i = 0; i < 3 && strncmp(j->kernel, "matmul", 6) == 0; i++)
        json_object_set_new(row, sides[i], json_integer((json_int_t)j->shape[i]));
    json_array_append_new(s->rows, row);
}

bool bv_bench_wanted(const bv_bench_suite *s, const bv_bench_job *j) {
    char line[160], shape[64];
    shape_text(j, shape);
    snprintf(line, sizeof line, "%s %s %s %s", j->kernel, j->model->name, shape, dtype_of(j));
    return !s->options->filter || strstr(line, s->options->filter);
}

/* Median of the seconds of a run. */
static double repeat(bv_bench_suite *s, bv_bench_job *j, void (*run)(bv_bench_job *)) {
    size_t count = 0;
    for (const double end = bv_clock_seconds() + s->options->seconds;
         count < 3 || (count < BV_BENCH_RUNS_MAX && bv_clock_seconds() < end); count++) {
        const double begin = bv_clock_seconds();
        run(j);
        s->times[count] = (bv_clock_seconds() - begin) / (double)j->copies;
    }
    return bv_median(s->times, count);
}

/* Whether the peak is there now. A better one than any before is the limit from now on. */
static bool peak_holds(bv_bench_suite *s, bv_dtype type) {
    if (bv_pool_threads(s->use->pool) == 1) return true;
    double *best = peak_of(s, type);
    const double now = bv_limits_peak_gflops(s->use->kernels, s->use->pool, type, BV_PEAK_SECONDS);
    if (now > *best) *best = now;
    return now >= BV_PEAK_HELD * *best;
}

bv_status bv_bench_finish(bv_bench_suite *s, bv_bench_job *j, void (*run)(bv_bench_job *)) {
    bv_error *error = j->failed ? bv_fail_memory("a benchmark's operands") : BV_OK;
    if (!error) {
        const unsigned saved = bv_float_enter();
        run(j); /* warms up */
        double seconds = 0;
        bool steady = false;
        for (int i = 0; i < ATTEMPTS && !steady; i++) {
            const bool before = peak_holds(s, j->type);
            seconds = repeat(s, j, run);
            steady = before && peak_holds(s, j->type);
        }
        bv_float_leave(saved);
        record(s, j, seconds, steady);
    }
    for (size_t i = 0; i < j->buffer_count; i++) bv_free_aligned(j->buffers[i]);
    return error;
}

bv_bench_job bv_bench_start(const bv_bench_suite *s, const bv_bench_shapes *model,
                            const char *kernel, bv_dtype type) {
    return (bv_bench_job){
        .use = s->use, .model = model, .kernel = kernel, .type = type, .unit = 1, .copies = 1};
}

void bv_bench_set_shape(bv_bench_job *j, size_t rank, const size_t shape[4]) {
    j->rank = rank;
    memcpy(j->shape, shape, 4 * sizeof *shape);
}

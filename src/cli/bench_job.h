/*
 * One kernel that is measured by itself: its operands, its cost, the median of its runs beside this
 * machine's limit. The families (bench_matmul.c, bench_attention.c, bench_ranges.c) make jobs of
 * the shapes that a model gives their kernels; bench_kernels.c says which models.
 *
 * A job is made on the stack: start, say its shape and cost, leave if nobody wants it, take its
 * operands, finish. Memory that is missing shows only there, so that nothing between needs to look.
 */
#ifndef BV_CLI_BENCH_JOB_H
#define BV_CLI_BENCH_JOB_H

#include "base/memory.h"
#include "cli/bench_kernels.h"
#include "report/limits_cache.h"

#include <string.h>

/* What a model is to its kernels. */
typedef struct bv_bench_shapes {
    const char *name;
    size_t sequences, context, width, heads, vocab;
} bv_bench_shapes;

#define BV_BENCH_BUFFERS_MAX 8
#define BV_BENCH_RUNS_MAX 2000

/* One kernel that is measured: what it is called and costs, and its operands. */
typedef struct bv_bench_job {
    const bv_machine_use *use;
    const bv_bench_shapes *model;
    const char *kernel;
    size_t shape[4], rank;
    bv_dtype type;
    double flops, bytes;
    void *buffers[BV_BENCH_BUFFERS_MAX];
    size_t buffer_count;
    bool failed;
    size_t rows; /* for kernels by ranges: how many, and borders are multiples of `unit` */
    size_t unit;
    size_t copies, copy_bytes; /* of the weights, where one run takes them all */
    char *scratch;
    size_t scratch_bytes; /* of a thread */
    union {
        bv_matmul_args matmul;
        bv_matmul_int8_args int8;
        bv_attention_args attention;
        bv_norm_args norm;
        bv_activation_args activation;
        bv_add_args add;
        bv_embed_args embed;
        bv_loss_args loss;
        bv_adamw_args adamw;
        bv_dropout_args dropout;
        bv_heads_args heads;
        bv_bias_gradient_args bias;
        struct {
            void *m, *update, *parameter;
            const void *gradient;
            double *sums;
        } elements;
    } args;
    bv_attention_sequence sequences[16];
    const void *tiles[16][2][64];
} bv_bench_job;

/* All that are measured, and what this machine reaches. */
typedef struct bv_bench_suite {
    const bv_machine_use *use;
    const bv_bench_kernels_options *options;
    bv_limits limits;
    json_t *rows;
    double *times; /* of the runs of a job */
} bv_bench_suite;

bv_bench_job bv_bench_start(const bv_bench_suite *s, const bv_bench_shapes *model,
                            const char *kernel, bv_dtype type);
void bv_bench_set_shape(bv_bench_job *j, size_t rank, const size_t shape[4]);
/* Whether the filter names it, by what is known of it now. */
bool bv_bench_wanted(const bv_bench_suite *s, const bv_bench_job *j);

/* Operands are the job's, and freed by its end: zeroes; numbers of both signs around 0.1, no
 * denormal among them; indices below a limit. */
void *bv_bench_take(bv_bench_job *j, size_t bytes);
void *bv_bench_filled(bv_bench_job *j, bv_dtype type, size_t count);
uint32_t *bv_bench_indices(bv_bench_job *j, size_t count, size_t limit);

/* Runs what was made, records it, frees its operands. */
bv_status bv_bench_finish(bv_bench_suite *s, bv_bench_job *j, void (*run)(bv_bench_job *));

/* The families. type: BV_INT8 has products only. */
bv_status bv_bench_matmuls(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type);
bv_status bv_bench_square(bv_bench_suite *s, const bv_bench_shapes *square, bv_dtype type);
bv_status bv_bench_attention(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type);
bv_status bv_bench_ranges(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type);

#endif

/*
 * Plan: a graph made ready to run many times. Steps in order, memory laid out once from lifetimes
 * (arena and offset, never a raw pointer in the graph), steps grouped where rows stand alone so
 * that a tile of rows goes through the whole group while it is in cache. A run allocates nothing.
 *
 * A plan borrows its graph, kernels, pool and weights. One run at a time.
 */
#ifndef BV_TENSOR_PLAN_H
#define BV_TENSOR_PLAN_H

#include "tensor/graph.h"
#include "tensor/run.h"
#include "tensor/trace.h"
#include "tensor/weights.h"

typedef struct bv_plan_options {
    const bv_kernels *kernels;
    bv_pool *pool;
    bv_weights *weights; /* NULL: the plan is only measured (bv_plan_bytes); it cannot run */
    bv_numerics numerics;
    size_t rows_max, outputs_max;      /* of the free sizes */
    size_t sequences_max, context_max; /* of the layout     */
    bool gradients;                    /* the graph has been differentiated: run effects */
    bool unfused;                      /* one step at a time: the bits are the same */
    /* Where all tensors take up to 64 MB, none gets the memory of another, but for outputs in the
     * place of an input: what several threads have just read is slow to write where their cores
     * share no cache. By the next run it has left the caches. */
    bool apart;
    bv_tensor *const *outputs; /* tensors whose values are wanted after a run */
    size_t output_count;
    bv_trace *trace; /* times every step of every run; NULL: nobody wants to know */
} bv_plan_options;

/* BV_CODE_USAGE for tensors of 2^60 bytes and more together. */
bv_status bv_plan_create(bv_graph *graph, const bv_plan_options *options, bv_plan **out);
void bv_plan_destroy(bv_plan **plan);

/* Where an input's values are at the next run; borrowed until then. */
void bv_plan_bind(bv_plan *plan, const bv_tensor *input, const void *data);

typedef struct bv_run_options {
    size_t rows, outputs;
    const bv_layout *layout;
    bv_accumulator *const *gradients; /* by parameter index; see bv_run */
    double loss_scale;                /* 1 / targets of the global batch */
    uint64_t seed;                    /* of dropout */
    uint32_t step;
} bv_run_options;
void bv_plan_run(bv_plan *plan, const bv_run_options *options);

/* Values of an output after a run. */
const void *bv_plan_values(const bv_plan *plan, const bv_tensor *tensor);

/* For explain: steps in order, each with its tensor; the bytes of the plan's memory. */
size_t bv_plan_steps(const bv_plan *plan);
const bv_tensor *bv_plan_step(const bv_plan *plan, size_t index);
unsigned bv_plan_kept_forms(const bv_plan *plan, size_t index); /* of its parameter, input 1 */
size_t bv_plan_bytes(const bv_plan *plan);

#endif

/*
 * What an op sees while it runs: where each tensor's memory is, the weights, the layout of the
 * rows. Nothing is allocated during a run.
 */
#ifndef BV_TENSOR_RUN_H
#define BV_TENSOR_RUN_H

#include "base/pool.h"
#include "kernel/kernel.h"
#include "tensor/graph.h"

/* A numerics class decides types and orders of sums; bits are equal within one. */
typedef enum bv_numerics { BV_NUMERICS_F32, BV_NUMERICS_BF16, BV_NUMERICS_F64 } bv_numerics;
const char *bv_numerics_name(bv_numerics numerics); /* "f32/1", "bf16/1", "f64" */
bv_dtype bv_numerics_type(bv_numerics numerics, bv_role role);

#define BV_PAGE_POSITIONS 64

/* The rows of one conversation or sample. Without pages: rows positions 0.. of a sequence given
 * whole. With pages: page p holds positions 64 p .. 64 p + 63 of all layers (bv_page_bytes). */
typedef struct bv_sequence {
    size_t row, rows;
    size_t position;
    uint32_t sample;
    void *const *pages;
} bv_sequence;

typedef struct bv_layout {
    const bv_sequence *sequences;
    size_t count;
    const uint32_t *first_visible; /* [rows] document mask, or NULL */
} bv_layout;

typedef struct bv_weights bv_weights;
typedef struct bv_plan bv_plan;

/* The gradient of one use of a parameter: [elements] real. Of a table it may have rows only, in the
 * order in which they were first named; the others are zeros. */
typedef struct bv_accumulator {
    void *data;
    bool begun;             /* it holds a sum, which goes on; before, it holds anything */
    uint32_t *places;       /* NULL: all rows; or of each row its place in data + 1, 0: none */
    size_t rows, rows_most; /* that have a place, and can have one */
} bv_accumulator;

/* Zeros are what it holds then. */
void bv_accumulator_clear(bv_accumulator *accumulator, bv_pool *pool, size_t bytes);

typedef struct bv_run {
    const bv_kernels *kernels;
    bv_pool *pool;
    bv_numerics numerics;
    bv_weights *weights;
    size_t sizes[BV_FREE_COUNT];       /* of this run; when scratch is asked for: the largest */
    size_t sequences_max, context_max; /* what scratch is made for */
    void **memory;                     /* by tensor index */
    void *scratch;                     /* of the step that runs */
    const bv_layout *layout;
    /* training */
    bv_accumulator *const *gradients; /* by parameter index: an array by use, or NULL */
    double loss_scale;
    uint64_t seed;
    uint32_t step;
} bv_run;

static inline void *bv_memory(const bv_run *run, const bv_tensor *t) {
    return t ? run->memory[t->index] : NULL;
}
static inline bv_dtype bv_type(const bv_run *run, const bv_tensor *t) {
    return bv_numerics_type(run->numerics, t->role);
}
static inline size_t bv_rows(const bv_run *run, const bv_tensor *t) {
    return t->rows.free == BV_FREE_NONE ? t->rows.factor
                                        : t->rows.factor * run->sizes[t->rows.free];
}
/* Where one use of a parameter adds its gradient: zeros, if it is the first to add. */
void *bv_gradient_memory(const bv_run *run, const bv_tensor *parameter, size_t use);
/* The same for who can write instead: `begun` says whether there is a sum already. */
void *bv_gradient_begin(const bv_run *run, const bv_tensor *parameter, size_t use, bool *begun);
/* The same for who adds to rows of a table only: ids[r] is found in row (*places)[r] of what is
 * returned. room: for `count` indices. */
void *bv_gradient_rows(const bv_run *run, const bv_tensor *table, size_t use, const uint32_t *ids,
                       size_t count, uint32_t *room, const uint32_t **places);

/* Bytes of one page: K and V of 64 positions of all attention layers. */
size_t bv_page_bytes(bv_numerics numerics, size_t layers, size_t kv_heads, size_t d_head);

#endif

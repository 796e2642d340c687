/*
 * Gradients of all parameters over a global batch. The batch is cut into grains (contiguous ranges
 * of its rows); inside a grain a gradient is one chain over rows, continued from micro-batch to
 * micro-batch; grains are added in a fixed binary tree. A parameter that the graph reads twice (a
 * tied embedding) has one accumulator a use; when a grain ends, the others are added in the order
 * of uses to the first that is of all rows. A use that reads rows that it names has, beside another
 * use, memory for as many as a grain can name.
 */
#ifndef BV_NN_GRADIENTS_H
#define BV_NN_GRADIENTS_H

#include "tensor/weights.h"

typedef struct bv_gradients bv_gradients;

/* graph: the differentiated one, whose parameters know their uses. grains_max >= 1; grain_rows:
 * rows of all micro-batches of a grain. */
bv_status bv_gradients_create(const bv_kernels *kernels, bv_pool *pool, const bv_graph *graph,
                              size_t grains_max, size_t grain_rows, bv_gradients **out);
void bv_gradients_destroy(bv_gradients **gradients);

void bv_gradients_begin(bv_gradients *gradients); /* of a step */
void bv_gradients_begin_grain(bv_gradients *gradients);
/* For bv_run_options.gradients while a grain runs. */
bv_accumulator *const *bv_gradients_accumulators(bv_gradients *gradients);
void bv_gradients_end_grain(bv_gradients *gradients);
/* After the last grain: adds what is left; then values are the sum over all grains. */
void bv_gradients_end(bv_gradients *gradients);

/* Gradient of parameter i: [rows, cols] real. */
void *bv_gradients_values(bv_gradients *gradients, size_t index);
/* Euclidean norm over all parameters, in the order of their index; squares are added over fixed
 * chunks in double. */
double bv_gradients_norm(bv_gradients *gradients);
/* Sum of squares of parameter i, as the last norm found it. */
double bv_gradients_square_sum(const bv_gradients *gradients, size_t index);
/* Bytes read and written by adding, and by clearing what nobody added to, since the last call: for
 * traces. */
size_t bv_gradients_moved(bv_gradients *gradients);
size_t bv_gradients_bytes(const bv_gradients *gradients); /* that it has taken */
/* Bytes that they would take, before anything is made. */
size_t bv_gradients_need(const bv_kernels *kernels, const bv_graph *graph, size_t grains_max,
                         size_t grain_rows);

#endif

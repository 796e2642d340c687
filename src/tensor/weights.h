/*
 * Weights: the parameters of a model with a version. Each has one canonical form, [rows, cols]
 * reals as in the published files, and forms packed for a kernel, made when a plan first asks for
 * them, shared read-only by all plans, and remade when the version moves. Changed by one thread at
 * a time and never during a run.
 *
 * Products of many rows take the canonical form and pack its panels on their way, while these are
 * in cache: nothing is kept for them.
 *
 * Weights of a trained model may lie in a mapped file (bv_weights_create_borrowed). They never
 * change, and nothing is copied before the first token is there: the first run reads them in place
 * (a product packs the panels that it needs on the way, with the same bits), and each later one
 * packs some of them first, until all are.
 */
#ifndef BV_TENSOR_WEIGHTS_H
#define BV_TENSOR_WEIGHTS_H

#include "base/pool.h"
#include "kernel/kernel.h"
#include "tensor/graph.h"
#include "tensor/run.h"

/* So many rows of a product make packing its weights cost little (a thousandth of the products at
 * AVX2, some hundredths at bf16 with AVX-512), and nothing at all where each step of training has
 * one micro-batch: it changes all weights. */
#define BV_MANY_ROWS 1024

typedef enum bv_weight_form {
    BV_FORM_FORWARD,  /* panels of W^T: y = x W^T   */
    BV_FORM_BACKWARD, /* panels of W: dx = dy W     */
    BV_FORM_COUNT,
} bv_weight_form;

/* Takes the list of parameters from the graph (names are copied). Values are zero. */
bv_status bv_weights_create(const bv_kernels *kernels, bv_pool *pool, const bv_graph *graph,
                            bv_weights **out);
/* The same without memory for values: who calls says by bv_weights_borrow where each parameter
 * lies, before anything else, and keeps it there. Only the forward form can be required. */
bv_status bv_weights_create_borrowed(const bv_kernels *kernels, bv_pool *pool,
                                     const bv_graph *graph, bv_weights **out);
void bv_weights_borrow(bv_weights *weights, size_t index, const void *data);
void bv_weights_destroy(bv_weights **weights);

/* Draws every parameter: element i of parameter p is a function of (seed, p, i). */
void bv_weights_initialize(bv_weights *weights, uint64_t seed);
/* Any values as large as those, in a small part of the time: for what is only measured. */
void bv_weights_fill(bv_weights *weights);

size_t bv_weights_count(const bv_weights *weights);
const bv_parameter *bv_weights_parameter(const bv_weights *weights, size_t index);
/* Canonical values, real; writable by who changes the weights and then calls bv_weights_changed,
 * unless they are borrowed. */
void *bv_weights_data(bv_weights *weights, const bv_parameter *parameter);
void bv_weights_changed(bv_weights *weights);

/* Makes sure that a form exists; called while planning. */
bv_status bv_weights_require(bv_weights *weights, const bv_parameter *parameter,
                             bv_numerics numerics, bv_weight_form form);
/* Remakes what is older than the version, or packs more of what is borrowed; called at the start of
 * each run. Returns how many bytes that read and wrote. */
size_t bv_weights_refresh(bv_weights *weights);
/* For who changes a parameter piece by piece: packs its kept forms of rows begin .. end - 1, while
 * they are in cache; begin is a multiple of bv_matmul_pack_unit(). Any thread. When all rows are
 * packed and bv_weights_changed has been called, bv_weights_packed says so of a parameter. */
void bv_weights_pack_rows(const bv_weights *weights, size_t index, size_t begin, size_t end);
void bv_weights_packed(bv_weights *weights, size_t index);
size_t bv_weights_packed_bytes(const bv_weights *weights, size_t index); /* of its kept forms */
/* Sets B of a product with a parameter: its packed form where that is kept and up to date, else the
 * parameter itself, whose panels the product packs on its way. */
void bv_weights_factor(const bv_weights *weights, const bv_parameter *parameter,
                       bv_numerics numerics, bv_weight_form form, bv_matmul_args *product);

size_t bv_weights_bytes(const bv_weights *weights); /* all forms together */

#endif

/*
 * Models in llama2.c's first file format (github.com/karpathy/llama2.c, export version 0): seven
 * 32-bit numbers (dim, hidden, layers, heads, KV heads, vocabulary, context; a negative vocabulary
 * means an untied head), then float32 weights. Its rotary pairs (2i, 2i + 1) become ours
 * (i, i + d_head / 2) by reordering the rows of the query and key weights: the same function.
 */
#ifndef BV_MODEL_LLAMA2C_H
#define BV_MODEL_LLAMA2C_H

#include "base/pool.h"
#include "model/config.h"
#include "tensor/weights.h"

/* BV_CODE_INPUT when the file is none. The weights are the caller's. */
bv_status bv_llama2c_load(const char *path, const bv_kernels *kernels, bv_pool *pool,
                          bv_gpt_config *config, bv_weights **weights);

#endif

/* The tables that one level is made of; each is defined in the file of its family. */
#ifndef BV_KERNEL_LANES_TABLES_H
#define BV_KERNEL_LANES_TABLES_H

#include "kernel/kernel.h"
#include "kernel/lane.h"

extern const bv_norm_kernels BV_NAME(bv_norm_table);
extern const bv_activation_kernels BV_NAME(bv_activation_table);
extern const bv_elementwise_kernels BV_NAME(bv_elementwise_table);
extern const bv_embedding_kernels BV_NAME(bv_embedding_table);
extern const bv_heads_kernels BV_NAME(bv_heads_table);
extern const bv_loss_kernels BV_NAME(bv_loss_table);
extern const bv_optimizer_kernels BV_NAME(bv_optimizer_table);
extern const bv_attention_kernels BV_NAME(bv_attention_table);
extern const bv_matmul_kernels BV_NAME(bv_matmul_table);
extern const bv_limits_kernels BV_NAME(bv_limits_table);
extern const bv_matmul_int8_kernels BV_NAME(bv_matmul_int8_table);
double BV_NAME(bv_dot_int8)(size_t rounds, float *sink); /* as in bv_limits_kernels */

#endif

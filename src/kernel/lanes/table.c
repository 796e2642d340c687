/* The table of one level. */
#include "kernel/lanes/tables.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

extern const bv_kernels BV_NAME(bv_kernels);
const bv_kernels BV_NAME(bv_kernels) = {.level = TEXT(BV_LEVEL),
                                        .real = BV_REAL_TYPE,
                                        .norm = &BV_NAME(bv_norm_table),
                                        .activation = &BV_NAME(bv_activation_table),
                                        .elementwise = &BV_NAME(bv_elementwise_table),
                                        .embedding = &BV_NAME(bv_embedding_table),
                                        .heads = &BV_NAME(bv_heads_table),
                                        .loss = &BV_NAME(bv_loss_table),
                                        .optimizer = &BV_NAME(bv_optimizer_table),
                                        .attention = &BV_NAME(bv_attention_table),
                                        .matmul = &BV_NAME(bv_matmul_table),
                                        .matmul_int8 = &BV_NAME(bv_matmul_int8_table),
                                        .limits = &BV_NAME(bv_limits_table)};

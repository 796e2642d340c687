/* Backward attention of one level (attention_backward.c), for its table (attention.c). */
#ifndef BV_KERNEL_LANES_ATTENTION_H
#define BV_KERNEL_LANES_ATTENTION_H

#include "kernel/attention.h"
#include "kernel/lane.h"

size_t BV_NAME(bv_attention_backward_bytes)(const bv_attention_args *args);
void BV_NAME(bv_attention_backward)(const bv_attention_args *args, size_t item, void *scratch);

#endif

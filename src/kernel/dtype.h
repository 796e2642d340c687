/* Element types. A graph names roles; the plan turns roles into these; kernels see only these. */
#ifndef BV_KERNEL_DTYPE_H
#define BV_KERNEL_DTYPE_H

#include <stddef.h>

typedef enum bv_dtype {
    BV_F32 = 0,
    BV_BF16 = 1, /* upper half of an f32, round to nearest even, denormals flushed to zero */
    BV_F64 = 2,  /* only in reference plans */
    BV_U32 = 3,  /* tokens, positions */
    BV_INT8 = 4, /* quantized operands of products (kernel/matmul_int8.h) */
} bv_dtype;

static inline size_t bv_dtype_size(bv_dtype type) {
    return type == BV_BF16 ? 2 : type == BV_F64 ? 8 : type == BV_INT8 ? 1 : 4;
}

#endif

/*
 * Named tensors: how weights and optimizer state are listed for files, hashes and tests.
 */
#ifndef BV_MODEL_NAMED_TENSOR_H
#define BV_MODEL_NAMED_TENSOR_H

#include "kernel/kernel.h"
#include "tensor/weights.h"

/* A named tensor in canonical layout, borrowed. */
typedef struct bv_named_tensor {
    const char *name;
    bv_dtype dtype;
    int rank;
    size_t shape[4];
    void *data;
} bv_named_tensor;

static inline size_t bv_named_tensor_elements(const bv_named_tensor *t) {
    size_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

/* A tensor of the parameter's shape. */
bv_named_tensor bv_name_tensor(const char *name, const bv_parameter *parameter, bv_dtype dtype,
                               void *data);
/* All master weights, in the order of the model; free with bv_free. NULL without memory. */
bv_named_tensor *bv_name_weights(bv_weights *weights, bv_dtype real, size_t *count);

#endif

#include "model/named_tensor.h"

#include "base/memory.h"

bv_named_tensor bv_name_tensor(const char *name, const bv_parameter *p, bv_dtype dtype,
                               void *data) {
    bv_named_tensor n = {.name = name, .dtype = dtype, .rank = p->rank, .data = data};
    n.shape[0] = p->rank == 1 ? p->cols : p->rows;
    n.shape[1] = p->rank == 1 ? 0 : p->cols;
    return n;
}

bv_named_tensor *bv_name_weights(bv_weights *weights, bv_dtype real, size_t *count) {
    *count = bv_weights_count(weights);
    bv_named_tensor *list = bv_calloc(*count + 1, sizeof *list);
    for (size_t i = 0; list && i < *count; i++) {
        const bv_parameter *p = bv_weights_parameter(weights, i);
        list[i] = bv_name_tensor(p->name, p, real, bv_weights_data(weights, p));
    }
    return list;
}

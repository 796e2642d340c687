#include "tensor/run.h"

#include <string.h>

const char *bv_numerics_name(bv_numerics numerics) {
    static const char *const names[] = {"f32/1", "bf16/1", "f64"};
    return names[numerics];
}

bv_dtype bv_numerics_type(bv_numerics numerics, bv_role role) {
    if (role == BV_ROLE_INDEX) return BV_U32;
    if (numerics == BV_NUMERICS_F64) return BV_F64;
    return numerics == BV_NUMERICS_BF16 && role == BV_ROLE_OPERAND ? BV_BF16 : BV_F32;
}

static bv_accumulator *accumulator_of(const bv_run *run, const bv_parameter *p, size_t use) {
    BV_ASSERT(run->gradients && use < p->uses);
    return &run->gradients[p->index][use];
}

void *bv_gradient_begin(const bv_run *run, const bv_tensor *parameter, size_t use, bool *begun) {
    bv_accumulator *a = accumulator_of(run, parameter->parameter, use);
    *begun = a->begun;
    a->begun = true;
    return a->data;
}

#define ALONE ((size_t)1 << 14) /* bytes that are not worth waking a thread */

static void clear_range(void *data, size_t begin, size_t end) {
    memset((char *)data + begin, 0, end - begin);
}

void bv_accumulator_clear(bv_accumulator *a, bv_pool *pool, size_t bytes) {
    bv_pool_run_ranges(bytes < ALONE ? NULL : pool, bytes, 64, clear_range, a->data);
    a->begun = true;
}

void *bv_gradient_memory(const bv_run *run, const bv_tensor *parameter, size_t use) {
    const bv_parameter *p = parameter->parameter;
    bv_accumulator *a = accumulator_of(run, p, use);
    const size_t bytes = bv_parameter_elements(p) * bv_dtype_size(run->kernels->real);
    if (!a->begun) bv_accumulator_clear(a, run->pool, bytes);
    return a->data;
}

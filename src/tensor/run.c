#include "tensor/run.h"

const char *bv_numerics_name(bv_numerics numerics) {
    static const char *const names[] = {"f32/1", "bf16/1", "f64"};
    return names[numerics];
}

bv_dtype bv_numerics_type(bv_numerics numerics, bv_role role) {
    if (role == BV_ROLE_INDEX) return BV_U32;
    if (numerics == BV_NUMERICS_F64) return BV_F64;
    return numerics == BV_NUMERICS_BF16 && role == BV_ROLE_OPERAND ? BV_BF16 : BV_F32;
}

void *bv_gradient_memory(const bv_run *run, const bv_tensor *parameter, size_t use) {
    const bv_parameter *p = parameter->parameter;
    BV_ASSERT(run->gradients && use < p->uses);
    const size_t bytes = bv_parameter_elements(p) * bv_dtype_size(run->kernels->real);
    return (char *)run->gradients[p->index] + use * bytes;
}

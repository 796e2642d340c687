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

static bv_accumulator *whole_accumulator_of(const bv_run *run, const bv_parameter *p, size_t use) {
    bv_accumulator *a = accumulator_of(run, p, use);
    BV_ASSERT(!a->places);
    return a;
}

void *bv_gradient_begin(const bv_run *run, const bv_tensor *parameter, size_t use, bool *begun) {
    bv_accumulator *a = whole_accumulator_of(run, parameter->parameter, use);
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
    bv_accumulator *a = whole_accumulator_of(run, p, use);
    const size_t bytes = bv_parameter_elements(p) * bv_dtype_size(run->kernels->real);
    if (!a->begun) bv_accumulator_clear(a, run->pool, bytes);
    return a->data;
}

/* The place of a row, which begins with zeros. */
static uint32_t place_of(bv_accumulator *a, size_t row, size_t row_bytes) {
    if (!a->places[row]) {
        BV_ASSERT(a->rows < a->rows_most);
        memset((char *)a->data + a->rows * row_bytes, 0, row_bytes);
        a->places[row] = (uint32_t)++a->rows;
    }
    return a->places[row] - 1;
}

void *bv_gradient_rows(const bv_run *run, const bv_tensor *table, size_t use, const uint32_t *ids,
                       size_t count, uint32_t *room, const uint32_t **places) {
    const bv_parameter *p = table->parameter;
    bv_accumulator *a = accumulator_of(run, p, use);
    *places = a->places ? room : ids;
    if (!a->places) return bv_gradient_memory(run, table, use);
    const size_t row_bytes = p->cols * bv_dtype_size(run->kernels->real);
    for (size_t r = 0; r < count; r++) room[r] = place_of(a, ids[r], row_bytes);
    return a->data;
}

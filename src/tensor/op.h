/*
 * Op: one table entry says all that anybody asks of an operation: shape, gradient, cost, how it
 * runs, and legal random inputs for its tests. There is no other switch over ops. An op lives in
 * one file (op_*.c); bv_ops() lists them all, and the tests go through that list.
 */
#ifndef BV_TENSOR_OP_H
#define BV_TENSOR_OP_H

#include "tensor/graph.h"
#include "tensor/run.h"

typedef struct bv_cost {
    double flops; /* multiplications and additions counted apart */
    double bytes; /* read and written, each operand once         */
} bv_cost;

struct bv_op {
    const char *name;
    /* Checks the inputs and sets role, rows, cols and extras of t. */
    bv_status (*shape)(bv_graph *g, bv_tensor *t);
    /* Emits the gradient: dx[i] of each differentiable input, given dy of y. Gradients of
     * parameters are effects of the emitted tensors. NULL: not differentiable (gradient ops
     * themselves). */
    bv_status (*gradient)(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx);
    bv_cost (*cost)(const bv_tensor *t, size_t rows);
    /* Bytes of scratch of one run at `rows` rows, or NULL. */
    size_t (*scratch)(const bv_tensor *t, const bv_run *run);
    /* One of the two: rows begin..end of a tensor whose rows stand alone, called by any thread;
     * or the whole tensor, called once, dividing itself over run->pool. */
    void (*run_rows)(const bv_tensor *t, const bv_run *run, size_t begin, size_t end);
    void (*run)(const bv_tensor *t, const bv_run *run);
    unsigned forms; /* bits of bv_weight_form that it reads of the parameter that is input 1 */
    bool effect;    /* writes gradients of parameters: never dropped as unused */
};

extern const bv_op bv_op_parameter;
extern const bv_op bv_op_embed, bv_op_embed_gradient;
extern const bv_op bv_op_add, bv_op_cast, bv_op_select, bv_op_dropout;
extern const bv_op bv_op_norm, bv_op_norm_gradient, bv_op_norm_parameters;
extern const bv_op bv_op_linear, bv_op_linear_input, bv_op_linear_weight, bv_op_bias_gradient;
extern const bv_op bv_op_activate, bv_op_activate_gradient;
extern const bv_op bv_op_heads, bv_op_heads_gradient;
extern const bv_op bv_op_attention, bv_op_attention_gradient;
extern const bv_op bv_op_logits, bv_op_head_loss, bv_op_head_loss_gradient;

/* All ops, for tests and explain. */
const bv_op *const *bv_ops(size_t *count);

/* Shape of t as its first input. */
static inline void bv_shape_like(bv_tensor *t, const bv_tensor *x, bv_role role) {
    t->rows = x->rows;
    t->cols = x->cols;
    t->role = role;
}

#endif

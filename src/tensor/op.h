/*
 * Op: one table entry says all that anybody asks of an operation: shape, gradient, cost, how it
 * runs. There is no other switch over ops. An op lives in one file (op_*.c); bv_ops() lists them
 * all, and the tests go through that list.
 */
#ifndef BV_TENSOR_OP_H
#define BV_TENSOR_OP_H

#include "tensor/graph.h"
#include "tensor/run.h"

/* What a step must do at least; multiplications and additions are counted apart. */
typedef struct bv_cost {
    double products; /* FLOPs of dot products of operands: at the speed of the class's type */
    double flops;    /* FLOPs of everything else, in f32                                    */
    double bytes;    /* read and written, each operand once                                 */
} bv_cost;

struct bv_op {
    const char *name;
    /* Checks the inputs and sets role, rows, cols and extras of t. */
    bv_status (*shape)(bv_graph *g, bv_tensor *t);
    /* Emits the gradient: dx[i] of each differentiable input, given dy of y. Gradients of
     * parameters are effects of the emitted tensors. NULL: not differentiable (gradient ops
     * themselves). */
    bv_status (*gradient)(bv_graph *g, bv_tensor *y, bv_tensor *dy, bv_tensor **dx);
    /* Of a run of these sizes and layout. */
    bv_cost (*cost)(const bv_tensor *t, const bv_run *run);
    /* Bytes of scratch of one run at `rows` rows, or NULL. */
    size_t (*scratch)(const bv_tensor *t, const bv_run *run);
    /* One of the two: rows begin..end of a tensor whose rows stand alone, called by any thread;
     * or the whole tensor, called once, dividing itself over run->pool. */
    void (*run_rows)(const bv_tensor *t, const bv_run *run, size_t begin, size_t end);
    void (*run)(const bv_tensor *t, const bv_run *run);
    unsigned forms;  /* bits of bv_weight_form that it reads of the parameter that is input 1 */
    bool packs_many; /* of many rows (BV_MANY_ROWS) it packs those forms on its way */
    /* Bits of inputs whose memory the output may take, if nobody reads them later: what an element
     * of the output needs of them is the same element. */
    unsigned in_place;
    int addend;      /* the input that it adds what it computes to, if there is one; 0: none */
    bool rounds;     /* its first extra, made when it is cast to an operand, is that */
    bool names_rows; /* of the table that is input 1 it reads those that ids name */
    bool cheap;      /* computed again in less time than it takes to remember a large one */
    bool effect;     /* writes gradients of parameters: never dropped as unused */
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

/* The forms that weights must keep for runs of at most these sizes. */
unsigned bv_kept_forms(const bv_tensor *t, const bv_run *run);

/* All ops, for tests and explain. */
const bv_op *const *bv_ops(size_t *count);

/* Bytes of all that the step of t reads and writes, each operand once: inputs, outputs, and the
 * gradients that it adds to. A parameter counts in the form that the op asks for. */
double bv_operand_bytes(const bv_tensor *t, const bv_run *run);
/* So many FLOPs an element of x, which has the rows of a run, and the operands' bytes. */
bv_cost bv_cost_by_elements(const bv_tensor *t, const bv_run *run, const bv_tensor *x,
                            double flops);

/* Shapes that several ops have: that of the first input, with its role; nothing, as wide as input
 * 1, of an effect. */
bv_status bv_shape_of_input(bv_graph *g, bv_tensor *t);
bv_status bv_shape_of_effect(bv_graph *g, bv_tensor *t);
/* Are ids [rows, 1] indices? */
bv_status bv_check_ids(const bv_tensor *t, const bv_tensor *ids);
/* Is input 1 a parameter whose rows are as long as those of input 0? */
bv_status bv_check_product(const bv_tensor *t);

/* Where row `row` of t is. */
static inline void *bv_row_at(const bv_run *run, const bv_tensor *t, size_t row) {
    return (char *)bv_memory(run, t) + row * t->cols * bv_dtype_size(bv_type(run, t));
}

static inline size_t bv_align64(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/* Do both have the same rows in every run? */
static inline bool bv_same_rows(const bv_tensor *a, const bv_tensor *b) {
    return a->rows.free == b->rows.free && a->rows.factor == b->rows.factor;
}

/* Rows and columns of x, in that role. */
static inline void bv_shape_like(bv_tensor *t, const bv_tensor *x, bv_role role) {
    t->rows = x->rows;
    t->cols = x->cols;
    t->role = role;
}

#endif

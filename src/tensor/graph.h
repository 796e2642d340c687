/*
 * Graph: what to compute, as a list of tensors in the order in which they were made. A model is
 * written once as a function that calls the builders below; nothing in it says batch, precision,
 * thread or cache. plan.h turns a graph into steps.
 *
 * The first error sticks to the graph (bv_graph_error) and names the source line; builders then go
 * on with harmless tensors, so that a model needs no error checks. A graph belongs to one thread.
 */
#ifndef BV_TENSOR_GRAPH_H
#define BV_TENSOR_GRAPH_H

#include "base/memory.h"
#include "base/status.h"
#include "kernel/activation.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes that are free until a run: a dimension is `factor` times one of them. */
typedef enum bv_free_size {
    BV_FREE_NONE,    /* a constant: just the factor                  */
    BV_FREE_ROWS,    /* tokens of a run                              */
    BV_FREE_OUTPUTS, /* rows whose logits are wanted                 */
    BV_FREE_COUNT,
} bv_free_size;

typedef struct bv_dim {
    size_t factor;
    bv_free_size free;
} bv_dim;

/* What a tensor is for; the plan's numerics class turns it into a dtype.
 *            f32/1   bf16/1   f64 (reference)
 * STREAM     f32     f32      f64     residual stream, losses, statistics
 * OPERAND    f32     bf16     f64     what matmul and attention read and write
 * INDEX      u32     u32      u32     tokens, positions, targets                */
typedef enum bv_role { BV_ROLE_STREAM, BV_ROLE_OPERAND, BV_ROLE_INDEX } bv_role;

typedef enum bv_initialization { BV_INIT_NORMAL, BV_INIT_ZERO, BV_INIT_ONE } bv_initialization;

/* How the optimizer treats a parameter. */
typedef enum bv_parameter_kind {
    BV_PARAMETER_MATRIX,    /* hidden matrix: weight decay, Muon where that is chosen */
    BV_PARAMETER_EMBEDDING, /* table or head: weight decay, always AdamW             */
    BV_PARAMETER_VECTOR,    /* gain or bias: no weight decay                         */
} bv_parameter_kind;

/* Says once all that anybody asks of a parameter. Matrices are [out, in], rows contiguous. */
typedef struct bv_parameter {
    const char *name;  /* as in the published weights; owned by the graph's arena */
    size_t rows, cols; /* a vector is [1, cols] and has rank 1 */
    int rank;
    bv_parameter_kind kind;
    bv_initialization init;
    double init_std;
    size_t index;       /* position in the graph's list */
    size_t uses;        /* places in the graph that read it: each has a gradient of its own */
    unsigned rows_uses; /* bits of those uses that read only rows that they name */
} bv_parameter;

static inline size_t bv_parameter_elements(const bv_parameter *p) {
    return p->rows * p->cols;
}

typedef struct bv_op bv_op;
typedef struct bv_tensor bv_tensor;

#define BV_INPUTS_MAX 7
#define BV_EXTRAS_MAX 2

struct bv_tensor {
    const bv_op *op; /* NULL: a given input, or an extra output of `owner` */
    const char *name;
    size_t index; /* in the graph's list */
    int input_count;
    bv_tensor *inputs[BV_INPUTS_MAX]; /* NULL: absent, as a bias may be */
    bv_role role;
    bv_dim rows;
    size_t cols;
    bv_tensor *extras[BV_EXTRAS_MAX]; /* further outputs of the same step (statistics) */
    bv_tensor *owner;                 /* of an extra output: the tensor whose step makes it */
    bv_parameter *parameter;          /* of op "parameter" */
    size_t use;                       /* of a reader of a shared table or matrix: which use it is */
    const void *attributes;           /* the op's own, in the graph's arena */
    int layer;                        /* block that made it, -1 outside: recomputation, traces */
    bool backward;                    /* made by differentiating, or computed again for it */
    bool keep;                        /* kept for backward even when recomputing */
    const char *file;                 /* where the builder was called */
    int line;
};

/* Rotary angles: cos and sin of position * base^(-2i/d_head), [context, d_head / 2]. */
typedef struct bv_rope_table {
    double base;
    size_t context, d_head;
    double *cos64, *sin64;
    float *cos32, *sin32;
} bv_rope_table;

typedef struct bv_graph {
    bv_arena *arena;
    bv_tensor **tensors;
    size_t tensor_count, tensor_capacity;
    bv_parameter **parameters;
    size_t parameter_count, parameter_capacity;
    int layer;
    bool backward;       /* the next tensors are: set while differentiating */
    uint32_t sites;      /* dropout sites handed out */
    bv_rope_table *rope; /* the one that all layers share, or NULL */
    bv_error *error;
    bv_tensor poison;
} bv_graph;

bv_status bv_graph_create(bv_graph **out);
void bv_graph_destroy(bv_graph **graph);
/* The first error while building; ownership passes to the caller. */
bv_status bv_graph_error(bv_graph *graph);

/* The next tensors belong to this block (-1: to none). */
void bv_graph_layer(bv_graph *graph, int layer);

/* A tensor given at each run, bound by bv_plan_bind. */
bv_tensor *bv_input(bv_graph *g, const char *name, bv_role role, bv_dim rows, size_t cols);
/* A parameter; the text after `name` is copied. Rank 1 when rows is 0. */
bv_tensor *bv_parameter_make(bv_graph *g, const char *name, size_t rows, size_t cols,
                             bv_parameter_kind kind, bv_initialization init, double std);

/* The generic builder behind the typed ones: makes a tensor, asks the op for its shape. */
bv_tensor *bv_tensor_make(bv_graph *g, const bv_op *op, bv_tensor *const *inputs, int input_count,
                          const void *attributes, size_t attributes_size, const char *file,
                          int line);
bv_tensor *bv_tensor_extra(bv_graph *g, bv_tensor *owner, int slot, bv_role role, bv_dim rows,
                           size_t cols);
/* A shape error of t's op; bv_tensor_make adds the line that asked for it. */
bv_status bv_shape_error(const bv_tensor *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- builders (ops in op_*.c). Rows are tokens. ---- */

/* y[r] = table[ids[r]]. ids: [rows, 1] index; table: parameter. -> stream */
bv_tensor *bv_embed_at(bv_graph *g, bv_tensor *ids, bv_tensor *table, const char *file, int line);
/* a + b -> stream */
bv_tensor *bv_add_at(bv_graph *g, bv_tensor *a, bv_tensor *b, const char *file, int line);
/* The same values in another role. */
bv_tensor *bv_cast_at(bv_graph *g, bv_tensor *x, bv_role role, const char *file, int line);
/* The rows of x that `ids` names. -> role of x, rows of ids. No gradient: for sampling. */
bv_tensor *bv_select_at(bv_graph *g, bv_tensor *x, bv_tensor *ids, const char *file, int line);
/* Layer norm, or RMS norm; gain and bias may be NULL. -> operand */
bv_tensor *bv_norm_at(bv_graph *g, bv_tensor *x, bv_tensor *gain, bv_tensor *bias, bool rms,
                      double eps, const char *file, int line);
/* x W^T + b. weight: [out, in]; bias may be NULL. -> operand */
bv_tensor *bv_linear_at(bv_graph *g, bv_tensor *x, bv_tensor *weight, bv_tensor *bias,
                        const char *file, int line);
/* residual + x W^T + b -> stream: as bv_add of bv_linear, without the memory between. */
bv_tensor *bv_linear_onto_at(bv_graph *g, bv_tensor *residual, bv_tensor *x, bv_tensor *weight,
                             bv_tensor *bias, const char *file, int line);
bv_tensor *bv_activate_at(bv_graph *g, bv_tensor *x, bv_activation kind, const char *file,
                          int line);
/* Inverted dropout; p = 0 gives x itself. row_ids: [rows, 1] index. Role of x. */
bv_tensor *bv_dropout_at(bv_graph *g, bv_tensor *x, bv_tensor *row_ids, double p, const char *file,
                         int line);

typedef struct bv_heads_shape {
    size_t heads, kv_heads, d_head;
} bv_heads_shape;

/* QK-norm and rotary embedding of qkv [rows, (heads + 2 kv_heads) d_head]. rope_base 0: none. */
bv_tensor *bv_heads_at(bv_graph *g, bv_tensor *qkv, bv_tensor *positions, bv_heads_shape shape,
                       bool qk_norm, double eps, double rope_base, size_t context, const char *file,
                       int line);
/* Causal attention over the sequences of the run. band 0: dense. -> operand [rows, heads d_head] */
bv_tensor *bv_attention_at(bv_graph *g, bv_tensor *qkv, bv_heads_shape shape, size_t band,
                           double dropout, int layer_of_cache, const char *file, int line);
/* x W^T in real numbers, before any soft cap or prior: [rows, rows of W] stream. No gradient: for
 * sampling. */
bv_tensor *bv_logits_at(bv_graph *g, bv_tensor *x, bv_tensor *weight, const char *file, int line);
/* Head and cross-entropy in one: -log p(target) of each row, [rows, 1] stream; logits exist only
 * for a block of rows. targets: [rows, 1] index, >= classes: none. prior: [rows, classes] stream
 * that logits are added to, weighed by one row more of the weight (loss.h), or NULL. */
bv_tensor *bv_head_loss_at(bv_graph *g, bv_tensor *x, bv_tensor *weight, bv_tensor *targets,
                           bv_tensor *prior, double soft_cap, const char *file, int line);

#define bv_embed(...) bv_embed_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_add(...) bv_add_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_cast(...) bv_cast_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_select(...) bv_select_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_norm(...) bv_norm_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_linear(...) bv_linear_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_linear_onto(...) bv_linear_onto_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_activate(...) bv_activate_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_dropout(...) bv_dropout_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_heads(...) bv_heads_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_attention(...) bv_attention_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_logits(...) bv_logits_at(__VA_ARGS__, __FILE__, __LINE__)
#define bv_head_loss(...) bv_head_loss_at(__VA_ARGS__, __FILE__, __LINE__)

#endif

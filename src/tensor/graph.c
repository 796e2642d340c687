#include "tensor/graph.h"

#include "tensor/op.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bv_status bv_graph_create(bv_graph **out) {
    bv_graph *g = bv_calloc(1, sizeof *g);
    if (!g) return bv_fail_memory("a graph");
    g->arena = bv_arena_create();
    if (!g->arena) {
        bv_free(g);
        return bv_fail_memory("a graph");
    }
    g->layer = -1;
    g->poison = (bv_tensor){.name = "poison", .rows = {1, BV_FREE_NONE}, .cols = 1, .layer = -1};
    *out = g;
    return BV_OK;
}

void bv_graph_destroy(bv_graph **graph) {
    bv_graph *g = *graph;
    if (!g) return;
    bv_error_free(&g->error);
    bv_arena_destroy(&g->arena);
    bv_free(g->tensors);
    bv_free(g->parameters);
    bv_free(g);
    *graph = NULL;
}

bv_status bv_graph_error(bv_graph *graph) {
    bv_error *error = graph->error;
    graph->error = NULL;
    return error;
}

void bv_graph_layer(bv_graph *graph, int layer) {
    graph->layer = layer;
}

/* Keeps the first error; returns the tensor that stands for whatever could not be made. */
static bv_tensor *refuse(bv_graph *g, bv_error *error) {
    g->error = bv_first_error(g->error, error);
    return &g->poison;
}

static bv_tensor *append(bv_graph *g) {
    bv_tensor *t = bv_arena_alloc(g->arena, sizeof *t);
    if (!t || !bv_list_grow((void **)&g->tensors, g->tensor_count, &g->tensor_capacity, sizeof t))
        return NULL;
    t->index = g->tensor_count;
    t->layer = g->layer;
    t->backward = g->backward;
    g->tensors[g->tensor_count++] = t;
    return t;
}

bv_tensor *bv_input(bv_graph *g, const char *name, bv_role role, bv_dim rows, size_t cols) {
    bv_tensor *t = append(g);
    if (!t) return refuse(g, bv_fail_memory("a graph"));
    t->name = name;
    t->role = role;
    t->rows = rows;
    t->cols = cols;
    t->keep = true;
    return t;
}

bv_tensor *bv_parameter_make(bv_graph *g, const char *name, size_t rows, size_t cols,
                             bv_parameter_kind kind, bv_initialization init, double std) {
    bv_tensor *t = append(g);
    bv_parameter *p = bv_arena_alloc(g->arena, sizeof *p);
    char *copy = bv_arena_strdup(g->arena, name);
    if (!t || !p || !copy ||
        !bv_list_grow((void **)&g->parameters, g->parameter_count, &g->parameter_capacity,
                      sizeof p))
        return refuse(g, bv_fail_memory("a graph"));
    *p = (bv_parameter){.name = copy,
                        .rows = rows ? rows : 1,
                        .cols = cols,
                        .rank = rows ? 2 : 1,
                        .kind = kind,
                        .init = init,
                        .init_std = std,
                        .index = g->parameter_count};
    g->parameters[g->parameter_count++] = p;
    t->op = &bv_op_parameter;
    t->name = copy;
    t->role = BV_ROLE_STREAM;
    t->rows = (bv_dim){p->rows, BV_FREE_NONE};
    t->cols = cols;
    t->parameter = p;
    t->keep = true;
    return t;
}

bv_tensor *bv_tensor_make(bv_graph *g, const bv_op *op, bv_tensor *const *inputs, int input_count,
                          const void *attributes, size_t attributes_size, const char *file,
                          int line) {
    if (g->error) return &g->poison;
    BV_ASSERT(input_count <= BV_INPUTS_MAX);
    bv_tensor *t = append(g);
    void *copy = attributes_size ? bv_arena_alloc(g->arena, attributes_size) : NULL;
    if (!t || (attributes_size && !copy)) return refuse(g, bv_fail_memory("a graph"));
    if (attributes_size) memcpy(copy, attributes, attributes_size);
    t->op = op;
    t->name = op->name;
    t->attributes = copy;
    t->input_count = input_count;
    t->file = file;
    t->line = line;
    for (int i = 0; i < input_count; i++) {
        t->inputs[i] = inputs[i];
        if (inputs[i] && inputs[i]->parameter && op->gradient) {
            const size_t use = inputs[i]->parameter->uses++;
            BV_ASSERT(use < 8 * sizeof inputs[i]->parameter->rows_uses);
            if (op->names_rows) inputs[i]->parameter->rows_uses |= 1u << use;
            if (i == 1)
                t->use = use;
            else
                BV_ASSERT(use == 0); /* only tables and matrices (input 1) may be shared */
        }
    }
    bv_error *error = op->shape(g, t);
    if (error) return refuse(g, bv_while(error, "building \"%s\" at %s:%d", op->name, file, line));
    return t;
}

bv_tensor *bv_tensor_extra(bv_graph *g, bv_tensor *owner, int slot, bv_role role, bv_dim rows,
                           size_t cols) {
    bv_tensor *t = append(g);
    if (!t) return refuse(g, bv_fail_memory("a graph"));
    t->name = owner->name;
    t->role = role;
    t->rows = rows;
    t->cols = cols;
    t->owner = owner;
    owner->extras[slot] = t;
    return t;
}

bv_status bv_shape_error(const bv_tensor *t, const char *format, ...) {
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return bv_fail(BV_CODE_USAGE, "%s: %s", t->op->name, text);
}

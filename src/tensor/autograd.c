#include "tensor/autograd.h"

#include "tensor/op.h"

/* Adds one more contribution to the gradient of x. */
static void contribute(bv_graph *g, bv_tensor **slot, bv_tensor *dx, const bv_tensor *x) {
    if (!*slot) {
        *slot = dx;
        return;
    }
    const int addend = dx->op ? dx->op->addend : 0;
    if (addend && !dx->inputs[addend] && x->role == BV_ROLE_STREAM) {
        dx->inputs[addend] = *slot;
        *slot = dx;
        return;
    }
    bv_tensor *sum = bv_add_at(g, *slot, dx, x->file, x->line);
    *slot = x->role == BV_ROLE_STREAM ? sum : bv_cast_at(g, sum, x->role, x->file, x->line);
}

static bv_status emit(bv_graph *g, bv_tensor *loss, bv_tensor **gradients, bv_tensor **losses) {
    for (size_t i = loss->index + 1; i-- > 0;) {
        bv_tensor *t = g->tensors[i];
        if (!t->op || t->parameter || (t != loss && !gradients[i])) continue;
        if (!t->op->gradient)
            return bv_fail(BV_CODE_USAGE, "op \"%s\" at %s:%d has no gradient", t->op->name,
                           t->file, t->line);
        bv_tensor *dx[BV_INPUTS_MAX] = {NULL};
        g->layer = t->layer;
        BV_TRY(t->op->gradient(g, t, gradients[i], dx));
        if (g->error) return bv_graph_error(g);
        if (t == loss) *losses = dx[0]->extras[0];
        for (int k = 0; k < t->input_count; k++)
            if (dx[k]) contribute(g, &gradients[t->inputs[k]->index], dx[k], t->inputs[k]);
    }
    return BV_OK;
}

/* ---- recomputation: a second copy of what a layer forgot, made just before it is needed ---- */

typedef struct rewrite {
    bv_graph *g;
    bv_recompute recompute;
    size_t forward_count;
    bool *remembered;   /* by index of the forward tensor: does its gradient read it as it was? */
    bv_tensor **copies; /* by index of the forward tensor */
    bv_tensor **order;  /* the new list */
    size_t count, capacity;
} rewrite;

static bool place(rewrite *w, bv_tensor *t) {
    if (!bv_list_grow((void **)&w->order, w->count, &w->capacity, sizeof t)) return false;
    w->order[w->count++] = t;
    return true;
}

/* Is all there from which `step` can be computed again, whether or not it is? */
static bool inputs_remembered(const rewrite *w, const bv_tensor *step) {
    for (int i = 0; i < step->input_count; i++)
        if (step->inputs[i] && !step->inputs[i]->keep && !w->remembered[step->inputs[i]->index])
            return false;
    return true;
}

static bool forgotten(const rewrite *w, const bv_tensor *t) {
    const bv_tensor *step = t->owner ? t->owner : t;
    if (t->index >= w->forward_count || !step->op || step->keep || step->layer < 0) return false;
    return w->recompute == BV_RECOMPUTE_ALL || (step->op->cheap && inputs_remembered(w, step));
}

/* Marks what is read after the forward part and does not come from a cheap op. */
static void mark_remembered(rewrite *w) {
    for (size_t i = w->forward_count; i < w->g->tensor_count; i++)
        for (int k = 0; k < w->g->tensors[i]->input_count; k++) {
            const bv_tensor *x = w->g->tensors[i]->inputs[k];
            if (x && x->index < w->forward_count && x->op && !x->op->cheap)
                w->remembered[x->index] = true;
        }
}

/* The copy of a forgotten tensor (its step with all extras); NULL without memory. The recursion is
 * as deep as a layer is long: what enters a layer is kept. */
static bv_tensor *copy_of(rewrite *w, bv_tensor *t) {
    if (!forgotten(w, t)) return t;
    if (w->copies[t->index]) return w->copies[t->index];
    bv_tensor *step = t->owner ? t->owner : t;
    bv_tensor *copy = bv_arena_alloc(w->g->arena, sizeof *copy);
    if (!copy) return NULL;
    *copy = *step;
    copy->backward = true;
    for (int i = 0; i < step->input_count; i++)
        if (step->inputs[i] && !(copy->inputs[i] = copy_of(w, step->inputs[i]))) return NULL;
    if (!place(w, copy)) return NULL;
    w->copies[step->index] = copy;
    for (int i = 0; i < BV_EXTRAS_MAX; i++) {
        if (!step->extras[i]) continue;
        bv_tensor *extra = bv_arena_alloc(w->g->arena, sizeof *extra);
        if (!extra || !place(w, extra)) return NULL;
        *extra = *step->extras[i];
        extra->owner = copy;
        copy->extras[i] = extra;
        w->copies[step->extras[i]->index] = extra;
    }
    return w->copies[t->index];
}

static bv_status recompute_layers(bv_graph *g, size_t forward_count, bv_recompute recompute) {
    rewrite w = {.g = g, .recompute = recompute, .forward_count = forward_count};
    w.copies = bv_calloc(forward_count, sizeof *w.copies);
    w.remembered = bv_calloc(forward_count, sizeof *w.remembered);
    bool ok = w.copies && w.remembered;
    if (ok) mark_remembered(&w);
    for (size_t i = 0; ok && i < g->tensor_count; i++) {
        bv_tensor *t = g->tensors[i];
        if (i >= forward_count)
            for (int k = 0; ok && k < t->input_count; k++)
                if (t->inputs[k]) ok = (t->inputs[k] = copy_of(&w, t->inputs[k])) != NULL;
        ok = ok && place(&w, t);
    }
    bv_free(w.copies);
    bv_free(w.remembered);
    if (!ok) {
        bv_free(w.order);
        return bv_fail_memory("a graph");
    }
    bv_free(g->tensors);
    g->tensors = w.order;
    g->tensor_count = w.count;
    g->tensor_capacity = w.capacity;
    for (size_t i = 0; i < w.count; i++) g->tensors[i]->index = i;
    return BV_OK;
}

bv_status bv_graph_differentiate(bv_graph *g, bv_tensor *loss, bv_recompute recompute,
                                 bv_tensor **losses) {
    BV_ASSERT(loss->op == &bv_op_head_loss);
    const size_t forward_count = g->tensor_count;
    bv_tensor **gradients = bv_calloc(forward_count, sizeof(bv_tensor *));
    if (!gradients) return bv_fail_memory("a graph");
    g->backward = true;
    bv_error *error = emit(g, loss, gradients, losses);
    bv_free(gradients);
    g->backward = false;
    g->layer = -1;
    if (!error && g->error) error = bv_graph_error(g);
    if (!error && recompute != BV_RECOMPUTE_NONE)
        error = recompute_layers(g, forward_count, recompute);
    return error;
}

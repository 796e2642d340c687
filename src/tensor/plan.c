#include "tensor/plan.h"

#include "base/clock.h"
#include "tensor/op.h"
#include <stdlib.h>
#include <string.h>

/* Rows of a group that go through its steps together, at most: a tile of 16 rows of a wide layer
 * stays in the second-level cache. */
#define TILE_ROWS 16

typedef struct group {
    size_t begin, end; /* steps */
} group;

/* When a tensor's memory is in use, in groups, and where it is. */
typedef struct placement {
    size_t first, last, offset, bytes; /* bytes 0: it has none */
    size_t last_step;                  /* that reads it */
    size_t holder;                     /* the tensor whose memory it is: often itself */
} placement;

struct bv_plan {
    bv_graph *graph;
    bv_plan_options options;
    bv_tensor **steps;
    size_t step_count;
    group *groups;
    size_t group_count;
    placement *places; /* by tensor index */
    char *arena;
    size_t arena_bytes;
    void *scratch;
    size_t scratch_bytes;
    bv_run run;
    size_t spans; /* of the trace: steps, then groups, then packing, one after another */
};

/* ---- which steps ---- */

/* Marks what the outputs and effects need, from the end to the start. */
static void mark_needed(const bv_plan *plan, bool *needed) {
    const bv_graph *g = plan->graph;
    for (size_t i = 0; i < plan->options.output_count; i++)
        needed[plan->options.outputs[i]->index] = true;
    for (size_t i = g->tensor_count; i-- > 0;) {
        const bv_tensor *t = g->tensors[i];
        if (t->op && t->op->effect && plan->options.gradients) needed[i] = true;
        if (!needed[i]) continue;
        if (t->owner) needed[t->owner->index] = true;
        for (int k = 0; k < t->input_count; k++)
            if (t->inputs[k]) needed[t->inputs[k]->index] = true;
    }
}

static bool has_step(const bv_tensor *t) {
    return t->op && !t->parameter;
}

/* Steps whose rows stand alone and that have the same rows form a group. */
static void group_steps(bv_plan *plan) {
    for (size_t i = 0; i < plan->step_count; i++) {
        const bv_tensor *t = plan->steps[i], *before = i ? plan->steps[i - 1] : NULL;
        const bool joins = before && !plan->options.unfused && before->op->run_rows &&
                           t->op->run_rows && bv_same_rows(before, t);
        if (!joins) plan->groups[plan->group_count++] = (group){i, i};
        plan->groups[plan->group_count - 1].end = i + 1;
    }
}

static bv_status choose_steps(bv_plan *plan) {
    const bv_graph *g = plan->graph;
    bool *needed = bv_calloc(g->tensor_count, sizeof *needed);
    plan->steps = bv_calloc(g->tensor_count, sizeof(bv_tensor *));
    plan->groups = bv_calloc(g->tensor_count, sizeof *plan->groups);
    if (!needed || !plan->steps || !plan->groups) {
        bv_free(needed);
        return bv_fail_memory("a plan");
    }
    mark_needed(plan, needed);
    for (size_t i = 0; i < g->tensor_count; i++)
        if (needed[i] && has_step(g->tensors[i])) plan->steps[plan->step_count++] = g->tensors[i];
    bv_free(needed);
    group_steps(plan);
    return BV_OK;
}

/* ---- memory ---- */

#define BYTES_MAX ((size_t)1 << 60) /* of all tensors together: no sum of sizes overflows */

/* At most BYTES_MAX. */
static size_t tensor_bytes(const bv_plan *plan, const bv_tensor *t) {
    size_t bytes;
    if (__builtin_mul_overflow(bv_rows(&plan->run, t) * bv_dtype_size(bv_type(&plan->run, t)),
                               t->cols, &bytes) ||
        bytes >= BYTES_MAX)
        return BYTES_MAX;
    return (bytes + 127) / 64 * 64; /* and 64 bytes between tensors: masked tails, false sharing */
}

static bv_status check_sizes(const bv_plan *plan) {
    size_t left = BYTES_MAX;
    for (size_t i = 0; i < plan->graph->tensor_count; i++) {
        if (plan->places[i].bytes >= left)
            return bv_try(bv_fail(BV_CODE_USAGE,
                                  "the tensors of %zu tokens computed at once have more than "
                                  "2^60 bytes",
                                  plan->options.rows_max),
                          "a smaller --set micro_batch=N, or a smaller context or model");
        left -= plan->places[i].bytes;
    }
    return BV_OK;
}

static void live(bv_plan *plan, const bv_tensor *t, size_t group, size_t step) {
    placement *p = &plan->places[t->index];
    if (p->last < group) p->last = group;
    p->last_step = step;
}

static void find_lifetimes(bv_plan *plan) {
    for (size_t k = 0; k < plan->group_count; k++)
        for (size_t i = plan->groups[k].begin; i < plan->groups[k].end; i++) {
            const bv_tensor *t = plan->steps[i];
            const bv_tensor *made[1 + BV_EXTRAS_MAX] = {t, t->extras[0], t->extras[1]};
            for (int e = 0; e < 1 + BV_EXTRAS_MAX; e++) {
                if (!made[e]) continue;
                placement *p = &plan->places[made[e]->index];
                *p = (placement){.first = k,
                                 .last = k,
                                 .bytes = tensor_bytes(plan, made[e]),
                                 .last_step = i,
                                 .holder = made[e]->index};
            }
            for (int n = 0; n < t->input_count; n++)
                if (t->inputs[n]) live(plan, t->inputs[n], k, i);
        }
    for (size_t i = 0; i < plan->options.output_count; i++)
        live(plan, plan->options.outputs[i], plan->group_count, plan->step_count);
}

/* Is the same element of both at the same place? */
static bool same_layout(const bv_plan *plan, const bv_tensor *a, const bv_tensor *b) {
    return bv_same_rows(a, b) && a->cols == b->cols &&
           bv_type(&plan->run, a) == bv_type(&plan->run, b);
}

/* Outputs that take the memory of an input nobody reads later: it is in the caches. */
static void share_memory(bv_plan *plan) {
    for (size_t i = 0; i < plan->step_count; i++) {
        const bv_tensor *t = plan->steps[i];
        placement *p = &plan->places[t->index];
        for (int n = 0; n < t->input_count && p->holder == t->index; n++) {
            if (!(t->op->in_place & 1u << n) || !t->inputs[n]) continue;
            const placement *input = &plan->places[t->inputs[n]->index];
            if (!input->bytes || input->last_step != i) continue;
            if (!same_layout(plan, t, t->inputs[n])) continue;
            p->holder = input->holder;
            placement *holder = &plan->places[p->holder];
            if (holder->last < p->last) holder->last = p->last;
        }
    }
}

#define APART_BYTES ((size_t)64 << 20)

/* What lives during all of the run shares its memory with nobody. */
static void keep_apart(bv_plan *plan) {
    size_t bytes = 0;
    for (size_t i = 0; i < plan->graph->tensor_count; i++)
        if (plan->places[i].holder == i) bytes += plan->places[i].bytes;
    if (bytes > APART_BYTES) return;
    for (size_t i = 0; i < plan->graph->tensor_count; i++) {
        plan->places[i].first = 0;
        plan->places[i].last = plan->group_count;
    }
}

/* Larger tensors first: they leave fewer holes. Of equal ones the first. */
static int by_size(const void *a, const void *b) {
    const placement *p = *(placement *const *)a, *q = *(placement *const *)b;
    if (p->bytes != q->bytes) return p->bytes > q->bytes ? -1 : 1;
    return (p > q) - (p < q);
}

/* The lowest offset at which `wanted` meets none of the placed tensors that lives at the same time;
 * they stand in the order of their offsets. */
static size_t lowest_gap(const placement *placed, size_t count, const placement *wanted) {
    size_t offset = 0;
    for (size_t i = 0; i < count && placed[i].offset < offset + wanted->bytes; i++) {
        const placement *p = &placed[i];
        const bool together = p->first <= wanted->last && wanted->first <= p->last;
        if (together && offset < p->offset + p->bytes) offset = p->offset + p->bytes;
    }
    return offset;
}

static void insert_by_offset(placement *placed, size_t count, const placement *p) {
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (placed[middle].offset <= p->offset)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(placed + low + 1, placed + low, (count - low) * sizeof *placed);
    placed[low] = *p;
}

static bv_status place_tensors(bv_plan *plan) {
    const size_t all = plan->graph->tensor_count;
    placement **order = bv_calloc(all, sizeof(placement *));
    placement *placed = bv_calloc(all, sizeof *placed);
    size_t count = 0;
    for (size_t i = 0; order && i < all; i++)
        if (plan->places[i].bytes && plan->places[i].holder == i) order[count++] = &plan->places[i];
    if (count) qsort(order, count, sizeof(placement *), by_size);
    for (size_t i = 0; placed && i < count; i++) {
        placement *p = order[i];
        p->offset = lowest_gap(placed, i, p);
        insert_by_offset(placed, i, p);
        if (p->offset + p->bytes > plan->arena_bytes) plan->arena_bytes = p->offset + p->bytes;
    }
    const bool ok = order && placed;
    bv_free(order);
    bv_free(placed);
    return ok ? BV_OK : bv_fail_memory("a plan");
}

static bv_status lay_out_memory(bv_plan *plan) {
    const size_t count = plan->graph->tensor_count;
    plan->places = bv_calloc(count, sizeof *plan->places);
    plan->run.memory = bv_calloc(count, sizeof(void *));
    if (!plan->places || !plan->run.memory) return bv_fail_memory("a plan");
    find_lifetimes(plan);
    share_memory(plan);
    BV_TRY(check_sizes(plan));
    if (plan->options.apart) keep_apart(plan);
    BV_TRY(place_tensors(plan));
    for (size_t i = 0; i < plan->step_count; i++) {
        const bv_tensor *t = plan->steps[i];
        const size_t bytes = t->op->scratch ? t->op->scratch(t, &plan->run) : 0;
        if (bytes > plan->scratch_bytes) plan->scratch_bytes = bytes;
    }
    if (!plan->options.weights) return BV_OK;
    plan->arena = bv_malloc_aligned(plan->arena_bytes + 64);
    plan->scratch = bv_malloc_aligned(plan->scratch_bytes + 64);
    if (!plan->arena || !plan->scratch)
        return bv_try(bv_fail(BV_CODE_MEMORY, "out of memory: the activations need %zu MiB",
                              (plan->arena_bytes + plan->scratch_bytes) >> 20),
                      "a smaller --set micro_batch=N, or --set recompute=all");
    for (size_t i = 0; i < count; i++)
        if (plan->places[i].bytes)
            plan->run.memory[i] = plan->arena + plan->places[plan->places[i].holder].offset;
    plan->run.scratch = plan->scratch;
    return BV_OK;
}

/* ---- weights: every step asks for the forms to be kept for it ---- */

static bv_status require_forms(bv_plan *plan) {
    for (size_t i = 0; i < plan->step_count; i++) {
        const bv_tensor *t = plan->steps[i];
        const unsigned forms = bv_kept_forms(t, &plan->run);
        for (int form = 0; form < BV_FORM_COUNT; form++)
            if (forms & 1u << form)
                BV_TRY(bv_weights_require(plan->options.weights, t->inputs[1]->parameter,
                                          plan->options.numerics, (bv_weight_form)form));
    }
    return BV_OK;
}

/* ---- spans of a trace: ids follow one another, so the first one says them all ---- */

static bv_status define_spans(bv_plan *plan) {
    bv_trace *trace = plan->options.trace;
    size_t id;
    bv_trace_spans(trace, &plan->spans);
    for (size_t i = 0; i < plan->step_count; i++)
        BV_TRY(bv_trace_define_step(trace, plan->steps[i], &id));
    for (size_t k = 0; k < plan->group_count; k++) {
        const group *g = &plan->groups[k];
        BV_TRY(bv_trace_define_group(trace, plan->steps + g->begin, g->end - g->begin, &id));
    }
    return bv_trace_define_phase(trace, "pack weights", &id);
}

bv_status bv_plan_create(bv_graph *graph, const bv_plan_options *options, bv_plan **out) {
    BV_TRY(bv_graph_error(graph));
    bv_plan *plan = bv_calloc(1, sizeof *plan);
    if (!plan) return bv_fail_memory("a plan");
    plan->graph = graph;
    plan->options = *options;
    plan->run = (bv_run){
        .kernels = options->kernels,
        .pool = options->pool,
        .numerics = options->numerics,
        .weights = options->weights,
        .sizes = {[BV_FREE_ROWS] = options->rows_max, [BV_FREE_OUTPUTS] = options->outputs_max},
        .sequences_max = options->sequences_max,
        .context_max = options->context_max};
    bv_error *error = choose_steps(plan);
    if (!error) error = lay_out_memory(plan);
    if (!error && options->weights) error = require_forms(plan);
    if (!error && options->weights && options->trace) error = define_spans(plan);
    if (error) bv_plan_destroy(&plan);
    *out = plan;
    return error;
}

void bv_plan_destroy(bv_plan **plan) {
    bv_plan *p = *plan;
    if (!p) return;
    bv_free(p->steps);
    bv_free(p->groups);
    bv_free(p->places);
    bv_free(p->run.memory);
    bv_free_aligned(p->arena);
    bv_free_aligned(p->scratch);
    bv_free(p);
    *plan = NULL;
}

void bv_plan_bind(bv_plan *plan, const bv_tensor *input, const void *data) {
    BV_ASSERT(!input->op && !input->owner);
    plan->run.memory[input->index] = (void *)data;
}

/* ---- run ---- */

typedef struct group_task {
    const bv_plan *plan;
    const group *group;
    size_t rows, tile; /* rows, and those of a tile */
} group_task;

static void time_tile(const bv_plan *plan, int part, size_t step, size_t row, size_t stop) {
    const uint64_t begin = bv_clock_ns();
    plan->steps[step]->op->run_rows(plan->steps[step], &plan->run, row, stop);
    bv_trace_tile(plan->options.trace, part, plan->spans + step, bv_clock_ns() - begin);
}

/* All steps of a group over rows row .. stop - 1. */
static void run_tile(const group_task *task, int part, size_t row, size_t stop) {
    const bv_plan *plan = task->plan;
    for (size_t i = task->group->begin; i < task->group->end; i++) {
        if (plan->options.trace)
            time_tile(plan, part, i, row, stop);
        else
            plan->steps[i]->op->run_rows(plan->steps[i], &plan->run, row, stop);
    }
}

static void group_part(void *context, int part, int parts) {
    (void)parts;
    const group_task *task = context;
    for (size_t tile; bv_pool_take(task->plan->run.pool, part, &tile);) {
        const size_t row = tile * task->tile;
        run_tile(task, part, row, task->rows - row < task->tile ? task->rows : row + task->tile);
    }
}

static void run_group(const bv_plan *plan, const group *g) {
    const bv_tensor *first = plan->steps[g->begin];
    if (!first->op->run_rows) {
        first->op->run(first, &plan->run);
        return;
    }
    bv_pool *pool = plan->run.pool;
    const size_t rows = bv_rows(&plan->run, first), threads = (size_t)bv_pool_threads(pool);
    const size_t most = (rows + threads - 1) / threads; /* few rows: a tile for each thread */
    group_task task = {plan, g, rows, most < TILE_ROWS ? most : TILE_ROWS};
    if (rows == 0) return;
    if (rows <= task.tile) { /* nothing to share: nobody is woken */
        run_tile(&task, 0, 0, rows);
        return;
    }
    bv_pool_share(pool, (rows + task.tile - 1) / task.tile);
    bv_pool_run(pool, group_part, &task);
}

static void trace_group(const bv_plan *plan, const group *g) {
    bv_trace *trace = plan->options.trace;
    const bv_tensor *first = plan->steps[g->begin];
    if (!first->op->run_rows) {
        bv_trace_enter(trace, plan->spans + g->begin);
        run_group(plan, g);
        bv_trace_leave(trace, first->op->cost(first, &plan->run));
        return;
    }
    bv_trace_enter(trace, plan->spans + plan->step_count + (size_t)(g - plan->groups));
    run_group(plan, g);
    bv_trace_leave_group(trace, plan->spans + g->begin, g->end - g->begin);
    for (size_t i = g->begin; i < g->end; i++) {
        const bv_tensor *t = plan->steps[i];
        bv_trace_cost(trace, plan->spans + i, t->op->cost(t, &plan->run));
    }
}

/* Packs the weights again that have changed. */
static void refresh_weights(const bv_plan *plan) {
    bv_trace *trace = plan->options.trace;
    bv_trace_enter(trace, plan->spans + plan->step_count + plan->group_count);
    const size_t bytes = bv_weights_refresh(plan->run.weights);
    bv_trace_leave(trace, (bv_cost){.bytes = (double)bytes});
}

void bv_plan_run(bv_plan *plan, const bv_run_options *options) {
    BV_ASSERT(options->rows <= plan->options.rows_max);
    BV_ASSERT(options->outputs <= plan->options.outputs_max);
    bv_run *run = &plan->run;
    run->sizes[BV_FREE_ROWS] = options->rows;
    run->sizes[BV_FREE_OUTPUTS] = options->outputs;
    run->layout = options->layout;
    run->gradients = options->gradients;
    run->loss_scale = options->loss_scale;
    run->seed = options->seed;
    run->step = options->step;
    const unsigned saved = bv_float_enter();
    refresh_weights(plan);
    for (size_t k = 0; k < plan->group_count; k++) {
        if (plan->options.trace)
            trace_group(plan, &plan->groups[k]);
        else
            run_group(plan, &plan->groups[k]);
    }
    bv_float_leave(saved);
}

const void *bv_plan_values(const bv_plan *plan, const bv_tensor *tensor) {
    return plan->run.memory[tensor->index];
}

size_t bv_plan_steps(const bv_plan *plan) {
    return plan->step_count;
}

const bv_tensor *bv_plan_step(const bv_plan *plan, size_t index) {
    BV_ASSERT(index < plan->step_count);
    return plan->steps[index];
}

unsigned bv_plan_kept_forms(const bv_plan *plan, size_t index) {
    bv_run largest = plan->run;
    largest.sizes[BV_FREE_ROWS] = plan->options.rows_max;
    largest.sizes[BV_FREE_OUTPUTS] = plan->options.outputs_max;
    return bv_kept_forms(bv_plan_step(plan, index), &largest);
}

size_t bv_plan_bytes(const bv_plan *plan) {
    return plan->arena_bytes + plan->scratch_bytes;
}

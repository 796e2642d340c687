/*
 * Trace: where the time of runs goes. A span is what is timed: a step of a plan, or a phase of a
 * training step (packing, the optimizer). Spans are defined ahead; then enter and leave add up wall
 * time and cost, and note events, one row a thread (each thread of the pool tells when it computed
 * for the span that the caller is in). Nothing is allocated between enter and leave: events that
 * find no room are dropped and counted.
 *
 * A trace watches one pool until it is destroyed. NULL in place of a trace is legal in all
 * functions that are called while training and costs one branch. Spans are entered by the pool's
 * caller only, and not nested. Nanoseconds of the monotonic clock. The file is Chrome's JSON of
 * trace events, which Perfetto and chrome://tracing open ("Trace Event Format", Google).
 */
#ifndef BV_TENSOR_TRACE_H
#define BV_TENSOR_TRACE_H

#include "base/pool.h"
#include "base/status.h"
#include "tensor/op.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bv_trace bv_trace;

typedef struct bv_span {
    char *name; /* "linear h.3.mlp.c_fc.weight" */
    char *kind; /* the same in all layers: "linear h.*.mlp.c_fc.weight" */
    int layer;  /* -1: none */
    bool backward;
    bool phase; /* no step of a plan */
    bool group; /* several steps that tiles of rows go through together: events only, no totals */
    const char *file; /* where the model's builder was called, or NULL */
    int line;
    /* since the last reset */
    uint64_t ns, runs;
    bv_cost cost;
} bv_span;

/* events: room for so many of each thread; 0: totals only. pool may be NULL. */
bv_status bv_trace_create(bv_pool *pool, size_t events, bv_trace **out);
void bv_trace_destroy(bv_trace **trace);

/* Defining, ahead of all runs: *id names the span from then on, ids are consecutive. */
bv_status bv_trace_define_phase(bv_trace *trace, const char *name, size_t *id);
bv_status bv_trace_define_step(bv_trace *trace, const bv_tensor *step, size_t *id);
bv_status bv_trace_define_group(bv_trace *trace, bv_tensor *const *steps, size_t count, size_t *id);

void bv_trace_enter(bv_trace *trace, size_t id);
void bv_trace_leave(bv_trace *trace, bv_cost cost);

/* Of a group that was entered: any thread adds the time of a tile in step `id`. Leaving divides the
 * group's wall time among `count` steps from `first` on, as their tiles took. */
void bv_trace_tile(bv_trace *trace, int part, size_t id, uint64_t ns);
void bv_trace_leave_group(bv_trace *trace, size_t first, size_t count);
void bv_trace_cost(bv_trace *trace, size_t id, bv_cost cost); /* counts one run */

/* A whole training step, around everything else on the caller's row. */
void bv_trace_step_begin(bv_trace *trace, uint64_t step);
void bv_trace_step_end(bv_trace *trace);

/* Forgets totals and events, for instance of steps that warmed up. */
void bv_trace_reset(bv_trace *trace);

const bv_span *bv_trace_spans(const bv_trace *trace, size_t *count);
/* Events that found no room; *steps: whole training steps that did. */
size_t bv_trace_dropped(const bv_trace *trace, size_t *steps);
bv_status bv_trace_write(const bv_trace *trace, const char *path);

#endif

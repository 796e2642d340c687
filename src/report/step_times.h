/*
 * Where the time of training steps goes: each step of the plan and each phase beside it, with what
 * it costs, the time that this machine's limits allow for that, and what is lost against them.
 * Made from a trace; sorted by what is lost, most first.
 *
 * The limit of a step is the longer of two times: its dot products at the peak of their type and
 * its other FLOPs at the f32 peak, one after the other; or its operands, each once, at the
 * bandwidth of memory. Operands that stay in the caches can beat the latter: then the loss is
 * negative.
 */
#ifndef BV_REPORT_STEP_TIMES_H
#define BV_REPORT_STEP_TIMES_H

#include "base/json.h"
#include "report/limits_cache.h"
#include "tensor/trace.h"

typedef struct bv_step_time {
    const char *name;      /* the trace's: "linear h.3.mlp.c_fc.weight", in a group with "h.*" */
    const char *direction; /* "forward", "backward" or "phase" */
    const bv_span *span;   /* of a group: of its first member */
    size_t count;          /* steps of the plan together: 1, in a group as many as there are */
    double seconds;        /* of one training step, as all below */
    double flops, bytes;
    double compute_seconds, memory_seconds; /* what the limits allow */
    double limit_seconds, lost_seconds;     /* of a group: sums over its members */
} bv_step_time;

typedef struct bv_step_times {
    bv_step_time *steps, *groups; /* groups: steps of one kind and direction in all layers */
    size_t step_count, group_count;
    double seconds, limit_seconds; /* sums over the steps */
} bv_step_times;

/* half: operands are bf16. training_steps: how many the trace has seen. */
bv_status bv_step_times_make(const bv_trace *trace, const bv_limits *limits, bool half,
                             size_t training_steps, bv_step_times *out);
void bv_step_times_free(bv_step_times *times);

/* "compute" or "memory": which of the two the limit is. */
const char *bv_step_time_bound(const bv_step_time *time);
json_t *bv_step_time_json(const bv_step_time *time);
/* One line for people, without newline. */
bv_status bv_step_time_line(const bv_step_time *time, double all_seconds, bv_buffer *out);
extern const char bv_step_time_head[]; /* over those lines */

#endif

#include "report/step_times.h"

#include "base/memory.h"
#include "report/units.h"
#include <stdlib.h>
#include <string.h>

static bv_step_time time_of(const bv_span *span, const bv_limits *limits, bool half,
                            double training_steps) {
    const double peak = 1e9 * (half ? limits->bf16_gflops : limits->f32_gflops);
    const double products = span->cost.products / training_steps;
    const double other = span->cost.flops / training_steps;
    bv_step_time t = {.name = span->name,
                      .direction = span->phase      ? "phase"
                                   : span->backward ? "backward"
                                                    : "forward",
                      .span = span,
                      .count = 1,
                      .seconds = 1e-9 * (double)span->ns / training_steps,
                      .flops = products + other,
                      .bytes = span->cost.bytes / training_steps};
    t.compute_seconds = products / peak + other / (1e9 * limits->f32_gflops);
    t.memory_seconds = t.bytes / (1e9 * limits->read_gbps);
    t.limit_seconds = t.compute_seconds > t.memory_seconds ? t.compute_seconds : t.memory_seconds;
    t.lost_seconds = t.seconds - t.limit_seconds;
    return t;
}

static bool same_kind(const bv_step_time *a, const bv_step_time *b) {
    return !strcmp(a->span->kind, b->span->kind) && a->direction == b->direction;
}

static void add_to_groups(bv_step_times *times, const bv_step_time *step) {
    bv_step_time *g = times->groups, *end = g + times->group_count;
    while (g < end && !same_kind(g, step)) g++;
    if (g == end) {
        *g = *step;
        g->name = step->span->kind;
        times->group_count++;
        return;
    }
    g->count++;
    g->seconds += step->seconds;
    g->flops += step->flops;
    g->bytes += step->bytes;
    g->compute_seconds += step->compute_seconds;
    g->memory_seconds += step->memory_seconds;
    g->limit_seconds += step->limit_seconds;
    g->lost_seconds += step->lost_seconds;
}

/* Most lost first; equal ones in the order of the plan. */
static int by_loss(const void *a, const void *b) {
    const bv_step_time *x = a, *y = b;
    if (x->lost_seconds != y->lost_seconds) return x->lost_seconds < y->lost_seconds ? 1 : -1;
    return x->span < y->span ? -1 : x->span > y->span;
}

bv_status bv_step_times_make(const bv_trace *trace, const bv_limits *limits, bool half,
                             size_t training_steps, bv_step_times *out) {
    size_t count;
    const bv_span *spans = bv_trace_spans(trace, &count);
    *out = (bv_step_times){.steps = bv_calloc(count, sizeof *out->steps),
                           .groups = bv_calloc(count, sizeof *out->groups)};
    if (!out->steps || !out->groups) {
        bv_step_times_free(out);
        return bv_fail_memory("a table of steps");
    }
    for (size_t i = 0; i < count; i++) {
        if (spans[i].group || spans[i].runs == 0) continue;
        const bv_step_time step = time_of(&spans[i], limits, half, (double)training_steps);
        out->steps[out->step_count++] = step;
        out->seconds += step.seconds;
        out->limit_seconds += step.limit_seconds;
        add_to_groups(out, &step);
    }
    qsort(out->steps, out->step_count, sizeof *out->steps, by_loss);
    qsort(out->groups, out->group_count, sizeof *out->groups, by_loss);
    return BV_OK;
}

void bv_step_times_free(bv_step_times *times) {
    bv_free(times->steps);
    bv_free(times->groups);
    *times = (bv_step_times){0};
}

const char *bv_step_time_bound(const bv_step_time *t) {
    return t->compute_seconds > t->memory_seconds ? "compute" : "memory";
}

json_t *bv_step_time_json(const bv_step_time *t) {
    json_t *row = json_pack(
        "{ss ss sI sf sf sf ss sf sf sf}", "name", t->name, "direction", t->direction, "count",
        (json_int_t)t->count, "ms", 1e3 * t->seconds, "flops", t->flops, "bytes", t->bytes, "limit",
        bv_step_time_bound(t), "limit_ms", 1e3 * t->limit_seconds, "share_of_limit",
        t->seconds > 0 ? t->limit_seconds / t->seconds : 0, "lost_ms", 1e3 * t->lost_seconds);
    if (t->span->layer >= 0 && t->count == 1)
        json_object_set_new(row, "layer", json_integer(t->span->layer));
    return row;
}

const char bv_step_time_head[] =
    "      lost        time   of step  of limit             FLOP     bytes    x  step";

bv_status bv_step_time_line(const bv_step_time *t, double all_seconds, bv_buffer *out) {
    const double share = t->seconds > 0 ? t->limit_seconds / t->seconds : 0;
    bv_buffer_printf(
        out, "%7.2f ms  %7.2f ms  %8s  %8s %-7s %8s %9s %4zu  %s%s", 1e3 * t->lost_seconds,
        1e3 * t->seconds, bv_human_share(t->seconds / all_seconds).text, bv_human_share(share).text,
        bv_step_time_bound(t), bv_human_count(t->flops).text, bv_human_bytes(t->bytes).text,
        t->count, t->name, strcmp(t->direction, "backward") ? "" : " (backward)");
    return bv_buffer_error(out);
}

#include "tensor/trace.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 160
#define NO_SPAN SIZE_MAX
#define STEP_SPAN 0 /* the span of whole training steps: events only */

typedef struct event {
    uint64_t begin, end;
    uint32_t span, number;
} event;

/* What one thread writes; a cache line of its own. */
typedef struct row {
    _Alignas(64) event *events;
    size_t count, dropped;
    uint64_t *tiles; /* ns by span, of the group that is entered */
} row;

struct bv_trace {
    bv_pool *pool;
    int threads;
    size_t capacity; /* events of a row */
    row *rows;
    bv_span *spans;
    size_t span_count, span_capacity;
    size_t current; /* span that is entered, or NO_SPAN */
    uint64_t entered;
    uint64_t created, step_begin, step;
    bool in_step;
    size_t whole_steps;
};

static void note(bv_trace *t, int part, size_t span, uint64_t number, uint64_t begin,
                 uint64_t end) {
    row *r = &t->rows[part];
    if (r->count < t->capacity)
        r->events[r->count++] = (event){begin, end, (uint32_t)span, (uint32_t)number};
    else
        r->dropped++;
}

/* The caller sets `current` before the pool's threads start and moves it after they have ended. */
static void watch(void *context, int part, uint64_t begin, uint64_t end) {
    bv_trace *t = context;
    if (t->current != NO_SPAN) note(t, part, t->current, 0, begin, end);
}

bv_status bv_trace_create(bv_pool *pool, size_t events, bv_trace **out) {
    *out = NULL;
    bv_trace *t = bv_calloc(1, sizeof *t);
    if (!t) return bv_fail_memory("a trace");
    t->threads = bv_pool_threads(pool);
    t->capacity = events;
    t->current = NO_SPAN;
    t->created = bv_clock_ns();
    t->rows = bv_malloc_aligned((size_t)t->threads * sizeof *t->rows);
    bool ok = t->rows != NULL;
    for (int i = 0; ok && events && i < t->threads; i++)
        ok = (t->rows[i].events = bv_calloc(events, sizeof(event))) != NULL;
    size_t id;
    bv_error *error = ok ? bv_trace_define_phase(t, "step", &id) : bv_fail_memory("a trace");
    if (error) {
        bv_trace_destroy(&t);
        return error;
    }
    t->spans[STEP_SPAN].group = true;
    t->pool = pool;
    if (pool) bv_pool_watch_set(pool, watch, t);
    *out = t;
    return BV_OK;
}

void bv_trace_destroy(bv_trace **trace) {
    bv_trace *t = *trace;
    if (!t) return;
    if (t->pool) bv_pool_watch_set(t->pool, NULL, NULL);
    for (int i = 0; t->rows && i < t->threads; i++) {
        bv_free(t->rows[i].events);
        bv_free(t->rows[i].tiles);
    }
    for (size_t i = 0; i < t->span_count; i++) {
        bv_free(t->spans[i].name);
        bv_free(t->spans[i].kind);
    }
    bv_free(t->spans);
    bv_free_aligned(t->rows);
    bv_free(t);
    *trace = NULL;
}

/* ---- defining ---- */

static bool grow(bv_trace *t) {
    if (t->span_count < t->span_capacity) return true;
    const size_t wanted = t->span_capacity ? 2 * t->span_capacity : 64;
    bv_span *spans = bv_realloc(t->spans, wanted * sizeof *spans);
    if (!spans) return false;
    t->spans = spans;
    for (int i = 0; i < t->threads; i++) {
        uint64_t *tiles = bv_realloc(t->rows[i].tiles, wanted * sizeof *tiles);
        if (!tiles) return false;
        memset(tiles + t->span_capacity, 0, (wanted - t->span_capacity) * sizeof *tiles);
        t->rows[i].tiles = tiles;
    }
    t->span_capacity = wanted;
    return true;
}

static bv_status define(bv_trace *t, bv_span span, const char *name, const char *kind, size_t *id) {
    BV_ASSERT(t->current == NO_SPAN);
    if (!grow(t)) return bv_fail_memory("a trace");
    span.name = bv_strdup(name);
    span.kind = bv_strdup(kind);
    *id = t->span_count;
    t->spans[t->span_count++] = span;
    return span.name && span.kind ? BV_OK : bv_fail_memory("a trace");
}

bv_status bv_trace_define_phase(bv_trace *t, const char *name, size_t *id) {
    return define(t, (bv_span){.layer = -1, .phase = true}, name, name, id);
}

/* "h.11.attn" -> "h.*.attn" */
static void without_numbers(const char *name, char *out) {
    while (*name) {
        const bool starts = isdigit((unsigned char)*name);
        if (starts) *out++ = '*';
        while (starts && isdigit((unsigned char)*name)) name++;
        while (*name && *name != '.') *out++ = *name++;
        if (*name) *out++ = *name++;
    }
    *out = 0;
}

static const char *parameter_of(const bv_tensor *step) {
    for (int i = 0; i < step->input_count; i++)
        if (step->inputs[i] && step->inputs[i]->parameter) return step->inputs[i]->parameter->name;
    return NULL;
}

bv_status bv_trace_define_step(bv_trace *t, const bv_tensor *step, size_t *id) {
    const char *parameter = parameter_of(step), *op = step->op->name;
    char name[NAME_MAX_BYTES], kind[NAME_MAX_BYTES], plain[NAME_MAX_BYTES / 2] = "";
    if (parameter && strlen(parameter) < sizeof plain) without_numbers(parameter, plain);
    if (parameter)
        snprintf(name, sizeof name, "%s %s", op, parameter);
    else if (step->layer >= 0)
        snprintf(name, sizeof name, "%s (layer %d)", op, step->layer);
    else
        snprintf(name, sizeof name, "%s", op);
    snprintf(kind, sizeof kind, "%s%s%s", op, *plain ? " " : "", plain);
    const bv_span span = {
        .layer = step->layer, .backward = step->backward, .file = step->file, .line = step->line};
    return define(t, span, name, kind, id);
}

bv_status bv_trace_define_group(bv_trace *t, bv_tensor *const *steps, size_t count, size_t *id) {
    char name[NAME_MAX_BYTES];
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof name; i++)
        used += (size_t)snprintf(name + used, sizeof name - used, "%s%s", i ? " + " : "",
                                 steps[i]->op->name);
    const bv_span span = {.layer = steps[0]->layer, .backward = steps[0]->backward, .group = true};
    return define(t, span, name, name, id);
}

/* ---- running ---- */

void bv_trace_enter(bv_trace *t, size_t id) {
    if (!t) return;
    BV_ASSERT(t->current == NO_SPAN && id < t->span_count);
    t->current = id;
    t->entered = bv_clock_ns();
}

/* Returns the wall time since the span was entered. */
static uint64_t leave(bv_trace *t) {
    const uint64_t now = bv_clock_ns();
    BV_ASSERT(t->current != NO_SPAN);
    note(t, 0, t->current, 0, t->entered, now);
    t->current = NO_SPAN;
    return now - t->entered;
}

void bv_trace_leave(bv_trace *t, bv_cost cost) {
    if (!t) return;
    const size_t id = t->current;
    t->spans[id].ns += leave(t);
    bv_trace_cost(t, id, cost);
}

void bv_trace_tile(bv_trace *t, int part, size_t id, uint64_t ns) {
    t->rows[part].tiles[id] += ns;
}

void bv_trace_leave_group(bv_trace *t, size_t first, size_t count) {
    const double wall = (double)leave(t);
    double all = 0;
    for (int i = 0; i < t->threads; i++)
        for (size_t k = first; k < first + count; k++) all += (double)t->rows[i].tiles[k];
    for (size_t k = first; k < first + count; k++) {
        double own = 0;
        for (int i = 0; i < t->threads; i++) {
            own += (double)t->rows[i].tiles[k];
            t->rows[i].tiles[k] = 0;
        }
        if (all > 0) t->spans[k].ns += (uint64_t)(wall * own / all);
    }
}

void bv_trace_cost(bv_trace *t, size_t id, bv_cost cost) {
    if (!t) return;
    bv_span *s = &t->spans[id];
    s->runs++;
    s->cost.products += cost.products;
    s->cost.flops += cost.flops;
    s->cost.bytes += cost.bytes;
}

void bv_trace_step_begin(bv_trace *t, uint64_t step) {
    if (!t) return;
    t->step = step;
    t->in_step = true;
    t->step_begin = bv_clock_ns();
}

void bv_trace_step_end(bv_trace *t) {
    if (!t || !t->in_step) return;
    t->in_step = false;
    if (t->rows[0].count < t->capacity) t->whole_steps++;
    note(t, 0, STEP_SPAN, t->step, t->step_begin, bv_clock_ns());
}

void bv_trace_reset(bv_trace *t) {
    for (int i = 0; i < t->threads; i++) t->rows[i].count = t->rows[i].dropped = 0;
    for (size_t i = 0; i < t->span_count; i++) {
        t->spans[i].ns = t->spans[i].runs = 0;
        t->spans[i].cost = (bv_cost){0};
    }
    t->whole_steps = 0;
}

const bv_span *bv_trace_spans(const bv_trace *t, size_t *count) {
    *count = t->span_count;
    return t->spans;
}

size_t bv_trace_dropped(const bv_trace *t, size_t *steps) {
    size_t dropped = 0;
    for (int i = 0; i < t->threads; i++) dropped += t->rows[i].dropped;
    *steps = t->whole_steps;
    return dropped;
}

/* ---- writing ---- */

/* Names are of ops and parameters; what JSON would need to have escaped becomes a blank. */
static void write_name(bv_buffer *out, const char *name) {
    bv_buffer_text(out, "\"name\":\"");
    for (; *name; name++) {
        const bool plain = *name != '"' && *name != '\\' && (unsigned char)*name >= ' ';
        bv_buffer_append(out, plain ? name : " ", 1);
    }
    bv_buffer_text(out, "\"");
}

static void write_event(const bv_trace *t, int part, const event *e, bv_buffer *out) {
    const bv_span *s = &t->spans[e->span];
    bv_buffer_text(out, ",\n{\"ph\":\"X\",\"pid\":1,");
    write_name(out, s->name);
    bv_buffer_printf(out, ",\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f", part,
                     1e-3 * (double)(e->begin - t->created), 1e-3 * (double)(e->end - e->begin));
    bv_buffer_printf(out, ",\"cat\":\"%s\"",
                     s->phase      ? "phase"
                     : s->backward ? "backward"
                                   : "forward");
    if (e->span == STEP_SPAN)
        bv_buffer_printf(out, ",\"args\":{\"step\":%u}", (unsigned)e->number);
    else if (s->file)
        bv_buffer_printf(out, ",\"args\":{\"layer\":%d,\"line\":%d}", s->layer, s->line);
    bv_buffer_text(out, "}");
}

static bv_status write_rows(const bv_trace *t, bv_writer *file) {
    bv_buffer text = {0};
    bv_error *error = NULL;
    bv_buffer_text(&text, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
                          "{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\","
                          "\"args\":{\"name\":\"beaver\"}}");
    for (int i = 0; !error && i < t->threads; i++) {
        bv_buffer_printf(&text,
                         ",\n{\"ph\":\"M\",\"pid\":1,\"tid\":%d,\"name\":\"thread_name\","
                         "\"args\":{\"name\":\"thread %d%s\"}}",
                         i, i, i ? "" : " (caller)");
        for (size_t k = 0; !error && k < t->rows[i].count; k++) {
            write_event(t, i, &t->rows[i].events[k], &text);
            error = bv_buffer_error(&text);
            if (!error) error = bv_writer_write(file, text.data, text.size);
            bv_buffer_clear(&text);
        }
    }
    bv_buffer_text(&text, "\n]}\n");
    if (!error) error = bv_buffer_error(&text);
    if (!error) error = bv_writer_write(file, text.data, text.size);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_trace_write(const bv_trace *t, const char *path) {
    bv_writer *file;
    BV_TRY(bv_writer_open(path, &file));
    bv_error *error = write_rows(t, file);
    if (error)
        bv_writer_abort(&file);
    else
        error = bv_writer_commit(&file);
    return bv_while(error, "writing the trace %s", path);
}

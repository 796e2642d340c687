#include "nn/gradients.h"

#include "tensor/op.h"
#include <math.h>
#include <string.h>

/* One copy of every parameter's gradient. */
typedef struct level {
    char *data;
    bool full; /* holds the sum of 2^index grains */
} level;

/* What is to be known of a parameter. */
typedef struct member {
    size_t rows, cols, uses;
    size_t holder; /* the use that gets what the others have */
    size_t offset; /* bytes, in a level */
} member;

struct bv_gradients {
    const bv_kernels *kernels;
    bv_pool *pool;
    size_t count;
    member *members;               /* by parameter */
    bv_accumulator **accumulators; /* what the running grain writes: by parameter, by use */
    bv_accumulator *all;           /* of all parameters */
    char *running;                 /* their memory */
    size_t level_bytes, accumulator_bytes;
    level *levels; /* sums of finished grains; none when there is one grain */
    size_t level_count;
    size_t finished;
    size_t moved;        /* bytes */
    double *sums;        /* of the squares of each chunk, parameter after parameter */
    double *square_sums; /* by parameter */
};

static size_t real_bytes(const bv_kernels *kernels, size_t elements) {
    return bv_align64(elements * bv_dtype_size(kernels->real));
}

static size_t uses_of(const bv_parameter *p) {
    return p->uses ? p->uses : 1;
}

/* The first use that reads all rows; where none does, the first one. */
static size_t holder_of(const bv_parameter *p) {
    for (size_t use = 0; use < p->uses; use++)
        if (!(p->rows_uses >> use & 1)) return use;
    return 0;
}

/* Rows of one use's accumulator. */
static size_t rows_of(const bv_parameter *p, size_t use, size_t grain_rows) {
    const bool named = p->rows_uses >> use & 1 && use != holder_of(p);
    return named && grain_rows < p->rows ? grain_rows : p->rows;
}

static size_t use_bytes(const bv_kernels *kernels, const bv_parameter *p, size_t use,
                        size_t grain_rows) {
    const size_t rows = rows_of(p, use, grain_rows);
    return real_bytes(kernels, rows * p->cols) +
           (rows < p->rows ? bv_align64(p->rows * sizeof(uint32_t)) : 0);
}

/* Levels of the tree over grains. */
static size_t levels_of(size_t grains_max) {
    size_t levels = 0;
    for (size_t n = grains_max; n > 1; n = (n + 1) / 2) levels++;
    return levels;
}

size_t bv_gradients_need(const bv_kernels *kernels, const bv_graph *graph, size_t grains_max,
                         size_t grain_rows) {
    size_t bytes = 0;
    for (size_t i = 0; i < graph->parameter_count; i++) {
        const bv_parameter *p = graph->parameters[i];
        bytes += levels_of(grains_max) * real_bytes(kernels, bv_parameter_elements(p));
        for (size_t use = 0; use < uses_of(p); use++)
            bytes += use_bytes(kernels, p, use, grain_rows);
    }
    return bytes;
}

static size_t elements_of(const bv_gradients *g, size_t i) {
    return g->members[i].rows * g->members[i].cols;
}

static size_t chunks_of(const bv_gradients *g, size_t i) {
    return (elements_of(g, i) + BV_SUM_CHUNK - 1) / BV_SUM_CHUNK;
}

static size_t bytes_of(const bv_gradients *g, size_t i) {
    return elements_of(g, i) * bv_dtype_size(g->kernels->real);
}

static void locate_accumulators(bv_gradients *g, const bv_graph *graph, size_t grain_rows) {
    bv_accumulator *a = g->all;
    char *data = g->running;
    for (size_t i = 0; i < g->count; i++) {
        const bv_parameter *p = graph->parameters[i];
        g->accumulators[i] = a;
        for (size_t use = 0; use < g->members[i].uses; use++, a++) {
            const size_t rows = rows_of(p, use, grain_rows);
            *a = (bv_accumulator){.data = data, .rows_most = rows};
            if (rows < p->rows)
                a->places = (uint32_t *)(data + real_bytes(g->kernels, rows * p->cols));
            data += use_bytes(g->kernels, p, use, grain_rows);
        }
    }
}

static bv_status allocate(bv_gradients *g, const bv_graph *graph, size_t grains_max,
                          size_t grain_rows) {
    g->members = bv_calloc(g->count, sizeof *g->members);
    g->accumulators = bv_calloc(g->count, sizeof *g->accumulators);
    g->square_sums = bv_calloc(g->count, sizeof *g->square_sums);
    if (!g->members || !g->accumulators || !g->square_sums) return bv_fail_memory("gradients");
    size_t chunks = 0, uses = 0;
    for (size_t i = 0; i < g->count; i++) {
        const bv_parameter *p = graph->parameters[i];
        g->members[i] = (member){.rows = p->rows,
                                 .cols = p->cols,
                                 .uses = uses_of(p),
                                 .holder = holder_of(p),
                                 .offset = g->level_bytes};
        g->level_bytes += real_bytes(g->kernels, elements_of(g, i));
        for (size_t use = 0; use < g->members[i].uses; use++)
            g->accumulator_bytes += use_bytes(g->kernels, p, use, grain_rows);
        chunks += chunks_of(g, i);
        uses += g->members[i].uses;
    }
    g->level_count = levels_of(grains_max);
    g->levels = bv_calloc(g->level_count + 1, sizeof *g->levels);
    g->sums = bv_calloc(chunks, sizeof *g->sums);
    g->all = bv_calloc(uses, sizeof *g->all);
    g->running = bv_malloc_aligned(g->accumulator_bytes);
    if (!g->levels || !g->sums || !g->all || !g->running) return bv_fail_memory("gradients");
    for (size_t k = 0; k < g->level_count; k++)
        if (!(g->levels[k].data = bv_malloc_aligned(g->level_bytes)))
            return bv_try(bv_fail_memory("gradients of grains"), "fewer --set grains=N");
    locate_accumulators(g, graph, grain_rows);
    return BV_OK;
}

bv_status bv_gradients_create(const bv_kernels *kernels, bv_pool *pool, const bv_graph *graph,
                              size_t grains_max, size_t grain_rows, bv_gradients **out) {
    *out = NULL;
    bv_gradients *g = bv_calloc(1, sizeof *g);
    if (!g) return bv_fail_memory("gradients");
    g->kernels = kernels;
    g->pool = pool;
    g->count = graph->parameter_count;
    bv_error *error = allocate(g, graph, grains_max, grain_rows);
    if (error) bv_gradients_destroy(&g);
    *out = g;
    return error;
}

void bv_gradients_destroy(bv_gradients **gradients) {
    bv_gradients *g = *gradients;
    if (!g) return;
    for (size_t k = 0; g->levels && k < g->level_count; k++) bv_free_aligned(g->levels[k].data);
    bv_free(g->levels);
    bv_free(g->members);
    bv_free(g->accumulators);
    bv_free(g->all);
    bv_free(g->sums);
    bv_free(g->square_sums);
    bv_free_aligned(g->running);
    bv_free(g);
    *gradients = NULL;
}

typedef struct span_task {
    const bv_gradients *gradients;
    char *to;
    const char *from;
} span_task;

static void span_part(void *context, size_t begin, size_t end) {
    const span_task *task = context;
    const bv_gradients *g = task->gradients;
    const bv_dtype real = g->kernels->real;
    const bv_add_args args = {.a = task->to,
                              .b = task->from,
                              .y = task->to,
                              .a_type = real,
                              .b_type = real,
                              .y_type = real,
                              .scale = 1};
    g->kernels->elementwise->add(&args, begin / bv_dtype_size(real), end / bv_dtype_size(real));
}

static void clear(bv_gradients *g, size_t i, size_t use) {
    g->moved += bytes_of(g, i);
    bv_accumulator_clear(&g->accumulators[i][use], g->pool, bytes_of(g, i));
}

/* to += from */
static void add(bv_gradients *g, char *to, const char *from, size_t bytes) {
    span_task task = {g, to, from};
    g->moved += 3 * bytes;
    bv_pool_run_ranges(g->pool, bytes, 64, span_part, &task);
}

void bv_gradients_begin(bv_gradients *g) {
    g->finished = 0;
    for (size_t k = 0; k < g->level_count; k++) g->levels[k].full = false;
}

static void begin_accumulator(bv_gradients *g, size_t i, size_t use) {
    bv_accumulator *a = &g->accumulators[i][use];
    a->begun = false;
    a->rows = 0;
    if (a->places) memset(a->places, 0, g->members[i].rows * sizeof *a->places);
}

void bv_gradients_begin_grain(bv_gradients *g) {
    for (size_t i = 0; i < g->count; i++)
        for (size_t use = 0; use < g->members[i].uses; use++) begin_accumulator(g, i, use);
}

bv_accumulator *const *bv_gradients_accumulators(bv_gradients *g) {
    return g->accumulators;
}

/* Zeros where nobody had anything to add. */
static void complete(bv_gradients *g) {
    for (size_t i = 0; i < g->count; i++)
        for (size_t use = 0; use < g->members[i].uses; use++)
            if (!g->accumulators[i][use].begun && !g->accumulators[i][use].places) clear(g, i, use);
}

typedef struct rows_task {
    const bv_gradients *gradients;
    const bv_accumulator *from;
    char *to;
    size_t row_bytes;
} rows_task;

/* Rows of the table that have a place += what is there. */
static void rows_part(void *context, size_t begin, size_t end) {
    const rows_task *task = context;
    const bv_accumulator *from = task->from;
    for (size_t row = begin; row < end; row++) {
        if (!from->places[row]) continue;
        const size_t place = from->places[row] - 1;
        span_task span = {task->gradients, task->to + row * task->row_bytes,
                          (const char *)from->data + place * task->row_bytes};
        span_part(&span, 0, task->row_bytes);
    }
}

static void add_rows(bv_gradients *g, size_t i, const bv_accumulator *from) {
    const size_t row_bytes = g->members[i].cols * bv_dtype_size(g->kernels->real);
    rows_task task = {g, from, bv_gradients_values(g, i), row_bytes};
    g->moved += 3 * from->rows * row_bytes;
    bv_pool_run_ranges(g->pool, g->members[i].rows, 64, rows_part, &task);
}

/* Adds the uses of shared parameters to the one that holds the sum. */
static void add_uses(bv_gradients *g) {
    for (size_t i = 0; i < g->count; i++)
        for (size_t use = 0; use < g->members[i].uses; use++) {
            const bv_accumulator *a = &g->accumulators[i][use];
            if (use == g->members[i].holder) continue;
            if (a->places)
                add_rows(g, i, a);
            else
                add(g, bv_gradients_values(g, i), a->data, bytes_of(g, i));
        }
}

/* The accumulators of the holders += a level. Its grains are the earlier ones and come first in
 * every addition: level + accumulator, and IEEE sums commute. */
static void add_level(bv_gradients *g, const level *from) {
    for (size_t i = 0; i < g->count; i++)
        add(g, bv_gradients_values(g, i), from->data + g->members[i].offset, bytes_of(g, i));
}

static void keep_in_level(bv_gradients *g, level *to) {
    for (size_t i = 0; i < g->count; i++) {
        memcpy(to->data + g->members[i].offset, bv_gradients_values(g, i), bytes_of(g, i));
        g->moved += 2 * bytes_of(g, i);
    }
    to->full = true;
}

/* A binary counter: two sums of 2^k grains make one of 2^(k+1). */
void bv_gradients_end_grain(bv_gradients *g) {
    complete(g);
    add_uses(g);
    g->finished++;
    if (g->level_count == 0) return;
    size_t k = 0;
    for (; k < g->level_count && g->levels[k].full; k++) {
        add_level(g, &g->levels[k]);
        g->levels[k].full = false;
    }
    if (k == g->level_count) return; /* the sum of all grains: stays where it is */
    keep_in_level(g, &g->levels[k]);
}

void bv_gradients_end(bv_gradients *g) {
    bool holds = g->finished == (size_t)1 << g->level_count; /* the accumulators hold all */
    for (size_t k = 0; !holds && k < g->level_count; k++) {
        if (!g->levels[k].full) continue;
        /* The smallest sum starts; larger, earlier ones are added to it in rising order. */
        bool first = true;
        for (size_t below = 0; below < k; below++) first = first && !g->levels[below].full;
        for (size_t i = 0; first && i < g->count; i++) clear(g, i, g->members[i].holder);
        add_level(g, &g->levels[k]);
    }
}

void *bv_gradients_values(bv_gradients *g, size_t index) {
    return g->accumulators[index][g->members[index].holder].data;
}

static void sum_part(void *context, int part, int parts) {
    const bv_gradients *g = context;
    double *sums = g->sums;
    for (size_t i = 0; i < g->count; sums += chunks_of(g, i++)) {
        size_t begin, end;
        bv_pool_range(chunks_of(g, i), 1, part, parts, &begin, &end);
        g->kernels->optimizer->square_sums(g->accumulators[i][g->members[i].holder].data,
                                           elements_of(g, i), sums, begin, end);
    }
}

double bv_gradients_norm(bv_gradients *g) {
    double *sums = g->sums, total = 0;
    bv_pool_run(g->pool, sum_part, g);
    for (size_t i = 0; i < g->count; sums += chunks_of(g, i++)) {
        g->square_sums[i] = bv_tree_sum(sums, chunks_of(g, i));
        total += g->square_sums[i];
    }
    return sqrt(total);
}

double bv_gradients_square_sum(const bv_gradients *g, size_t index) {
    return g->square_sums[index];
}

size_t bv_gradients_moved(bv_gradients *g) {
    const size_t moved = g->moved;
    g->moved = 0;
    return moved;
}

size_t bv_gradients_bytes(const bv_gradients *g) {
    return g->accumulator_bytes + g->level_count * g->level_bytes;
}

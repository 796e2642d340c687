/* What the store says of the submissions of a load: that none was lost, and the cost by stage. */
#include "cli/load.h"

#include "base/memory.h"
#include "cli/cli.h"
#include "store/store.h"

#include <stdlib.h>

typedef enum stage { WAITED, COMPILE, RUN, CHECK, RECORD, HAND_IN, TOLD, STAGES } stage;

static const char *const names[STAGES] = {"waiting",   "compiling",  "running", "checking",
                                          "recording", "handing in", "telling"};
static const char *const keys[STAGES] = {"waiting_ms", "compile_ms", "run_ms", "check_ms",
                                         "record_ms",  "hand_in_ms", "tell_ms"};

/* Sums over submissions, in milliseconds. */
typedef struct costs {
    bv_load_result *results; /* by id */
    size_t count;
    size_t judged, again;
    size_t followed; /* whose user waited: what HAND_IN and TOLD are of */
    double sums[STAGES];
    int64_t runs;
} costs;

static int compare(const void *a, const void *b) {
    const int64_t x = ((const bv_load_result *)a)->id, y = ((const bv_load_result *)b)->id;
    return (x > y) - (x < y);
}

/* One verdict. What is left of its time between handing in and recording is the store's and the
 * judge's own; what the user waited beyond is the answer to the submission and the feed. */
static bv_status take(void *context, const bv_row *row) {
    costs *c = context;
    const bv_load_result wanted = {.id = bv_row_int(row, 0)};
    const bv_load_result *r = bsearch(&wanted, c->results, c->count, sizeof wanted, compare);
    if (!r) return BV_OK; /* somebody else's */
    const double in_arena = (double)bv_row_int(row, 2);
    double judging = 0;
    for (int i = WAITED; i <= CHECK; i++) {
        const double ms = (double)bv_row_int(row, 3 + i) / 1000;
        c->sums[i] += ms;
        judging += ms;
    }
    c->judged++;
    c->again += bv_row_int(row, 1) > 1;
    c->runs += bv_row_int(row, 7);
    c->sums[RECORD] += in_arena - judging;
    if (r->total > 0) {
        c->followed++;
        c->sums[HAND_IN] += r->hand_in * 1e3;
        c->sums[TOLD] += (r->total - r->hand_in) * 1e3 - in_arena;
    }
    return BV_OK;
}

static bv_status read_verdicts(costs *c, bv_store *store) {
    return bv_store_query(
        store,
        "SELECT s.id, s.fence, v.judged_ms - s.created_ms, v.waited_us, v.compile_us, v.run_us, "
        "v.check_us, v.runs FROM arena_submissions s JOIN arena_verdicts v ON "
        "v.submission_id = s.id WHERE s.id >= $1 AND s.id <= $2 AND s.state = 2",
        BV_VALUES(bv_int(c->results[0].id), bv_int(c->results[c->count - 1].id)), take, c);
}

static double mean(const costs *c, int stage) {
    const size_t count = stage == HAND_IN || stage == TOLD ? c->followed : c->judged;
    return count ? c->sums[stage] / (double)count : 0;
}

static void say(const costs *c) {
    bv_cli_say("  stage        mean of a submission\n");
    for (int i = 0; i < STAGES; i++) bv_cli_say("  %-11s %8.1f ms\n", names[i], mean(c, i));
    bv_cli_say("  %.1f boxes ran each, %.1f ms a box; %zu were judged again\n",
               (double)c->runs / (double)c->judged, c->runs ? c->sums[RUN] / (double)c->runs : 0.0,
               c->again);
}

static json_t *to_json(const costs *c) {
    json_t *o = json_pack("{sI sI sI}", "judged", (json_int_t)c->judged, "judged_again",
                          (json_int_t)c->again, "runs", (json_int_t)c->runs);
    for (int i = 0; i < STAGES; i++) json_object_set_new(o, keys[i], json_real(mean(c, i)));
    return o;
}

static bv_status measure(costs *c, bv_store *store) {
    BV_TRY(read_verdicts(c, store));
    if (c->judged != c->count)
        return bv_fail(BV_CODE_FAULT, "%zu of %zu submissions have no verdict in the store",
                       c->count - c->judged, c->count);
    say(c);
    return BV_OK;
}

bv_status bv_load_cost(const bv_load *l, json_t **out) {
    costs c = {0};
    *out = NULL;
    if (!l->store) return BV_OK;
    const size_t all = l->submissions + l->flood_max;
    c.results = bv_calloc(all + 1, sizeof *c.results);
    bv_error *error = c.results ? BV_OK : bv_fail_memory("results");
    for (size_t i = 0; !error && i < all; i++)
        if (l->results[i].program) c.results[c.count++] = l->results[i];
    if (!error) qsort(c.results, c.count, sizeof *c.results, compare);
    if (!error && c.count) error = measure(&c, l->store);
    if (!error && c.judged) *out = to_json(&c);
    bv_free(c.results);
    return error;
}

/*
 * The parts of beaver arena load: what is submitted (load_programs.c), the users (arena_load.c),
 * and what the store says of them afterwards (load_cost.c).
 */
#ifndef BV_CLI_LOAD_H
#define BV_CLI_LOAD_H

#include "arena/level_set.h"
#include "cli/flags.h"
#include "http/client.h"
#include <pthread.h>
#include <stdatomic.h>

/* ---- what is submitted ---- */

typedef enum bv_load_kind {
    BV_LOAD_RIGHT = 0,
    BV_LOAD_WRONG,
    BV_LOAD_ATTACK,
    BV_LOAD_KINDS,
} bv_load_kind;

typedef struct bv_load_program {
    bv_load_kind kind;
    char name[160];
    const char *level, *language;
    const char *source;
    size_t size;
} bv_load_program;

/* One submission: times in seconds. */
typedef struct bv_load_result {
    const bv_load_program *program; /* NULL: not done */
    int64_t id;
    double hand_in; /* until it was acknowledged */
    double total;   /* until the verdict was told */
} bv_load_result;

typedef struct bv_load bv_load;
typedef bv_status bv_load_work(bv_load *l, bv_http_client *client);

struct bv_load {
    const bv_flags *flags;
    bv_level_set set;
    bv_load_program *programs;
    size_t count, attack_first; /* attacks come last */
    bv_buffer *attacks;         /* their sources */
    size_t attack_count;
    char (*keys)[96];
    bv_load_result *results;
    size_t submissions; /* that are measured */
    _Atomic size_t next_user, next, next_client, done, retries, unexpected, flooded;
    pthread_mutex_t lock;
    bv_load_work *work; /* what all clients do at present */
    _Atomic bool failed, enough;
    bv_error *error; /* the first, under the lock */
};

/* ---- load_programs.c ---- */

/* The levels' solutions, and attacks if wished; l->set is loaded. */
bv_status bv_load_programs_gather(bv_load *l);
void bv_load_programs_free(bv_load *l);
/* What the index-th submission is: a function of the seed. */
const bv_load_program *bv_load_choose(const bv_load *l, size_t index);
/* Its source; with --distinct a comment makes it differ from all others. */
bv_status bv_load_source(const bv_load *l, const bv_load_program *p, size_t index, bv_buffer *out);

/* ---- load_cost.c ---- */

/* With --store: whether each submission has its verdict there, and the cost by stage. *out is a new
 * reference, or NULL without --store. What was lost is an error. */
bv_status bv_load_cost(const bv_load *l, json_t **out);

#endif

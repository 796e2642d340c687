/*
 * The parts of beaver arena load: what is submitted (load_programs.c, load_attacks.c), what a user
 * does over HTTP (load_client.c), many of them (arena_load.c), and what the store says of it
 * afterwards (load_cost.c).
 */
#ifndef BV_CLI_LOAD_H
#define BV_CLI_LOAD_H

#include "arena/canaries.h"
#include "arena/level_set.h"
#include "cli/flags.h"
#include "http/client.h"
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
    char expected[128]; /* of an attack: the verdicts that are right, words */
} bv_load_program;

/* One submission: times in seconds. */
typedef struct bv_load_result {
    const bv_load_program *program; /* NULL: not done */
    size_t user;
    int64_t id;
    double hand_in; /* until it was acknowledged */
    double total;   /* until the verdict was told */
} bv_load_result;

typedef struct bv_load bv_load;
typedef bv_status bv_load_work(bv_load *l, bv_http_client *client);

struct bv_load {
    const bv_flags *flags;
    bv_level_set set;
    bv_store *store; /* --store; NULL: none */
    bv_load_program *programs;
    size_t count, attack_first; /* attacks come last, in the order in which they are handed in */
    bv_buffer *attacks;         /* their sources */
    size_t attack_count, left_out;
    bv_canaries canaries; /* set with attacks only */
    char (*keys)[96];
    bv_load_result *results; /* of the submissions that are measured, then of the flood */
    size_t submissions, flood_max;
    _Atomic size_t next_user, next, next_client, next_flood, done, retries, unexpected, flooded,
        breaches;
    double cpu_before, cpu_of_user; /* CPU seconds of the load itself, after and of signing up */
    bv_load_work *work;             /* what all clients do at present */
    _Atomic bool failed, enough;
};

/* ---- load_programs.c ---- */

/* The levels' solutions, and attacks if wished; l->set is loaded. */
bv_status bv_load_programs_gather(bv_load *l);
void bv_load_programs_free(bv_load *l);
/* What the index-th submission is: a function of the seed. Each attack comes once before one comes
 * again. */
const bv_load_program *bv_load_choose(const bv_load *l, size_t index);
const bv_load_program *bv_load_choose_solution(const bv_load *l, size_t index);
/* Its source; with --distinct a comment makes it differ from all others. */
bv_status bv_load_source(const bv_load *l, const bv_load_program *p, size_t index, bv_buffer *out);

/* ---- load_attacks.c ---- */

/* Sets canaries, and adds the attacks of a corpus (arena/attack_notes.h) that the first level takes
 * and under whose limits their verdicts hold. */
bv_status bv_load_attacks_add(bv_load *l, const char *folder);
/* What the attacks did; a canary that was touched is an error. */
bv_status bv_load_attacks_report(const bv_load *l, json_t **out);

/* ---- load_client.c ---- */

bv_status bv_load_sign_up(bv_load *l, bv_http_client *client, size_t user);
/* Hands in; while the arena says to wait (429, 503), waits, or gives up when it is enough: then
 * r->id is 0. Fills id and hand_in of r, whose program and user are set. */
bv_status bv_load_hand_in(bv_load *l, bv_http_client *client, size_t index, bv_load_result *r);
/* Waits for its verdict, and compares it with what the program deserves. */
bv_status bv_load_await(bv_load *l, bv_http_client *client, const bv_load_result *r);

/* ---- load_cost.c ---- */

/* With --store: whether each submission has its verdict there, and the cost by stage. *out is a new
 * reference, or NULL without --store. What was lost is an error. */
bv_status bv_load_cost(const bv_load *l, json_t **out);

#endif

/*
 * The levels of a folder, as a site shows them and judges judge by them. Immutable after loading:
 * any thread may read. Two hosts with equal folders judge equally.
 */
#ifndef BV_ARENA_LEVEL_SET_H
#define BV_ARENA_LEVEL_SET_H

#include "arena/judge_level.h"
#include "arena/judges.h"
#include "arena/level_tests.h"
#include "arena/site.h"

typedef struct bv_level_set {
    bv_level **levels;          /* by the folders' names */
    size_t count, recalled;     /* of recalled ones the tests were known before */
    bv_site_level *site_levels; /* what a site shows of them, in the same order */
    bv_buffer names;            /* as bv_queue_take wants them: ",echo,sum," */
    bv_judge_tools tools;       /* the pool is borrowed; NULL: not to judge with */
} bv_level_set;

/* With a maker, hidden tests are made, so that submissions can be judged; with NULL it runs
 * nothing. *out must be {0}; free it whatever is returned. */
bv_status bv_level_set_load(const char *folder, const bv_level_maker *maker, bv_level_set *out);
void bv_level_set_free(bv_level_set *set);

/* The bv_judge_call of judges: `context` is a set that was loaded with a maker. */
bv_status bv_level_set_judge(void *context, const bv_lease *lease, bv_judged *out);

#endif

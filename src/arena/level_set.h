/*
 * The levels of a folder, as a site shows them and judges judge by them. Immutable when loaded and
 * completed: any thread may read then. Two hosts with equal folders judge equally.
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

/* Reads all of them and runs nothing. *out must be {0}; free it whatever is returned. */
bv_status bv_level_set_load(const char *folder, bv_level_set *out);
/* Makes their hidden tests, so that submissions can be judged, and answers of visible ones, which
 * site_levels show then. Once; the maker's pool must outlive the set. */
bv_status bv_level_set_complete(bv_level_set *set, const bv_level_maker *maker);
void bv_level_set_free(bv_level_set *set);

/* The bv_judge_call of judges: `context` is a set that was completed. */
bv_status bv_level_set_judge(void *context, const bv_lease *lease, bv_judged *out);

#endif

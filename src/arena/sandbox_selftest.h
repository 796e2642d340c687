/*
 * Selftest: which walls hold on this machine, each tried for real in a child of its own, graded by
 * what a policy needs, with the remedy for what is missing.
 */
#ifndef BV_ARENA_SANDBOX_SELFTEST_H
#define BV_ARENA_SANDBOX_SELFTEST_H

#include "arena/sandbox.h"

typedef enum bv_wall_grade {
    BV_WALL_HOLDS = 0,
    BV_WALL_WEAKER,  /* missing or old; another wall or the supervisor stands in for it */
    BV_WALL_MISSING, /* and without it a policy is refused                              */
} bv_wall_grade;
const char *bv_wall_grade_name(bv_wall_grade grade); /* "holds", "weaker", "missing" */

typedef struct bv_wall {
    const char *name;
    bool full, nested; /* needed by these policies */
    bv_wall_grade grade;
    char found[120];
    const char *remedy; /* NULL when it holds */
} bv_wall;

#define BV_WALLS_MAX 24
typedef struct bv_selftest {
    bv_wall walls[BV_WALLS_MAX];
    size_t count;
    bool full, nested; /* can be used here */
} bv_selftest;

/* Some milliseconds. Thread-safe. */
void bv_selftest_run(bv_selftest *report);
/* The first missing wall of a policy as an error with its remedy. Remembered for this process. */
bv_status bv_selftest_require(bv_sandbox_policy policy);

#endif

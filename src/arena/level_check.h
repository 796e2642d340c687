/*
 * Checks a level before anybody sees it: every reference solution must get all points, no wrong
 * solution may. What is not so is a complaint; errors are the judge's or the author's programs'.
 */
#ifndef BV_ARENA_LEVEL_CHECK_H
#define BV_ARENA_LEVEL_CHECK_H

#include "arena/judge_level.h"

typedef struct bv_level_check_row {
    const bv_level_program *solution; /* borrowed from the level */
    bool reference;
    bool good; /* a reference is accepted, a wrong solution runs and is not */
    bv_level_verdict verdict;
    const bv_level_test *test; /* that decided; NULL: none (accepted, not compiled) */
    char message[400];
    int64_t score;
    uint64_t cpu_ns_max; /* of one test */
} bv_level_check_row;

typedef struct bv_level_check {
    bv_level_check_row *rows; /* references, then wrong solutions */
    size_t count;
    bool good;
    bool tight; /* a reference used more than half of the allowed CPU time */
    /* What the author may have wanted, and rather did not: */
    bool same_answers; /* of all tests: a program that only writes it passes */
    bool closed;       /* the deadline has passed */
    size_t repeated;   /* hidden tests with the input of one before */
} bv_level_check;

/* The rows that are to be judged, of a level that is complete. Free *out whatever is returned. */
bv_status bv_level_check_begin(const bv_level *level, bv_level_check *out);
/* Judges one row; each is one thread's. */
bv_status bv_level_check_judge(bv_sandbox_pool *pool, const bv_level *level,
                               bv_level_check_row *row);
/* When all rows are judged. */
void bv_level_check_end(const bv_level *level, bv_level_check *check);
void bv_level_check_free(bv_level_check *check);

#endif

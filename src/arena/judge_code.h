/*
 * Judges one completion of a programming problem, in one of two ways.
 *
 * Apart (the default): the candidate's box holds the solution and a loop that answers calls
 * (boxed/candidate.py); the checker's box holds the tests (boxed/checker.py). Two pipes between
 * them carry calls and answers as bounded plain values (docs/levels.md). The tests never enter the
 * candidate's process, nor do expected results: a candidate can answer, and nothing else counts. A
 * call without an answer is a failure.
 *
 * In process: solution and tests in one program, as human-eval does it. For parity only: such a
 * program can pass its tests by changing them, so a result is marked forgeable and
 * bv_code_result_reward refuses it.
 *
 * Whose fault: an error is the judge's, and says nothing about the completion. Thread-safe.
 */
#ifndef BV_ARENA_JUDGE_CODE_H
#define BV_ARENA_JUDGE_CODE_H

#include "arena/problem_set.h"
#include "arena/sandbox.h"
#include <stdbool.h>

typedef enum bv_code_way { BV_CODE_APART = 0, BV_CODE_IN_PROCESS } bv_code_way;

typedef struct bv_code_options {
    bv_code_way way;
    uint64_t cpu_ns; /* of the candidate; wall time is four times that */
    uint64_t memory_bytes;
} bv_code_options;
void bv_code_options_default(bv_code_options *options);

typedef enum bv_code_verdict {
    BV_CODE_PASSED = 0,
    BV_CODE_FAILED,    /* a wrong answer, an exception, no answer       */
    BV_CODE_LIMIT,     /* a limit or a forbidden call: see `message`    */
    BV_CODE_SET_FAULT, /* the problem's own tests cannot be run this way */
    BV_CODE_VERDICT_COUNT,
} bv_code_verdict;
const char *bv_code_verdict_name(bv_code_verdict verdict); /* "passed", "failed", ... */
bool bv_code_verdict_parse(const char *name, bv_code_verdict *out);

typedef struct bv_code_result {
    bv_code_verdict verdict;
    bool forgeable;    /* judged in process */
    uint64_t cpu_ns;   /* of all boxes */
    char message[240]; /* UTF-8 */
} bv_code_result;

bv_status bv_judge_code(bv_sandbox_pool *pool, const bv_problem *problem, const char *completion,
                        size_t size, const bv_code_options *options, bv_code_result *out);

/* 1 for passed, else 0; BV_CODE_USAGE for a forgeable result. */
bv_status bv_code_result_reward(const bv_code_result *result, double *out);

/* A key for caches: equal only when problem, completion, options, the pool's policy, this machine's
 * Python and the judge itself are. */
bv_status bv_code_key(const bv_sandbox_pool *pool, const bv_problem *problem,
                      const char *completion, size_t size, const bv_code_options *options,
                      char key[BV_SHA256_TEXT_SIZE]);

#endif

/*
 * Judges one submission by a level: refuses what is no source, compiles it in a box, runs it in a
 * box of its own for each test, and compares what it wrote outside of that box. The program gets a
 * test's input on standard input and nothing else: no test, answer, checker or reference is ever
 * placed in its box.
 *
 * Whose fault: an error (bv_status) is the judge's or the level's, and says nothing about the
 * submission: judge it again. A judgement is final. Thread-safe: the level is only read.
 */
#ifndef BV_ARENA_JUDGE_LEVEL_H
#define BV_ARENA_JUDGE_LEVEL_H

#include "arena/level.h"
#include "arena/program_cache.h"
#include "arena/sandbox.h"
#include "base/json.h"

typedef enum bv_level_verdict {
    BV_LEVEL_ACCEPTED = 0,
    BV_LEVEL_WRONG_ANSWER,
    BV_LEVEL_FAILED, /* from here on as bv_sandbox_verdict: what the program did */
    BV_LEVEL_TIME,
    BV_LEVEL_WALL,
    BV_LEVEL_MEMORY,
    BV_LEVEL_PIDS,
    BV_LEVEL_OUTPUT,
    BV_LEVEL_DISK,
    BV_LEVEL_FORBIDDEN_CALL,
    BV_LEVEL_NOT_COMPILED,
    BV_LEVEL_REFUSED, /* nothing that could be judged: language, size, encoding */
    BV_LEVEL_VERDICT_COUNT,
} bv_level_verdict;

/* "accepted", "wrong-answer", "failed", ..., "not-compiled", "refused". */
const char *bv_level_verdict_name(bv_level_verdict verdict);

typedef struct bv_level_test_result {
    const bv_level_test *test; /* borrowed from the level */
    bv_level_verdict verdict;
    uint64_t cpu_ns, wall_ns, peak_memory_bytes;
    char message[400]; /* UTF-8; for hidden tests for the author's eyes only */
} bv_level_test_result;

typedef struct bv_level_judgement {
    bv_level_verdict verdict;      /* of the first test that failed, or accepted */
    int64_t score;                 /* 0 .. level->points */
    size_t passed;                 /* of the hidden tests */
    bv_level_test_result *results; /* of the tests that ran, in the level's order */
    size_t result_count;
    bv_buffer message; /* what the submitter may read: why it was refused, the compiler's log */
    uint64_t cpu_ns;   /* of all boxes, those of compiler and checker included */
    uint64_t compile_wall_ns, run_wall_ns, check_wall_ns; /* as the judge's clock says */
    size_t run_count;                                     /* boxes of run_wall_ns */
} bv_level_judgement;

/* What judging takes: borrowed. */
typedef struct bv_judge_tools {
    bv_sandbox_pool *pool;
    bv_program_cache *programs; /* NULL: everything is compiled */
} bv_judge_tools;

/* *out must be {0}; free it whatever is returned. */
bv_status bv_judge_level(const bv_judge_tools *tools, const bv_level *level, const char *language,
                         const void *source, size_t size, bv_level_judgement *out);
void bv_level_judgement_free(bv_level_judgement *judgement); /* {0} is legal; leaves {0} */

/* What the level's checker, a program, says of an output: *out gets verdict and message, where it
 * is wrong; *cpu_ns grows. An error, also where the checker fails: no verdict. */
bv_status bv_judge_by_checker(bv_sandbox_pool *pool, const bv_level *level,
                              const bv_level_test *test, const bv_buffer *output,
                              bv_level_test_result *out, uint64_t *cpu_ns);

/* What the submitter may see, as JSON: verdict, score, points, passed, total, message, tests. Of a
 * hidden test only its number and verdict: a time, an exit code or an error text of one would be a
 * channel by which a program could tell its input. NULL without memory. */
json_t *bv_level_judgement_json(const bv_level *level, const bv_level_judgement *judgement);

#endif

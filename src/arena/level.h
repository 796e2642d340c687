/*
 * A level: a task with hidden tests, as a folder (docs/levels.md):
 *
 *     level.json     title, points, languages, limits, deadline, tests, generator, checker
 *     statement.md   what is asked
 *     tests/visible/ NAME.in and NAME.out: shown with the statement
 *     tests/hidden/  the same, never shown; more are made by the generator
 *     reference/     solutions that must pass
 *     wrong/         plausible solutions that must not
 *
 * Loading reads and validates everything and runs nothing. Inputs and answers that a program must
 * make (generator, reference) are made by bv_level_complete (level_tests.h), in boxes, and held in
 * memory. The cache that keeps them (level_cache.h) is open to its owner only, and no box sees it.
 *
 * A level is immutable after that: any number of threads may judge by it.
 */
#ifndef BV_ARENA_LEVEL_H
#define BV_ARENA_LEVEL_H

#include "arena/answer_check.h"
#include "arena/program.h"
#include "arena/sandbox.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include <stdint.h>

#define BV_LEVEL_TESTS_MAX 1000
#define BV_LEVEL_TEST_BYTES_MAX (16u << 20) /* of an input, of an answer */
#define BV_SOURCE_BYTES_MAX (1u << 20)      /* of a solution, generator or checker */
#define BV_STATEMENT_BYTES_MAX (1u << 20)
#define BV_LEVEL_JSON_BYTES_MAX (1u << 20)

/* How points follow from tests. */
typedef enum bv_level_scoring {
    BV_SCORING_ALL = 0, /* all points, or none; judging ends at the first test that fails */
    BV_SCORING_EACH,    /* a part of the points for each hidden test */
} bv_level_scoring;

/* A program of the author or a solution: a file of one of the arena's languages. */
typedef struct bv_level_program {
    char *name;           /* relative to the level's folder, as "reference/fast.c" */
    const char *language; /* a name of language.h */
    bv_buffer source;
} bv_level_program;

typedef struct bv_level_test {
    char *name; /* "visible/1", "hidden/big", "hidden/generated-7" */
    bool visible;
    int64_t generated; /* the generator's index that makes the input; -1: read from a file */
    bool answer_made;  /* by the reference: no file has it */
    bv_buffer input, answer;
} bv_level_test;

typedef struct bv_level_programs {
    bv_level_program *list;
    size_t count;
} bv_level_programs;

typedef struct bv_level {
    bv_arena *arena; /* owns the texts below */
    char *name;      /* the folder's, [a-z0-9-]: the level's identity for people */
    char *title;
    char *statement;
    const char **languages; /* names of language.h that are accepted */
    size_t language_count;
    bv_sandbox_limits limits;
    int64_t points;
    int64_t deadline_ms; /* since 1970, UTC; 0: none */
    bv_level_scoring scoring;
    bv_level_test *tests; /* visible ones first, then hidden ones; each by name */
    size_t test_count, visible_count;
    bv_level_programs generator, checker; /* none or one each */
    bv_answer_check check;                /* without a checker program */
    int64_t seed;
    bool recalled; /* by bv_level_complete: nothing was made, all was kept */
    bool complete; /* by bv_level_complete: then all tests have inputs and answers, and */
    bv_program *checker_program; /* is ready (NULL: there is none) */
    bv_level_programs references, wrongs;
    char hash[BV_SHA256_TEXT_SIZE]; /* of everything that decides a verdict */
} bv_level;

/* Reads and validates a folder. BV_CODE_INPUT names the file, the member and a remedy. */
bv_status bv_level_load(const char *folder, bv_level **out);
void bv_level_free(bv_level **level); /* NULL is legal */

/* The level's name: the last part of the folder's path, whether there is such a folder or not; of
 * "." and ".." what they stand for. Text of the arena. */
bv_status bv_level_name(bv_arena *arena, const char *folder, char **out);

/* Whether this language is accepted here. */
bool bv_level_accepts(const bv_level *level, const char *language);
/* Whether solutions in a language are programs of the machine, not texts. */
bool bv_level_is_binary(const char *language);

#endif

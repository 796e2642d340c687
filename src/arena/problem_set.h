/*
 * Sets of programming problems: prompts for a model, and tests that say whether a completion is
 * right. A set is an adapter: a row of a table with the names of its files and a function that
 * turns one line of JSON into a problem (problem_set.c). All texts are UTF-8 and owned by the set.
 * Read once, then immutable: thread-safe.
 */
#ifndef BV_ARENA_PROBLEM_SET_H
#define BV_ARENA_PROBLEM_SET_H

#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"
#include <stddef.h>

typedef struct bv_problem {
    const char *id;        /* as samples name it: "HumanEval/0", "MBPP/11" */
    const char *prompt;    /* what a model continues                       */
    const char *head;      /* code that a completion is put behind; the prompt, or "" */
    const char *canonical; /* the completion that comes with the set       */
    const char *entry;     /* the function that the tests call             */
    const char *context;   /* code of the tests' side that runs before them, may be "" */
    const char *test;      /* code of the tests                            */
    const char *call;      /* its function to call with the candidate; "": the code itself tests */
} bv_problem;

typedef struct bv_problem_set {
    bv_arena *arena;
    const char *name;         /* "humaneval" */
    const char *const *stops; /* texts that end a completion, NULL at the end */
    bv_problem *list;
    size_t count;
    char hash[BV_SHA256_TEXT_SIZE]; /* of the file's content */
} bv_problem_set;

/* `data`: a file (.jsonl, .jsonl.gz), or the folder where the set's own file is. */
bv_status bv_problem_set_load(const char *name, const char *data, bv_problem_set *out);
void bv_problem_set_free(bv_problem_set *set); /* {0} is legal */

/* NULL: there is none. */
const bv_problem *bv_problem_find(const bv_problem_set *set, const char *id);

/* Bytes of a completion before the first stop text of the set. */
size_t bv_problem_truncate(const bv_problem_set *set, const char *completion, size_t size);

#endif

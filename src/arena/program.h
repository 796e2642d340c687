/*
 * A program made ready once and run often: a submission, a generator, a checker. What is compiled
 * is compiled in a box; the artefact is kept in memory and placed in each box that runs it.
 */
#ifndef BV_ARENA_PROGRAM_H
#define BV_ARENA_PROGRAM_H

#include "arena/sandbox.h"

typedef struct bv_program bv_program;

typedef struct bv_program_source {
    const char *language; /* known */
    const void *bytes;
    size_t size;
} bv_program_source;

/* Makes a source ready. *out is NULL, and the compiler's log in *log, when it does not compile: the
 * author's doing, not an error. Errors are the judge's. cpu_ns is added to. */
bv_status bv_program_create(bv_sandbox_pool *pool, const bv_program_source *source,
                            bv_program **out, bv_buffer *log, uint64_t *cpu_ns);
void bv_program_destroy(bv_program **program);           /* NULL is legal */
size_t bv_program_bytes(const bv_program *program);      /* that it holds in memory */
size_t bv_program_file_bytes(const bv_program *program); /* that it brings into its box */
size_t bv_program_open_files(const bv_program *program); /* large ones are files in memory */

/* What a run gets beside the program: borrowed for the time of the call. */
typedef struct bv_program_run {
    const char *const *arguments; /* ends with NULL; NULL: none */
    const bv_sandbox_file *files;
    size_t file_count;
    const void *input;
    size_t input_size;
    bv_sandbox_limits limits;
} bv_program_run;

/* Runs it in a box of its own. A sandbox-fault is tried again twice, then it is an error
 * (BV_CODE_FAULT): so a result is always the program's own doing. *result must be {0}; free it
 * whatever is returned. Thread-safe. */
bv_status bv_program_execute(bv_sandbox_pool *pool, const bv_program *program,
                             const bv_program_run *run, bv_sandbox_result *result);

#endif

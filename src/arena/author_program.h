/*
 * An author's program: a generator or a checker of a level. It is as boxed as a submission (it may
 * come from somebody else than who runs the judge), has limits of its own, and its failures are
 * errors that name it, never a verdict on a submission.
 */
#ifndef BV_ARENA_AUTHOR_PROGRAM_H
#define BV_ARENA_AUTHOR_PROGRAM_H

#include "arena/level.h"
#include "arena/program.h"

/* Makes it ready; what does not compile is BV_CODE_INPUT with the compiler's log. */
bv_status bv_author_program_create(bv_sandbox_pool *pool, const bv_level_program *source,
                                   bv_program **out);

/* Runs it with limits for authors (run->limits is not read). An end other than the exit codes 0 and
 * 1, and an exception of Python that nobody caught, are BV_CODE_FAULT. *result as in program.h. */
bv_status bv_author_program_run(bv_sandbox_pool *pool, const bv_level_program *source,
                                const bv_program *program, const bv_program_run *run,
                                bv_sandbox_result *result);

/* The error of a run, with the end of what the program wrote on standard error. */
bv_status bv_author_program_wrote(bv_error *error, const bv_sandbox_result *result);

#endif

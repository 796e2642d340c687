/*
 * Languages: how a submission becomes a run. A language is a one-file description (JSON), built in
 * from src/arena/languages/ or loaded from a file:
 *
 *     name, title     "c", "C17 (gcc)"
 *     source          the name of the source in its box, "main.c"
 *     compile         words of the compiler's command; absent: nothing is compiled
 *     compile_if      more words, for tools that not every machine has: {"/usr/bin/ld.gold":
 *                     ["-fuse-ld=gold"]} adds them where that file exists
 *     prepare         words of a command that runs once, in a box like the compiler's, before many
 *                     sources are compiled (bv_language_prepare): it puts together what each of
 *                     them would else have to be linked with part by part
 *     prepared        the file that it makes. Each compilation finds it beside its source, and its
 *                     name behind the words of "compile"; where it could not be made, neither
 *     compile_again   words that are added when the compiler failed and said "undefined": a library
 *                     that few sources need, which each of the others and its runs would pay for
 *     compile_environment  the whole environment of the compiler, "NAME=VALUE"; absent: the usual
 *                     PATH, HOME and LANG
 *     artifact        the file that it makes, which is all that gets out of the compiler's box
 *     run             words of the command that runs it
 *     compile_binds,  host folders that their boxes see, read-only; with "?" only if they exist
 *     run_binds
 *     compile_limits  "cpu_ms", "wall_ms", "memory_bytes", "files_bytes", "output_bytes", "pids"
 *     warm_python     may be run by a warm interpreter (warm_python.h), in a pool that has them
 *
 * A compiler is a program like any other: it runs in a box, on hostile sources, and only its
 * artifact leaves it, to be placed in other boxes.
 *
 * Descriptions are made at the start and read by all threads.
 */
#ifndef BV_ARENA_LANGUAGE_H
#define BV_ARENA_LANGUAGE_H

#include "arena/sandbox.h"
#include "base/hash.h"

typedef struct bv_language {
    const char *name, *title, *source, *artifact; /* artifact NULL: nothing is compiled */
    const char *description;                      /* all of it, as JSON */
    const char *const *compile;                   /* ends with NULL; NULL: nothing      */
    const char *const *compile_again;             /* all of its words; NULL: never      */
    const char *const *compile_environment;       /* ends with NULL; NULL: the usual    */
    const char *const *prepare;                   /* ends with NULL; NULL: nothing      */
    const char *prepared;                         /* beside "prepare"                   */
    const char *const *run;
    bv_sandbox_root compile_root, run_root;
    bv_sandbox_limits compile_limits;
    bool warm_python;
} bv_language;

/* A language that is built in or was added, NULL if there is none of this name. Lives as long as
 * the program. */
const bv_language *bv_language_find(const char *name);
/* Their names, ends with NULL. */
const char *const *bv_language_names(void);

/* One more, from a file of somebody's own; while there is one thread. Its name must be new. */
bv_status bv_language_add(const char *path);
/* A language of its own, free it after all pools that ran it are gone. */
bv_status bv_language_parse(const char *text, size_t size, const char *origin, bv_language **out);
void bv_language_free(bv_language **language); /* NULL is legal */

/* Makes what the language wants prepared, in a box. What cannot be made there is done without.
 * Once, and before other threads compile. */
bv_status bv_language_prepare(bv_sandbox_pool *pool, const bv_language *language);

/* Adds to a hash how a language is compiled and run on this machine: its description, the commands
 * that it gives here, and the compiler and interpreter as they stand there, so that a package that
 * is upgraded gives another hash. */
void bv_language_hash(const bv_language *language, bv_sha256 *hash);

/* What is run: the compiled file, or the sources themselves. */
typedef struct bv_artifact {
    const bv_language *language;
    bv_sandbox_file *files; /* owned, with names and bytes */
    size_t file_count;
} bv_artifact;
void bv_artifact_free(bv_artifact *artifact); /* {0} is legal */

/* Compiles sources in a box. *result is that of the compiler: verdict OK, and its messages in
 * output and error; with another verdict (a mistake of the program's author, or a limit) the
 * artifact has no files. Without a compiler in the language nothing runs and the verdict is OK.
 * The first file is the main source, whatever its name: it gets the language's. */
bv_status bv_language_compile(bv_sandbox_pool *pool, const bv_language *language,
                              const bv_sandbox_file *sources, size_t source_count,
                              bv_artifact *artifact, bv_sandbox_result *result);

/* Fills argv, root, files and warm_python of a job (limits and streams are the caller's).
 * Borrowed from the artifact. */
void bv_language_job(const bv_artifact *artifact, bv_sandbox_job *job);

#endif

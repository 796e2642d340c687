/*
 * Sandbox: runs a hostile program where it can hurt nobody, and says how it ended.
 *
 * A pool keeps boxes ready; each box is used once. A job names a program, what it may see (a root),
 * what it may use (limits), and what is placed before and fetched after. Its result is a verdict
 * with what was measured. Two policies, chosen by name only: `full` (all walls) and `nested` (for
 * containers that forbid namespaces). A wall that a policy needs and this machine lacks is an error
 * of the pool with the reason (see sandbox_selftest.h); nothing is ever run with less.
 *
 * Whose fault: a bv_status is a caller's mistake or ours before the program ran; the verdict
 * BV_VERDICT_FAULT is ours while it ran (nothing is known about the program: run it again).
 * Every other verdict is the program's own doing. The two are never mixed.
 *
 * How it is built: each box has a slot, a process of ours that makes boxes one after another
 * (sandbox_slot.c). A box is the first process of new namespaces (sandbox_box.c), which starts the
 * program and reports on a socket that the program never has. The caller's thread supervises
 * (sandbox_supervise.c). Nothing here says that a box is made of namespaces: a virtual machine can
 * stand behind the same calls.
 *
 * All calls are thread-safe; a job, a result and a box belong to one thread at a time.
 */
#ifndef BV_ARENA_SANDBOX_H
#define BV_ARENA_SANDBOX_H

#include "base/buffer.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- verdicts, policies, limits ---- */

typedef enum bv_sandbox_verdict {
    BV_VERDICT_OK = 0,         /* exit code 0 within all limits                                */
    BV_VERDICT_FAILED,         /* another exit code, or a signal                               */
    BV_VERDICT_TIME,           /* CPU time of the whole tree                                   */
    BV_VERDICT_WALL,           /* wall time                                                    */
    BV_VERDICT_MEMORY,         /* memory of the whole tree                                     */
    BV_VERDICT_PIDS,           /* processes and threads at once                                */
    BV_VERDICT_OUTPUT,         /* bytes on standard output and standard error together         */
    BV_VERDICT_DISK,           /* bytes or number of files in the box                          */
    BV_VERDICT_FORBIDDEN_CALL, /* a system call that no honest program makes                   */
    BV_VERDICT_FAULT,          /* sandbox-fault: ours; says nothing about the program          */
    BV_VERDICT_COUNT,
} bv_sandbox_verdict;

/* "ok", "failed", "time", "wall", "memory", "pids", "output", "disk", "forbidden-call",
 * "sandbox-fault". */
const char *bv_sandbox_verdict_name(bv_sandbox_verdict verdict);

typedef enum bv_sandbox_policy { BV_POLICY_FULL = 0, BV_POLICY_NESTED } bv_sandbox_policy;
const char *bv_sandbox_policy_name(bv_sandbox_policy policy); /* "full", "nested" */
bool bv_sandbox_policy_parse(const char *name, bv_sandbox_policy *out);

typedef struct bv_sandbox_limits {
    uint64_t cpu_ns;       /* of the whole tree                            2 s    */
    uint64_t wall_ns;      /*                                              4 s    */
    uint64_t memory_bytes; /* of the whole tree, files in the box included 256 MB */
    uint64_t output_bytes; /* captured standard output and error together  1 MB   */
    uint64_t files_bytes;  /* in /work and /tmp together                   64 MB  */
    uint32_t files;        /* number of them, folders included             4096   */
    uint32_t pids;         /* processes and threads at once                16     */
    uint32_t descriptors;  /* open at once in a process                    256    */
    uint64_t stack_bytes;  /*                                              8 MB   */
} bv_sandbox_limits;
void bv_sandbox_limits_default(bv_sandbox_limits *limits);

/* ---- what a program may see ---- */

/* A host directory (or file) that shows read-only at `target`. It must belong to root or to us and
 * be writable by nobody else: never a folder that a guest wrote. A source that is a symbolic link
 * (as /bin is one to usr/bin) becomes the same link. */
typedef struct bv_sandbox_bind {
    const char *source;
    const char *target;
    bool optional; /* absent on this machine: left out */
} bv_sandbox_bind;

/* A root: an empty read-only folder with /work (the program's own, its current folder), /tmp,
 * /dev/{null,zero,urandom} and these binds. Boxes are made ahead with the root that was last asked
 * for, so a change of roots costs some milliseconds. Equal names must mean equal binds. Static. */
typedef struct bv_sandbox_root {
    const char *name; /* "system", "static", "python3", ... */
    const bv_sandbox_bind *binds;
    size_t bind_count;
} bv_sandbox_root;

extern const bv_sandbox_root bv_sandbox_root_static; /* no binds: for static programs        */
extern const bv_sandbox_root bv_sandbox_root_system; /* /usr and what belongs to it          */

/* ---- a job ---- */

/* A file in the work folder, its name without "/" (up to 255 bytes). */
typedef struct bv_sandbox_file {
    const char *name;
    const void *bytes;
    size_t size;
    bool executable;
    int sealed; /* 0, or a memory file with the bytes (bv_sandbox_seal): it spares a large file that
                   many jobs place two copies */
} bv_sandbox_file;

/* A file to fetch from the work folder after the end. Regular files only; no link is followed. */
typedef struct bv_sandbox_wanted {
    const char *name;
    size_t size_max; /* a larger one is not fetched (found = true, bytes empty, too_large = true) */
} bv_sandbox_wanted;

/* Everything is borrowed until bv_sandbox_wait has returned. {0} with argv, limits and root set is
 * a job. Relative names in argv[0] are looked up in the work folder ("./main" or "main"). */
typedef struct bv_sandbox_job {
    const char *const *argv; /* ends with NULL */
    const char *const *env;  /* ends with NULL; NULL: PATH, HOME=/work, LANG=C.UTF-8 only */
    bv_sandbox_limits limits;
    const bv_sandbox_root *root; /* NULL: bv_sandbox_root_system */
    const bv_sandbox_file *files;
    size_t file_count;
    const bv_sandbox_wanted *wanted;
    size_t wanted_count;

    /* Standard input: these bytes (none: empty), or a descriptor. */
    const void *input;
    size_t input_size;
    bool input_connected;
    int input_fd;

    /* Standard output: captured, or a descriptor (whose bytes nobody counts). Descriptors are
     * borrowed for the time of bv_sandbox_start; the caller closes its own copies after that, so
     * that boxes that are connected by pipes see each other's end. */
    bool output_connected;
    int output_fd;

    bool
        warm_python; /* argv is "python3", "main.py", ...: run by a warm interpreter (language.h) */
} bv_sandbox_job;

/* A file in memory that nobody can change any more; the caller closes it. */
bv_status bv_sandbox_seal(const void *bytes, size_t size, int *descriptor);

/* ---- a result ---- */

typedef struct bv_sandbox_fetched {
    char *name;
    bool found, too_large;
    bv_buffer bytes;
} bv_sandbox_fetched;

typedef struct bv_sandbox_result {
    bv_sandbox_verdict verdict;
    bv_sandbox_policy policy;
    int exit_code; /* -1 when it did not exit by itself */
    int signal;    /* that ended it, 0 for none */
    bool killed_by_caller;
    uint64_t cpu_ns;  /* of the whole tree */
    uint64_t wall_ns; /* from the start of the program to the end of its tree */
    uint64_t peak_memory_bytes;
    char reason[160]; /* one line for people: "used 2.01 s of CPU, 2.00 s are allowed" */
    bv_buffer output; /* at most limits.output_bytes in both together */
    bv_buffer error;
    bv_sandbox_fetched *fetched; /* as many as were wanted, in that order */
    size_t fetched_count;
} bv_sandbox_result;
void bv_sandbox_result_free(bv_sandbox_result *result); /* {0} is legal; leaves {0} */

/* ---- running ---- */

typedef struct bv_sandbox_options {
    bv_sandbox_policy policy;
    uint32_t boxes;              /* at once; 0: two for each usable core */
    const bv_sandbox_root *root; /* made ahead at the beginning; NULL: the system's */
    bool warm_python; /* interpreters are started with the pool, if this machine has libpython3 */
} bv_sandbox_options;

typedef struct bv_sandbox_pool bv_sandbox_pool;

/* Starts the slots. Raises the number of files that this process may open, if so many boxes need
 * it. Removes what a killed predecessor left (control groups, work folders). Fails with the reason
 * and the remedy when a wall that the policy needs is missing. */
bv_status bv_sandbox_pool_create(const bv_sandbox_options *options, bv_sandbox_pool **out);
void bv_sandbox_pool_destroy(bv_sandbox_pool **pool); /* kills what runs; NULL is legal */
uint32_t bv_sandbox_pool_boxes(const bv_sandbox_pool *pool);
bv_sandbox_policy bv_sandbox_pool_policy(const bv_sandbox_pool *pool);
/* Files that this process has open while all boxes run, the pool's and some others. */
uint64_t bv_sandbox_pool_descriptors(const bv_sandbox_pool *pool);

/* Runs one job and waits. *result must be {0}; free it, whatever is returned. When the fault is
 * ours, the job runs again, up to three times, unless descriptors are connected. */
bv_status bv_sandbox_run(bv_sandbox_pool *pool, const bv_sandbox_job *job,
                         bv_sandbox_result *result);

/* Starts `count` jobs at once (at most the pool's boxes), waiting until so many boxes are free: so
 * callers that need two each never block each other. All or none. The time of each job begins
 * here; supervision happens in bv_sandbox_wait, which must follow soon. */
typedef struct bv_sandbox_box bv_sandbox_box;
bv_status bv_sandbox_start(bv_sandbox_pool *pool, const bv_sandbox_job *jobs, size_t count,
                           bv_sandbox_box **boxes);

/* Supervises these boxes until all have ended, fills results[count], and frees the boxes. */
bv_status bv_sandbox_wait(bv_sandbox_box **boxes, size_t count, bv_sandbox_result *results);

/* Kills a box at once; from any thread, before or during bv_sandbox_wait. */
void bv_sandbox_kill(bv_sandbox_box *box);

#endif

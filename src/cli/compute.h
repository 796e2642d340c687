/*
 * What subcommands that compute share: the flag --threads, a pool with the kernels of this CPU, and
 * this machine's limits. One thread.
 */
#ifndef BV_CLI_COMPUTE_H
#define BV_CLI_COMPUTE_H

#include "base/pool.h"
#include "base/status.h"
#include "cli/flags.h"
#include "report/limits_cache.h"

#define BV_FLAG_THREADS                                                                            \
    {                                                                                              \
        .name = "threads", .value = "N", .type = BV_FLAG_INT, .max = 1024, .fallback = "0",        \
        .help = "how many threads compute; 0: one a usable core"                                   \
    }
#define BV_FLAG_JSON                                                                               \
    { .name = "json", .help = "print one line of JSON on standard output" }

typedef struct bv_compute {
    const bv_kernels *kernels;
    bv_pool *pool;
    int threads;
} bv_compute;

/* threads: as of --threads. After a failure there is nothing to close. */
bv_status bv_compute_open(int64_t threads, bv_compute *out);
void bv_compute_close(bv_compute *compute);

/* Measures for `seconds` and remembers. That it cannot be remembered is only said. */
bv_status bv_compute_measure(const bv_compute *compute, double seconds, bv_limits *out);
/* What is remembered, else as above, in about 1.5 s. */
bv_status bv_compute_limits(const bv_compute *compute, bv_limits *out);

#endif
